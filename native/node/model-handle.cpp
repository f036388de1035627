#include "node/model-handle.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "node/state.h"
#include "node/values.h"
#include "node/worker.h"

namespace eft {
namespace {

const char * vocabulary_type_name(enum llama_vocab_type type) {
    switch (type) {
        case LLAMA_VOCAB_TYPE_SPM: return "SPM";
        case LLAMA_VOCAB_TYPE_BPE: return "BPE";
        case LLAMA_VOCAB_TYPE_WPM: return "WPM";
        case LLAMA_VOCAB_TYPE_UGM: return "UGM";
        case LLAMA_VOCAB_TYPE_RWKV: return "RWKV";
        case LLAMA_VOCAB_TYPE_PLAMO2: return "PLaMo-2";
        default: return "none";
    }
}

/// Throws Failure DISPOSED.
std::shared_ptr<Model> lock_model(const std::weak_ptr<Model> & handle) {
    auto model = handle.lock();
    if (!model) throw Failure("DISPOSED", "The ensemble that this model was loaded for has been disposed.");
    return model;
}

/// `NativeModelInfo` of src/native/binding.ts.
Napi::Object read_info(Napi::Env env, const Model & handle) {
    const LlamaApi & api = llama_api();
    const llama_model * model = handle.get();
    const llama_vocab * vocab = handle.vocab();
    char description[256] = "";
    api.llama_model_desc(model, description, sizeof(description));
    const char * chat_template = api.llama_model_chat_template(model, nullptr);

    Napi::Object result = Napi::Object::New(env);
    result.Set("description", description);
    result.Set("quantization", api.llama_ftype_name(api.llama_model_ftype(model)));
    result.Set("size", static_cast<double>(api.llama_model_size(model)));
    result.Set("parameters", static_cast<double>(api.llama_model_n_params(model)));
    result.Set("trainContextSize", api.llama_model_n_ctx_train(model));
    result.Set("layers", api.llama_model_n_layer(model));
    result.Set("vocabularySize", handle.vocabulary_size());
    result.Set("vocabularyType", vocabulary_type_name(api.llama_vocab_type(vocab)));
    result.Set("hasEncoder", api.llama_model_has_encoder(model));
    result.Set("hasDecoder", api.llama_model_has_decoder(model));
    result.Set("isRecurrent", api.llama_model_is_recurrent(model));
    result.Set("isHybrid", api.llama_model_is_hybrid(model));
    result.Set("isDiffusion", api.llama_model_is_diffusion(model));
    result.Set("slidingWindow", api.llama_model_n_swa(model));
    if (chat_template) result.Set("chatTemplate", chat_template);
    result.Set("bos", api.llama_vocab_bos(vocab));
    result.Set("eos", api.llama_vocab_eos(vocab));
    result.Set("eot", api.llama_vocab_eot(vocab));
    result.Set("nl", api.llama_vocab_nl(vocab));
    result.Set("sep", api.llama_vocab_sep(vocab));
    result.Set("pad", api.llama_vocab_pad(vocab));
    result.Set("addBos", api.llama_vocab_get_add_bos(vocab));
    result.Set("addEos", api.llama_vocab_get_add_eos(vocab));
    return result;
}

Napi::String to_hex(Napi::Env env, uint64_t hash) {
    char hex[17];
    std::snprintf(hex, sizeof(hex), "%016llx", static_cast<unsigned long long>(hash));
    return Napi::String::New(env, hex);
}

/// A thread of its own: on an engine's worker a text would wait for the steps, and on one of libuv's four it would keep
/// files and connections waiting.
Worker & tokenizer_of(Napi::Env env) {
    AddonState & state = AddonState::of(env);
    if (!state.tokenizer) {
        state.tokenizer = std::make_unique<Worker>(env);
        // Nobody ends it but the end of its environment.
        const auto stop = [](void * worker) { static_cast<Worker *>(worker)->stop(); };
        napi_add_env_cleanup_hook(env, stop, state.tokenizer.get());
        state.workers.insert(state.tokenizer.get());
    }
    return *state.tokenizer;
}

class TokenizeJob : public Job {
  public:
    TokenizeJob(std::weak_ptr<Model> model, std::vector<std::string> texts, bool add_special, bool parse_special,
                const std::atomic<bool> & cancelled)
        : model_(std::move(model)),
          texts_(std::move(texts)),
          add_special_(add_special),
          parse_special_(parse_special),
          cancelled_(cancelled) {}

    void run() override {
        const auto model = lock_model(model_);
        for (const std::string & text : texts_) {
            if (cancelled_) throw Failure("ABORTED", "The process ends.");
            tokens_.push_back(model->tokenize(text, add_special_, parse_special_));
        }
    }

    Napi::Value result(Napi::Env env) override {
        Napi::Array lists = Napi::Array::New(env, tokens_.size());
        for (size_t i = 0; i < tokens_.size(); ++i) {
            lists.Set(static_cast<uint32_t>(i), to_typed_array<Napi::Int32Array>(env, tokens_[i]));
        }
        return lists;
    }

