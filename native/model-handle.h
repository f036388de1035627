// The JavaScript class of a loaded model (`NativeModel` in src/native/binding.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "model.h"

namespace eft {

class ModelHandle : public Napi::ObjectWrap<ModelHandle> {
  public:
    static void Register(Napi::Env env);
    static Napi::Object Create(Napi::Env env, const std::shared_ptr<Model> & model);
    /// Throws a TypeError if `value` is anything else than a model of this addon environment.
    static std::shared_ptr<Model> ModelOf(Napi::Env env, const Napi::Value & value);

    explicit ModelHandle(const Napi::CallbackInfo & info);

  private:
    Napi::Value Info(const Napi::CallbackInfo & info);
    Napi::Value Tokenize(const Napi::CallbackInfo & info);
    Napi::Value Detokenize(const Napi::CallbackInfo & info);
    Napi::Value TokenTexts(const Napi::CallbackInfo & info);
    Napi::Value TokenAttributes(const Napi::CallbackInfo & info);
    Napi::Value EndOfGeneration(const Napi::CallbackInfo & info);
    Napi::Value VocabularyHash(const Napi::CallbackInfo & info);

    std::shared_ptr<Model> model_;
};

}  // namespace eft
