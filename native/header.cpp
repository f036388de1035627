#include "header.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

#include "backend.h"
#include "failure.h"
#include "llama-api.h"
#include "log.h"

namespace eft {
namespace {

// llama.cpp asserts on the first, the other is far beyond any file that exists.
constexpr uint32_t kMaxLayers = 512;
constexpr int64_t kMaxTensors = 1 << 20;
constexpr uint32_t kMaxParts = 1000;
constexpr size_t kPartSuffix = 20;

struct GgufDeleter {
    void operator()(gguf_context * gguf) const { llama_api().gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

[[noreturn]] void refuse(const std::string & path, const std::string & what) {
    throw Failure("MODEL_INVALID", path + " is not a usable GGUF file: " + what +
                                       ". Download or convert it again, and check that the copy is complete.");
}

[[noreturn]] void refuse_to_read(const std::string & path, const std::string & reason) {
    throw Failure("FILE_UNREADABLE", path + " cannot be read: " + reason + ". Check its permissions.");
}

uint64_t check_file(const std::string & path) {
    std::error_code error;
    const std::filesystem::path file = std::filesystem::u8path(path);
    const auto status = std::filesystem::status(file, error);
    if (status.type() == std::filesystem::file_type::not_found) {
        throw Failure("MODEL_NOT_FOUND", "There is no model file at " + path + ".");
    }
    if (status.type() == std::filesystem::file_type::none) refuse_to_read(path, error.message());
    if (status.type() == std::filesystem::file_type::directory) {
        throw Failure("MODEL_NOT_FOUND", path + " is a folder; name a .gguf file inside it.");
    }
    if (status.type() != std::filesystem::file_type::regular) {
        throw Failure("MODEL_NOT_FOUND",
                      path + " is not a regular file, which a model must be; write it to the disk first.");
    }
    const uint64_t bytes = std::filesystem::file_size(file, error);
    if (error) refuse_to_read(path, error.message());
    errno = 0;
    if (!std::ifstream(file)) refuse_to_read(path, std::generic_category().message(errno));
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

/// Counts what one file holds.
void add_tensors(Header & header, const std::string & path, const Entries & entries, uint64_t file_bytes) {
    const LlamaApi & api = entries.api;
    const int64_t count = api.gguf_get_n_tensors(entries.gguf);
    if (count > kMaxTensors) refuse(path, "it announces an impossible number of tensors");
    uint64_t end = 0;
    for (int64_t i = 0; i < count; ++i) {
        check_tensor_type(api, path, api.gguf_get_tensor_name(entries.gguf, i),
                          api.gguf_get_tensor_type(entries.gguf, i));
        const uint64_t size = api.gguf_get_tensor_size(entries.gguf, i);
        header.tensor_bytes += size;
        end = std::max<uint64_t>(
            end, api.gguf_get_data_offset(entries.gguf) + api.gguf_get_tensor_offset(entries.gguf, i) + size);
    }
    if (end > file_bytes) {
        refuse(path, "it is truncated: its tensors need " + std::to_string(end) + " bytes and the file has " +
                         std::to_string(file_bytes));
    }
    header.tensor_count += count;
    header.file_bytes += file_bytes;
}

/// "-00002-of-00003.gguf"
std::string part_suffix(uint32_t number, uint32_t count) {
    char suffix[40];
    std::snprintf(suffix, sizeof(suffix), "-%05u-of-%05u.gguf", number, count);
    return suffix;
}

/// Its first `count` parts lie beside each other; empty if the name is not that of a first part.
std::vector<std::string> name_parts(const std::string & first, uint32_t count) {
    const std::string suffix = part_suffix(1, count);
    if (!ends_with(first, suffix)) return {};
    const std::string prefix = first.substr(0, first.size() - suffix.size());
    std::vector<std::string> parts;
    for (uint32_t number = 1; number <= count; ++number) parts.push_back(prefix + part_suffix(number, count));
    return parts;
}

/// The parts behind the first one, which `header` knows already. llama.cpp finds them by their names, too.
void add_parts(Header & header, const std::string & path, int64_t announced_tensors) {
    const uint32_t count = header.split_count;
    const std::vector<std::string> parts = name_parts(path, std::min(count, kMaxParts));
    const std::string whole = "of the " + std::to_string(count) + " parts of a model";
    if (count > kMaxParts || parts.empty()) {
        refuse(path, "it says that it is the first " + whole + ", whose name must end with " + part_suffix(1, count) +
                         " as the other names do");
    }
    for (uint32_t number = 2; number <= count; ++number) {
        const std::string & part = parts[number - 1];
        std::error_code error;
        if (std::filesystem::status(std::filesystem::u8path(part), error).type() ==
            std::filesystem::file_type::not_found) {
            throw Failure("MODEL_NOT_FOUND", "There is no file " + part + ", one " + whole + " with " + path + ".");
        }
        const uint64_t bytes = check_file(part);
        const Gguf gguf = open(part);
        const Entries entries{llama_api(), gguf.get()};
        if (entries.count("split.no") != number - 1 || entries.count("split.count") != count) {
            refuse(part, "it is not number " + std::to_string(number) + " " + whole + " with " + path);
        }
        add_tensors(header, part, entries, bytes);
    }
    if (announced_tensors >= 0 && announced_tensors != header.tensor_count) {
        refuse(path, "its parts hold " + std::to_string(header.tensor_count) + " tensors instead of " +
                         std::to_string(announced_tensors) + ", so one of them is of another model");
    }
}

}  // namespace

Header read_header(const std::string & path) {
    const LlamaApi & api = llama_api();
    Header header{};
    const uint64_t bytes = check_file(path);
    const Gguf gguf = open(path);
    const Entries entries{api, gguf.get()};

    header.split_count = entries.count("split.count");
    const uint32_t number = entries.count("split.no") + 1;
    if (number > 1) {
        throw Failure("MODEL_NOT_FOUND",
                      path + " is part " + std::to_string(number) + " of " + std::to_string(header.split_count) +
                          " of a model, and the first part is not beside it; bring the parts together.");
    }
    header.architecture = entries.string("general.architecture");
    header.type = entries.string("general.type");
    header.block_count = entries.count(header.architecture + ".block_count");
    header.expert_count = entries.count(header.architecture + ".expert_count");
    header.tokenizer = entries.string("tokenizer.ggml.model");
    const int64_t tokens = entries.find("tokenizer.ggml.tokens", GGUF_TYPE_ARRAY);
    header.vocabulary_size = tokens < 0 ? 0 : static_cast<int64_t>(api.gguf_get_arr_n(gguf.get(), tokens));
    const int64_t eos = entries.find("tokenizer.ggml.eos_token_id", GGUF_TYPE_UINT32);
    header.eos = eos < 0 ? -1 : static_cast<int64_t>(api.gguf_get_val_u32(gguf.get(), eos));
    header.has_rope_sections = entries.any_nonzero(header.architecture + ".rope.dimension_sections");
    header.is_activated_lora = api.gguf_find_key(gguf.get(), "adapter.alora.invocation_tokens") >= 0;
    if (header.architecture.empty()) refuse(path, "it names no architecture");
    if (header.type != "adapter" && (header.block_count < 1 || header.block_count > kMaxLayers)) {
        refuse(path, "it announces " + std::to_string(header.block_count) + " layers");
    }
    check_epsilons(entries, path, header.architecture);
    add_tensors(header, path, entries, bytes);
    if (header.split_count > 1) {
        const int64_t id = entries.find("split.tensors.count", GGUF_TYPE_INT32);
        add_parts(header, path, id < 0 ? -1 : api.gguf_get_val_i32(gguf.get(), id));
    }
    return header;
}

std::string part_with_tensor(const std::string & path, uint32_t count, const std::string & tensor) {
    for (const std::string & part : name_parts(path, count)) {
        const Gguf gguf = open(part);
        if (llama_api().gguf_find_tensor(gguf.get(), tensor.c_str()) >= 0) return part;
    }
    return "";
}

std::string file_identity(const std::string & path) {
    // Of parts by the name alone: this is asked on the JavaScript thread, and of files that are not there, too.
    uint32_t count = 1;
    if (path.size() > kPartSuffix &&
        std::sscanf(path.c_str() + path.size() - kPartSuffix, "-00001-of-%5u.gguf", &count) != 1)
        count = 1;
    std::vector<std::string> files = count > kMaxParts ? std::vector<std::string>() : name_parts(path, count);
    if (files.empty()) files = {path};

    std::string identity;
    for (const std::string & file : files) {
        std::error_code error;
        const auto canonical = std::filesystem::canonical(std::filesystem::u8path(file), error);
        if (error) {
            identity += file + "\n";
            continue;
        }
        const auto time = std::filesystem::last_write_time(canonical, error).time_since_epoch().count();
        const auto size = std::filesystem::file_size(canonical, error);
        identity += canonical.u8string() + " " + std::to_string(size) + " " + std::to_string(time) + "\n";
    }
    return identity;
}

}  // namespace eft
