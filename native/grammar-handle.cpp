#include "grammar-handle.h"

#include "model-handle.h"
#include "state.h"
#include "values.h"
#include "worker.h"

namespace eft {

void GrammarHandle::Register(Napi::Env env) {
    AddonState::of(env).grammar_class =
        Napi::Persistent(DefineClass(env, "NativeGrammar", {InstanceMethod<&GrammarHandle::Accept>("accept")}));
}

Napi::Value GrammarHandle::Create(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&] {
        const Napi::Object options = info[0].As<Napi::Object>();
        const Napi::Value lacking = options.Get("lacking");
        auto grammar = std::make_shared<Grammar>(GrammarOptions{
            ModelHandle::ModelOf(env, options.Get("model")), options.Get("text").As<Napi::String>(),
            to_vector<uint8_t>(options.Get("endOfGeneration")), to_vector<int32_t>(options.Get("namedTokens")),
            lacking.IsTypedArray() ? to_vector<int32_t>(lacking) : std::vector<int32_t>()});
        const Napi::Object object = AddonState::of(env).grammar_class.New({});
        Napi::ObjectWrap<GrammarHandle>::Unwrap(object)->grammar_ = std::move(grammar);
        return object;
    });
}

std::shared_ptr<Grammar> GrammarHandle::GrammarOf(Napi::Env env, const Napi::Value & value) {
    if (value.IsUndefined()) return nullptr;
    if (value.IsObject() && value.As<Napi::Object>().InstanceOf(AddonState::of(env).grammar_class.Value())) {
        return Napi::ObjectWrap<GrammarHandle>::Unwrap(value.As<Napi::Object>())->grammar_;
    }
    throw Napi::TypeError::New(env, "not a grammar");
}

GrammarHandle::GrammarHandle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<GrammarHandle>(info) {}

Napi::Value GrammarHandle::Accept(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        grammar_->accept(info[0].As<Napi::Number>());
        return info.Env().Undefined();
    });
}

}  // namespace eft
