// The JavaScript class of a loaded model (`NativeModel` in src/native/binding.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "llama/model.h"

namespace eft {

class ModelHandle : public Napi::ObjectWrap<ModelHandle> {
  public:
    static void Register(Napi::Env env);
    /// The handle does not keep the model alive; its methods throw DISPOSED when all engines have let go of it.
    static Napi::Object Create(Napi::Env env, const std::shared_ptr<Model> & model);
    /// Throws Failure OPTION_INVALID if `value` is anything else than a model of this addon environment, and DISPOSED.
    static std::shared_ptr<Model> ModelOf(Napi::Env env, const Napi::Value & value);

    explicit ModelHandle(const Napi::CallbackInfo & info);

  private:
    Napi::Value Tokenize(const Napi::CallbackInfo & info);
    Napi::Value TokenizeAll(const Napi::CallbackInfo & info);
    Napi::Value Detokenize(const Napi::CallbackInfo & info);
    Napi::Value TokenTexts(const Napi::CallbackInfo & info);
    Napi::Value TokenAttributes(const Napi::CallbackInfo & info);
    Napi::Value EndOfGeneration(const Napi::CallbackInfo & info);
    Napi::Value VocabularyHash(const Napi::CallbackInfo & info);
    Napi::Value TokenizerHash(const Napi::CallbackInfo & info);

    /// Throws Failure DISPOSED.
    std::shared_ptr<Model> model() const;

    std::weak_ptr<Model> model_;
};

}  // namespace eft
