// The JavaScript class of a grammar (`NativeGrammar` in src/native/binding.ts).
#pragma once

#include <napi.h>

#include <memory>

#include "llama/grammar.h"

namespace eft {

class GrammarHandle : public Napi::ObjectWrap<GrammarHandle> {
  public:
    static void Register(Napi::Env env);
    /// createGrammar({ model, program, endOfGeneration }).
    static Napi::Value Create(const Napi::CallbackInfo & info);
    /// The grammar of a draw; null if it has none. Throws Failure OPTION_INVALID for anything else.
    static std::shared_ptr<Grammar> GrammarOf(Napi::Env env, const Napi::Value & value);

    explicit GrammarHandle(const Napi::CallbackInfo & info);

  private:
    Napi::Value Accept(const Napi::CallbackInfo & info);
    Napi::Value Allowed(const Napi::CallbackInfo & info);

    std::shared_ptr<Grammar> grammar_;
};

}  // namespace eft
