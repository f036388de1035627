#include "node/addon.h"

#include "node/engine.h"
#include "node/grammar-handle.h"
#include "node/model-handle.h"
#include "node/process.h"
#include "node/state.h"

namespace eft {

Napi::Object InitializeAddon(Napi::Env env, Napi::Object exports) {
    env.SetInstanceData(new AddonState());
    ModelHandle::Register(env);
    Engine::Register(env);
    GrammarHandle::Register(env);
    RegisterProcess(env, exports);
    exports.Set("createEngine", Napi::Function::New<&Engine::Create>(env));
    exports.Set("createGrammar", Napi::Function::New<&GrammarHandle::Create>(env));
    return exports;
}

}  // namespace eft
