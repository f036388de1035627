// What one addon environment (the main thread, a worker thread, a second copy of the addon) owns.
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <set>
#include <string>

#include "llama/model.h"
#include "node/log-callback.h"
#include "node/worker.h"

namespace eft {

struct AddonState {
    /// Constructors; `error_class` is EftError of src/errors.ts.
    Napi::FunctionReference model_class, engine_class, grammar_class, error_class;
    std::shared_ptr<LogCallback> log_callback;
    /// Models by file and settings, so that each is loaded once however many members and ensembles use it.
    std::map<std::string, std::shared_ptr<SharedModel>> models;
    /// Of all engines that are alive, and `tokenizer`.
    std::set<Worker *> workers;
    /// The thread on which long texts are tokenized. Made when it is needed.
    std::unique_ptr<Worker> tokenizer;

    static AddonState & of(Napi::Env env) { return *env.GetInstanceData<AddonState>(); }
};

}  // namespace eft
