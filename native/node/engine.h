// The JavaScript class that owns the native side of what is loaded (`NativeEngine` in src/native/binding.ts).
#pragma once

#include <napi.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "jobs/job-state.h"
#include "llama/backend.h"
#include "llama/model.h"
#include "node/convert.h"
#include "node/worker.h"

namespace eft {

class Engine : public Napi::ObjectWrap<Engine> {
  public:
    static void Register(Napi::Env env);
    /// createEngine({ threads, batchSize, sequences }).
    static Napi::Value Create(const Napi::CallbackInfo & info);

    explicit Engine(const Napi::CallbackInfo & info);
    ~Engine() override;

  private:
    Napi::Value LoadModel(const Napi::CallbackInfo & info);
    Napi::Value AddContext(const Napi::CallbackInfo & info);
    Napi::Value AddExternalContext(const Napi::CallbackInfo & info);
    Napi::Value RemoveContexts(const Napi::CallbackInfo & info);
    Napi::Value ReleaseModels(const Napi::CallbackInfo & info);
    Napi::Value CreateTarget(const Napi::CallbackInfo & info);
    Napi::Value RemoveTarget(const Napi::CallbackInfo & info);
    Napi::Value Step(const Napi::CallbackInfo & info);
    Napi::Value Forget(const Napi::CallbackInfo & info);
    Napi::Value Interrupt(const Napi::CallbackInfo & info);
    Napi::Value InterruptLoading(const Napi::CallbackInfo & info);
    Napi::Value Dispose(const Napi::CallbackInfo & info);

    std::unique_ptr<Worker> MakeWorker();
    /// A thread that reads nothing, as long as there are few, or else the one that has least to read.
    Worker & Loader();
    /// A model that is being loaded is there or has failed when all of them are freed.
    /// @param first of the loaders that have not been waited for
    Napi::Value FreeAfterLoaders(size_t first);
    /// Throws Failure DISPOSED for an id that is none any more.
    std::shared_ptr<const Target> TargetOf(const Napi::Object & entry) const;
    void CheckAlive() const;
    /// On the worker thread.
    void Add(uint32_t id, std::unique_ptr<Member> context);
    /// On the worker thread. Marks the engine as broken if llama.cpp fails inside `body`.
    template <typename Body>
    void RunLlama(Body && body);
    /// On the worker thread.
    void Break();
    /// On the worker thread, or after it has ended.
    void FreeContexts();

    uint32_t batch_size_, sequences_;
    // Set when llama.cpp failed an assertion: its objects are in an unknown state, so they are leaked, not freed.
    std::atomic<bool> broken_{false};
    bool disposed_ = false;
    // Ids are given out on the JavaScript thread, and never again.
    uint32_t contexts_ = 0, targets_made_ = 0;
    std::map<uint32_t, std::shared_ptr<const Target>> targets_;
    std::unique_ptr<ThreadPool> pool_;
    JobState state_;
    // What keeps models alive while a recipe is loaded, and then its contexts do: JavaScript's handles do not, so that
    // dispose() gives the memory back.
    std::mutex models_mutex_;
    std::vector<std::shared_ptr<Model>> models_;
    // All that it was ever given, so that none of them is given to others after a failure.
    std::vector<std::weak_ptr<Model>> known_models_;
    std::unique_ptr<Worker> worker_;
    // Texts go on while models are being loaded, so these have threads of their own, each from when it is needed.
    std::vector<std::unique_ptr<Worker>> loaders_;
};

}  // namespace eft
