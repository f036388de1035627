#include "header.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>

#include "backend.h"
#include "failure.h"
#include "llama-api.h"
#include "log.h"

namespace eft {
namespace {

// llama.cpp asserts on the first, the other is far beyond any file that exists.
constexpr uint32_t kMaxLayers = 512;
constexpr int64_t kMaxTensors = 1 << 20;

struct GgufDeleter {
    void operator()(gguf_context * gguf) const { llama_api().gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

[[noreturn]] void refuse(const std::string & path, const std::string & what) {
    throw Failure("MODEL_INVALID", path + " is not a usable GGUF file: " + what +
                                       ". Download or convert it again, and check that the copy is complete.");
}

uint64_t check_file(const std::string & path) {
    std::error_code error;
    const std::filesystem::path file = std::filesystem::u8path(path);
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        throw Failure("MODEL_NOT_FOUND", "There is no model file at " + path + ".");
    }
    if (status.type() == std::filesystem::file_type::directory) {
        throw Failure("MODEL_NOT_FOUND", path + " is a folder; name a .gguf file inside it.");
    }
    if (status.type() != std::filesystem::file_type::regular) {
        throw Failure("MODEL_NOT_FOUND", path + " is not a regular file.");
    }
    const uint64_t bytes = std::filesystem::file_size(file, error);
    if (error) throw Failure("MODEL_NOT_FOUND", path + " cannot be read: " + error.message() + ".");
    if (bytes < 24) refuse(path, "it has only " + std::to_string(bytes) + " bytes");
    return bytes;
}

Gguf open(const std::string & path) {
    const AssertionGuard guard;
    const LogCapture log;
    std::string reason;
    try {
        Gguf gguf(llama_api().gguf_init_from_file(path.c_str(), {/*no_alloc=*/true, /*ctx=*/nullptr}));
        if (gguf) return gguf;
        reason = log.said();
    } catch (const std::exception & exception) {
        reason = std::string(" ") + exception.what();
    }
    refuse(path, "its header cannot be read." + reason);
}

/// The entries of one file.
struct Entries {
    const LlamaApi & api;
    const gguf_context * gguf;

    /// -1 if there is none of that type.
    int64_t find(const std::string & key, gguf_type type) const {
        const int64_t id = api.gguf_find_key(gguf, key.c_str());
        return id >= 0 && api.gguf_get_kv_type(gguf, id) == type ? id : -1;
    }

    std::string string(const std::string & key) const {
        const int64_t id = find(key, GGUF_TYPE_STRING);
        return id < 0 ? "" : api.gguf_get_val_str(gguf, id);
    }

    uint32_t count(const std::string & key) const {
        const int64_t wide = find(key, GGUF_TYPE_UINT32), narrow = find(key, GGUF_TYPE_UINT16);
        if (wide >= 0) return api.gguf_get_val_u32(gguf, wide);
        return narrow >= 0 ? api.gguf_get_val_u16(gguf, narrow) : 0;
    }

    bool any_nonzero(const std::string & key) const {
        const int64_t id = find(key, GGUF_TYPE_ARRAY);
        if (id < 0) return false;
        const gguf_type type = api.gguf_get_arr_type(gguf, id);
        if (type != GGUF_TYPE_INT32 && type != GGUF_TYPE_UINT32) return false;
        const auto * values = static_cast<const int32_t *>(api.gguf_get_arr_data(gguf, id));
        return std::any_of(values, values + api.gguf_get_arr_n(gguf, id), [](int32_t value) { return value != 0; });
    }
};

/// ggml asserts that what it adds under the root of a norm is not negative.
void check_epsilons(const Entries & entries, const std::string & path, const std::string & architecture) {
    for (const char * name : {"layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon"}) {
        const std::string key = architecture + ".attention." + name;
        const int64_t id = entries.find(key, GGUF_TYPE_FLOAT32);
        if (id < 0) continue;
        const float value = entries.api.gguf_get_val_f32(entries.gguf, id);
        if (!(value >= 0) || std::isinf(value)) refuse(path, "its " + key + " is " + std::to_string(value));
    }
}

bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

/// ggml multiplies matrices of floats and of quantized blocks, and adds vectors of float32 to its float32 activations;
/// with other types it aborts or reads where nothing is. Tables of token ids are the only integers.
void check_tensor_type(const LlamaApi & api, const std::string & path, const std::string & name, ggml_type type) {
    const bool is_table = name.find("tid2eid") != std::string::npos || name == "d2t";
    const bool is_vector = ends_with(name, "norm.weight") || ends_with(name, ".bias");
    const bool is_float = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    const bool fits = is_table || type == GGML_TYPE_F32 || (!is_vector && (is_float || api.ggml_is_quantized(type)));
    if (!fits) refuse(path, "its tensor " + name + " is of the type " + api.ggml_type_name(type));
}

}  // namespace

Header read_header(const std::string & path) {
    const LlamaApi & api = llama_api();
    Header header{};
    header.file_bytes = check_file(path);
    const Gguf gguf = open(path);
    const Entries entries{api, gguf.get()};

    header.architecture = entries.string("general.architecture");
    header.type = entries.string("general.type");
    header.block_count = entries.count(header.architecture + ".block_count");
    header.split_count = entries.count("split.count");
    const int64_t tokens = entries.find("tokenizer.ggml.tokens", GGUF_TYPE_ARRAY);
    header.vocabulary_size = tokens < 0 ? 0 : static_cast<int64_t>(api.gguf_get_arr_n(gguf.get(), tokens));
    const int64_t eos = entries.find("tokenizer.ggml.eos_token_id", GGUF_TYPE_UINT32);
    header.eos = eos < 0 ? -1 : static_cast<int64_t>(api.gguf_get_val_u32(gguf.get(), eos));
    header.has_rope_sections = entries.any_nonzero(header.architecture + ".rope.dimension_sections");
    header.tensor_count = api.gguf_get_n_tensors(gguf.get());
    if (header.architecture.empty()) refuse(path, "it names no architecture");
    if (header.tensor_count > kMaxTensors) refuse(path, "it announces an impossible number of tensors");
    if (header.type != "adapter" && (header.block_count < 1 || header.block_count > kMaxLayers)) {
        refuse(path, "it announces " + std::to_string(header.block_count) + " layers");
    }
    check_epsilons(entries, path, header.architecture);

    uint64_t end = 0;
    for (int64_t i = 0; i < header.tensor_count; ++i) {
        check_tensor_type(api, path, api.gguf_get_tensor_name(gguf.get(), i), api.gguf_get_tensor_type(gguf.get(), i));
        const uint64_t size = api.gguf_get_tensor_size(gguf.get(), i);
        header.tensor_bytes += size;
        end = std::max<uint64_t>(
            end, api.gguf_get_data_offset(gguf.get()) + api.gguf_get_tensor_offset(gguf.get(), i) + size);
    }
    if (end > header.file_bytes) {
        refuse(path, "it is truncated: its tensors need " + std::to_string(end) + " bytes and the file has " +
                         std::to_string(header.file_bytes));
    }
    return header;
}

}  // namespace eft
