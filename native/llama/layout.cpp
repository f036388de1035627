#include "llama/layout.h"

#include <cstddef>
#include <cstring>
#include <new>
#include <vector>

#include "failure.h"

namespace eft {
namespace {

// clang-format off
// Fields, and the defaults of the release: those of llama_model_default_params() and so on.
#define EFT_MODEL_PARAMS(X) \
    X(devices, nullptr) X(tensor_buft_overrides, nullptr) X(n_gpu_layers, -1) X(split_mode, LLAMA_SPLIT_MODE_LAYER) \
    X(load_mode, LLAMA_LOAD_MODE_AUTO) X(lazy_mode, LLAMA_LAZY_MODE_AUTO) X(main_gpu, 0) X(tensor_split, nullptr) \
    X(progress_callback, nullptr) X(progress_callback_user_data, nullptr) X(kv_overrides, nullptr) X(vocab_only, false) \
    X(check_tensors, false) X(use_extra_bufts, true) X(no_host, false) X(no_alloc, false) X(load_mtp, false)

#define EFT_CONTEXT_PARAMS(X) \
    X(n_ctx, 512) X(n_batch, 2048) X(n_ubatch, 512) X(n_seq_max, 1) X(n_rs_seq, 0) X(n_outputs_max, 0) \
    X(n_outputs_max_per_seq, 1) X(n_threads, GGML_DEFAULT_N_THREADS) X(n_threads_batch, GGML_DEFAULT_N_THREADS) \
    X(ctx_type, LLAMA_CONTEXT_TYPE_DEFAULT) X(rope_scaling_type, LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED) \
    X(pooling_type, LLAMA_POOLING_TYPE_UNSPECIFIED) X(attention_type, LLAMA_ATTENTION_TYPE_UNSPECIFIED) \
    X(flash_attn_type, LLAMA_FLASH_ATTN_TYPE_AUTO) X(rope_freq_base, 0) X(rope_freq_scale, 0) X(yarn_ext_factor, -1) \
    X(yarn_attn_factor, -1) X(yarn_beta_fast, -1) X(yarn_beta_slow, -1) X(yarn_orig_ctx, 0) X(defrag_thold, -1) \
    X(cb_eval, nullptr) X(cb_eval_user_data, nullptr) X(type_k, GGML_TYPE_F16) X(type_v, GGML_TYPE_F16) \
    X(abort_callback, nullptr) X(abort_callback_data, nullptr) X(embeddings, false) X(offload_kqv, true) X(no_perf, true) \
    X(op_offload, true) X(swa_full, true) X(kv_unified, false) X(samplers, nullptr) X(n_samplers, 0) X(ctx_other, nullptr)

#define EFT_THREADPOOL_PARAMS(X) \
    X(n_threads, ARGUMENT) X(prio, GGML_SCHED_PRIO_NORMAL) X(poll, 50) X(strict_cpu, false) X(paused, false)

#define EFT_BATCH(X) \
    X(n_tokens, ARGUMENT) X(token, &token) X(embd, nullptr) X(pos, nullptr) X(n_seq_id, nullptr) X(seq_id, nullptr) \
    X(logits, nullptr)
// clang-format on

/// A number that no default is.
constexpr int ARGUMENT = 77;

struct Field {
    const char * name;
    size_t offset, size;
};

/// Larger than every structure. A function that returns so much is called as one that returns a structure of its own:
/// all of them get the address of a place for it.
struct Room {
    unsigned char bytes[4096];
};

template <typename... Arguments>
void call(Room & room, Room (*function)(Arguments...), unsigned char fill, Arguments... arguments) {
    // Nobody may take what lies there before the call for unused.
    volatile unsigned char * bytes = room.bytes;
    for (size_t i = 0; i < sizeof(Room); i++) bytes[i] = fill;
    new (&room) Room(function(arguments...));
}

/// What is wrong; empty: nothing. `function` fills a structure that is expected to be as `expected`.
template <typename Structure, typename... Arguments>
std::string compare(Structure (*function)(Arguments...), const Structure & expected, const std::vector<Field> & fields,
                    Arguments... arguments) {
    static_assert(sizeof(Structure) > 16 && sizeof(Structure) < sizeof(Room), "smaller ones are returned in registers");
    constexpr unsigned char first_fill = 0x5a, second_fill = 0xa5;
    const auto as_room = reinterpret_cast<Room (*)(Arguments...)>(reinterpret_cast<void (*)()>(function));
    Room first, second;
    call(first, as_room, first_fill, arguments...);
    call(second, as_room, second_fill, arguments...);
    const auto written = [&](size_t i) { return first.bytes[i] != first_fill || second.bytes[i] != second_fill; };

    size_t size = sizeof(Room);
    while (size > 0 && !written(size - 1)) size--;
    // Nobody need write what is left to round a size up.
    const size_t rounded = (size + alignof(Structure) - 1) / alignof(Structure) * alignof(Structure);
    if (rounded != sizeof(Structure)) {
        return "has " + std::to_string(rounded) + " bytes instead of " + std::to_string(sizeof(Structure));
    }
    for (const Field & field : fields) {
        for (size_t i = field.offset; i < field.offset + field.size; i++) {
            if (!written(i)) return std::string("has a gap where ") + field.name + " is expected";
        }
        const auto * bytes = reinterpret_cast<const unsigned char *>(&expected) + field.offset;
        if (std::memcmp(first.bytes + field.offset, bytes, field.size) != 0) {
            return std::string("has something else where ") + field.name + " is expected";
        }
    }
    return "";
}

}  // namespace

void check_layout(const LlamaApi & api, const std::string & library) {
    const auto require = [&](const char * structure, const std::string & difference) {
        if (difference.empty()) return;
        throw Failure("LLAMA_VERSION_MISMATCH", library + " is llama.cpp " + api.llama_version() +
                                                    ", for which the addon was compiled, but of changed sources: its " +
                                                    structure + " " + difference + ". " + restore_libraries);
    };
#define EFT_SET(name, value) expected.name = value;
#define EFT_FIELD(name, value) {#name, offsetof(Structure, name), sizeof(expected.name)},
    {
        using Structure = llama_model_params;
        Structure expected{};
        EFT_MODEL_PARAMS(EFT_SET)
        require("llama_model_params", compare(api.llama_model_default_params, expected, {EFT_MODEL_PARAMS(EFT_FIELD)}));
    }
    {
        using Structure = llama_context_params;
        Structure expected{};
        EFT_CONTEXT_PARAMS(EFT_SET)
        require("llama_context_params",
                compare(api.llama_context_default_params, expected, {EFT_CONTEXT_PARAMS(EFT_FIELD)}));
    }
    {
        using Structure = llama_batch;
        Structure expected{};
        llama_token token = 0;
        EFT_BATCH(EFT_SET)
        require("llama_batch",
                compare(api.llama_batch_get_one, expected, {EFT_BATCH(EFT_FIELD)}, &token, int32_t{ARGUMENT}));
    }
    {
        using Structure = ggml_threadpool_params;
        Structure expected{};
        EFT_THREADPOOL_PARAMS(EFT_SET)
        require("ggml_threadpool_params", compare(api.ggml_threadpool_params_default, expected,
                                                  {EFT_FIELD(cpumask, ) EFT_THREADPOOL_PARAMS(EFT_FIELD)}, ARGUMENT));
    }
#undef EFT_SET
#undef EFT_FIELD
}

}  // namespace eft
