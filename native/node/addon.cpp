#include <napi.h>

#include "node/engine.h"
#include "node/grammar-handle.h"
#include "node/model-handle.h"
#include "node/process.h"
#include "node/rows.h"
#include "node/state.h"

namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
    env.SetInstanceData(new eft::AddonState());
    eft::ModelHandle::Register(env);
    eft::Engine::Register(env);
    eft::GrammarHandle::Register(env);
    eft::RegisterProcess(env, exports);
    eft::RegisterRows(env, exports);
    exports.Set("createEngine", Napi::Function::New<&eft::Engine::Create>(env));
    exports.Set("createGrammar", Napi::Function::New<&eft::GrammarHandle::Create>(env));
    return exports;
}

}  // namespace

NODE_API_MODULE(eft_llama, Initialize)