  private:
    /// A text that waits keeps no model in memory.
    std::weak_ptr<Model> model_;
    std::vector<std::string> texts_;
    bool add_special_, parse_special_;
    const std::atomic<bool> & cancelled_;
    std::vector<std::vector<int32_t>> tokens_;
};

}  // namespace

void ModelHandle::Register(Napi::Env env) {
    const Napi::Function constructor = DefineClass(
        env, "NativeModel",
        {InstanceMethod<&ModelHandle::Tokenize>("tokenize"), InstanceMethod<&ModelHandle::TokenizeAll>("tokenizeAll"),
         InstanceMethod<&ModelHandle::Detokenize>("detokenize"), InstanceMethod<&ModelHandle::TokenTexts>("tokenTexts"),
         InstanceMethod<&ModelHandle::TokenAttributes>("tokenAttributes"),
         InstanceMethod<&ModelHandle::EndOfGeneration>("endOfGeneration"),
         InstanceMethod<&ModelHandle::VocabularyHash>("vocabularyHash"),
         InstanceMethod<&ModelHandle::TokenizerHash>("tokenizerHash")});
    AddonState::of(env).model_class = Napi::Persistent(constructor);
}

Napi::Object ModelHandle::Create(Napi::Env env, const std::shared_ptr<Model> & model) {
    const Napi::Object object = AddonState::of(env).model_class.New({});
    Napi::ObjectWrap<ModelHandle>::Unwrap(object)->model_ = model;
    object.Set("info", read_info(env, *model));
    return object;
}

std::shared_ptr<Model> ModelHandle::ModelOf(Napi::Env env, const Napi::Value & value) {
    if (value.IsObject() && value.As<Napi::Object>().InstanceOf(AddonState::of(env).model_class.Value())) {
        return Napi::ObjectWrap<ModelHandle>::Unwrap(value.As<Napi::Object>())->model();
    }
    throw Failure("OPTION_INVALID", "A model was loaded by another copy of eft-llama, or in another thread.");
}

ModelHandle::ModelHandle(const Napi::CallbackInfo & info) : Napi::ObjectWrap<ModelHandle>(info) {}

std::shared_ptr<Model> ModelHandle::model() const { return lock_model(model_); }

Napi::Value ModelHandle::Tokenize(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto tokens = model()->tokenize(to_text(info[0], "text"), to_flag(info[1], "addSpecial"),
                                              to_flag(info[2], "parseSpecial"));
        return to_typed_array<Napi::Int32Array>(info.Env(), tokens);
    });
}

Napi::Value ModelHandle::TokenizeAll(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        if (!info[0].IsArray()) throw Failure("OPTION_INVALID", "texts must be a list.");
        const Napi::Array array = info[0].As<Napi::Array>();
        std::vector<std::string> texts;
        for (uint32_t i = 0; i < array.Length(); ++i) texts.push_back(to_text(array.Get(i), "A text"));
        const bool add_special = to_flag(info[1], "addSpecial"), parse_special = to_flag(info[2], "parseSpecial");
        lock_model(model_);
        Worker & worker = tokenizer_of(env);
        return worker.submit(
            std::make_unique<TokenizeJob>(model_, std::move(texts), add_special, parse_special, worker.cancelled()),
            Value());
    });
}

Napi::Value ModelHandle::Detokenize(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const std::string text =
            model()->detokenize(to_vector<int32_t>(info[0], "tokens"), to_flag(info[1], "renderSpecial"));
        return Napi::Buffer<char>::Copy(info.Env(), text.data(), text.size());
    });
}

Napi::Value ModelHandle::TokenTexts(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const int32_t from = to_integer(info[0], "from"), to = to_integer(info[1], "to");
        const auto model = this->model();
        Napi::Array texts = Napi::Array::New(info.Env());
        for (int32_t token = from; token < to; ++token) {
            texts.Set(static_cast<uint32_t>(token - from), Napi::String::New(info.Env(), model->token_text(token)));
        }
        return texts;
    });
}

Napi::Value ModelHandle::TokenAttributes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(),
                   [&] { return to_typed_array<Napi::Int32Array>(info.Env(), model()->token_attributes()); });
}

Napi::Value ModelHandle::EndOfGeneration(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto model = this->model();
        std::vector<uint8_t> flags(static_cast<size_t>(model->vocabulary_size()));
        for (size_t token = 0; token < flags.size(); ++token) {
            flags[token] = model->ends_generation(static_cast<int32_t>(token)) ? 1 : 0;
        }
        return to_typed_array<Napi::Uint8Array>(info.Env(), flags);
    });
}

Napi::Value ModelHandle::VocabularyHash(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return to_hex(info.Env(), model()->vocabulary_hash(to_integer(info[0], "to"))); });
}

Napi::Value ModelHandle::TokenizerHash(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] { return to_hex(info.Env(), model()->tokenizer_hash()); });
}

}  // namespace eft
