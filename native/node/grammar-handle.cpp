#include "node/grammar-handle.h"

#include "node/model-handle.h"
#include "node/state.h"
#include "node/values.h"
#include "node/worker.h"

namespace eft {
namespace {

GrammarProgram read_program(const Napi::Object & object) {
    GrammarProgram program;
    program.code = to_vector<int32_t>(object.Get("code"), "code");
    program.rules = to_vector<int32_t>(object.Get("rules"), "rules");
    program.starts = to_vector<int32_t>(object.Get("starts"), "starts");
    program.may_be_empty = to_vector<uint8_t>(object.Get("mayBeEmpty"), "mayBeEmpty");
    const auto bits = to_vector<uint8_t>(object.Get("byteSets"), "byteSets");
    program.sets.resize(bits.size() / 32);
    for (size_t i = 0; i < program.sets.size() * 256; ++i) {
        program.sets[i / 256][i % 256] = (bits[i / 8] >> (i % 8) & 1) != 0;
    }
    return program;
}

}  // namespace

void GrammarHandle::Register(Napi::Env env) {
    AddonState::of(env).grammar_class = Napi::Persistent(DefineClass(
        env, "NativeGrammar",
        {InstanceMethod<&GrammarHandle::Accept>("accept"), InstanceMethod<&GrammarHandle::Allowed>("allowed")}));
}

Napi::Value GrammarHandle::Create(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&] {
        const Napi::Object options = info[0].As<Napi::Object>();
        const Napi::Value lacking = options.Get("lacking");
        auto grammar = std::make_shared<Grammar>(GrammarOptions{
            ModelHandle::ModelOf(env, options.Get("model")), read_program(options.Get("program").As<Napi::Object>()),
            to_vector<uint8_t>(options.Get("endOfGeneration"), "endOfGeneration"),
            lacking.IsUndefined() ? std::vector<int32_t>() : to_vector<int32_t>(lacking, "lacking")});
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
    throw Failure("OPTION_INVALID", "A grammar is of another copy of eft-llama, or of another thread.");
}

GrammarHandle::GrammarHandle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<GrammarHandle>(info) {}

Napi::Value GrammarHandle::Accept(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const int32_t token = info[0].As<Napi::Number>();
        if (token < 0 || static_cast<size_t>(token) >= grammar_->vocabulary_size()) {
            throw Failure("OPTION_INVALID", "There is no such token.");
        }
        grammar_->accept(token);
        return info.Env().Undefined();
    });
}

Napi::Value GrammarHandle::Allowed(const Napi::CallbackInfo & info) {
    return guarded(info.Env(),
                   [&] { return to_typed_array<Napi::Uint8Array>(info.Env(), grammar_->allowed(nullptr)); });
}

}  // namespace eft
