#include "llama/header.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <system_error>
#include <utility>
#include <vector>

#ifndef _WIN32
#include <sys/stat.h>
#endif

#include "failure.h"
#include "llama/api.h"
#include "llama/backend.h"
#include "llama/entries.h"
#include "llama/log.h"

namespace eft {
namespace {

// llama.cpp asserts on the first, the other is far beyond any file that exists.
constexpr uint32_t kMaxLayers = 512;
constexpr int64_t kMaxTensors = 1 << 20;
constexpr uint32_t kMaxParts = 1000;
constexpr size_t kPartSuffix = 20;

/// Headers of so many models are kept: those of a few recipes. Each takes some hundred kilobytes, mostly for its
/// tensors.
constexpr size_t kMaxKept = 16;
/// No file system tells times apart less finely.
constexpr std::chrono::seconds kFinestTime{2};

struct GgufDeleter {
    void operator()(gguf_context * gguf) const { llama_api().gguf_free(gguf); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

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
    if (bytes < 24) refuse_gguf(path, "it has only " + std::to_string(bytes) + " bytes");
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
    } catch (...) {
        reason = " llama.cpp says: " + words_of_exception();
    }
    refuse_gguf(path, "its header cannot be read." + reason);
}

const char * quantization_name(uint64_t type) {
#define EFT_MOSTLY(name) \
    case LLAMA_FTYPE_MOSTLY_##name: return #name;
    // clang-format off
    switch (type) {
        case LLAMA_FTYPE_ALL_F32: return "F32";
        EFT_MOSTLY(F16)
        EFT_MOSTLY(Q4_0)
        EFT_MOSTLY(Q4_1)
        EFT_MOSTLY(Q8_0)
        EFT_MOSTLY(Q5_0)
        EFT_MOSTLY(Q5_1)
        EFT_MOSTLY(Q2_K)
        EFT_MOSTLY(Q3_K_S)
        EFT_MOSTLY(Q3_K_M)
        EFT_MOSTLY(Q3_K_L)
        EFT_MOSTLY(Q4_K_S)
        EFT_MOSTLY(Q4_K_M)
        EFT_MOSTLY(Q5_K_S)
        EFT_MOSTLY(Q5_K_M)
        EFT_MOSTLY(Q6_K)
        EFT_MOSTLY(IQ2_XXS)
        EFT_MOSTLY(IQ2_XS)
        EFT_MOSTLY(Q2_K_S)
        EFT_MOSTLY(IQ3_XS)
        EFT_MOSTLY(IQ3_XXS)
        EFT_MOSTLY(IQ1_S)
        EFT_MOSTLY(IQ4_NL)
        EFT_MOSTLY(IQ3_S)
        EFT_MOSTLY(IQ3_M)
        EFT_MOSTLY(IQ2_S)
        EFT_MOSTLY(IQ2_M)
        EFT_MOSTLY(IQ4_XS)
        EFT_MOSTLY(IQ1_M)
        EFT_MOSTLY(BF16)
        EFT_MOSTLY(TQ1_0)
        EFT_MOSTLY(TQ2_0)
        EFT_MOSTLY(MXFP4_MOE)
        EFT_MOSTLY(NVFP4)
        EFT_MOSTLY(Q1_0)
        EFT_MOSTLY(Q2_0)
        default: return "";
    }
        // clang-format on
#undef EFT_MOSTLY
}

/// Counts what one file holds, and lists it.
void add_tensors(Header & header, const std::string & path, const Entries & entries, uint64_t file_bytes) {
    const LlamaApi & api = entries.api;
    const int64_t count = api.gguf_get_n_tensors(entries.gguf);
    if (count > kMaxTensors) refuse_gguf(path, "it announces an impossible number of tensors");
    uint64_t end = 0;
    for (int64_t i = 0; i < count; ++i) {
        const uint64_t size = api.gguf_get_tensor_size(entries.gguf, i);
        TensorInfo tensor{
            path, api.gguf_get_tensor_name(entries.gguf, i), api.gguf_get_tensor_type(entries.gguf, i), {}, size};
        std::copy_n(api.gguf_get_tensor_ne(entries.gguf, i), GGML_MAX_DIMS, tensor.shape);
        check_tensor(api, tensor);
        header.tensor_bytes += size;
        header.parameters +=
            std::accumulate(tensor.shape, tensor.shape + GGML_MAX_DIMS, uint64_t{1}, std::multiplies<>());
        end = std::max<uint64_t>(
            end, api.gguf_get_data_offset(entries.gguf) + api.gguf_get_tensor_offset(entries.gguf, i) + size);
        header.tensors.push_back(std::move(tensor));
    }
    if (end > file_bytes) {
        refuse_gguf(path, "it is truncated: its tensors need " + std::to_string(end) + " bytes and the file has " +
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
        refuse_gguf(path, "it says that it is the first " + whole + ", whose name must end with " +
                              part_suffix(1, count) + " as the other names do");
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
            refuse_gguf(part, "it is not number " + std::to_string(number) + " " + whole + " with " + path);
        }
        add_tensors(header, part, entries, bytes);
    }
    if (announced_tensors >= 0 && announced_tensors != header.tensor_count) {
        refuse_gguf(path, "its parts hold " + std::to_string(header.tensor_count) + " tensors instead of " +
                              std::to_string(announced_tensors) + ", so one of them is of another model");
    }
}

/// Whether an entry decides how a text is cut into tokens. Templates do not, nor do the ids with which texts begin and
/// end: fine-tuned models often have others than their bases.
bool concerns_tokenizer(const std::string & key) {
    const auto begins_with = [&](const char * start) { return key.rfind(start, 0) == 0; };
    if (!begins_with("tokenizer.") || begins_with("tokenizer.chat_template")) return false;
    for (const char * token : {"bos", "eos", "eot", "eom", "padding"}) {
        if (key == std::string("tokenizer.ggml.") + token + "_token_id") return false;
    }
    return true;
}

Header read_whole_header(const std::string & path, uint64_t bytes) {
    const LlamaApi & api = llama_api();
    Header header{};
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
    header.tokenizer_hash = entries.hash(concerns_tokenizer);
    const int64_t tokens = entries.find("tokenizer.ggml.tokens", GGUF_TYPE_ARRAY);
    header.vocabulary_size = tokens < 0 ? 0 : static_cast<int64_t>(api.gguf_get_arr_n(gguf.get(), tokens));
    const int64_t eos = entries.find("tokenizer.ggml.eos_token_id", GGUF_TYPE_UINT32);
    header.eos = eos < 0 ? -1 : static_cast<int64_t>(api.gguf_get_val_u32(gguf.get(), eos));
    const std::vector<uint64_t> sections = entries.numbers(header.architecture + ".rope.dimension_sections");
    header.has_rope_sections = std::any_of(sections.begin(), sections.end(), [](uint64_t size) { return size != 0; });
    header.is_activated_lora = api.gguf_find_key(gguf.get(), "adapter.alora.invocation_tokens") >= 0;
    if (header.architecture.empty()) refuse_gguf(path, "it names no architecture");
    if (header.type != "adapter" && (header.block_count < 1 || header.block_count > kMaxLayers)) {
        refuse_gguf(path, "it announces " + std::to_string(header.block_count) + " layers");
    }
    add_tensors(header, path, entries, bytes);
    if (header.split_count > 1) {
        const int64_t id = entries.find("split.tensors.count", GGUF_TYPE_INT32);
        add_parts(header, path, id < 0 ? -1 : api.gguf_get_val_i32(gguf.get(), id));
    }
    header.dimensions = read_dimensions(entries, header.architecture, header.tensors);
    if (header.type != "adapter") check_dimensions(entries, path, header.architecture, header.tensors);
    if (const auto type = entries.number("general.file_type")) header.quantization = quantization_name(*type);
    header.entries = list_entries(entries, kMaxLayers);
    return header;
}

/// Of a whole model, or of all parts. By the name alone: this is asked on the JavaScript thread, and of files that are
/// not there, too.
std::vector<std::string> files_of(const std::string & path) {
    uint32_t count = 1;
    if (path.size() > kPartSuffix &&
        std::sscanf(path.c_str() + path.size() - kPartSuffix, "-00001-of-%5u.gguf", &count) != 1)
        count = 1;
    std::vector<std::string> files = count > kMaxParts ? std::vector<std::string>() : name_parts(path, count);
    if (files.empty()) files = {path};
    return files;
}

/// Packages give all their files one time of writing, and a copy may keep it; nobody can choose this one. Windows tells
/// it to none but who opens the file.
std::string last_change(const std::filesystem::path & file) {
#ifdef _WIN32
    (void)file;
    return "";
#else
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0) return "";
#ifdef __APPLE__
    const timespec & time = status.st_ctimespec;
#else
    const timespec & time = status.st_ctim;
#endif
    return " " + std::to_string(status.st_ino) + " " + std::to_string(time.tv_sec) + "." + std::to_string(time.tv_nsec);
#endif
}

/// Whether its files were written so long ago that whatever is written to them now has another time.
bool is_settled(const std::string & path) {
    const auto now = std::filesystem::file_time_type::clock::now();
    const std::vector<std::string> files = files_of(path);
    return std::all_of(files.begin(), files.end(), [&](const std::string & file) {
        std::error_code error;
        const auto time = std::filesystem::last_write_time(std::filesystem::u8path(file), error);
        return !error && time + kFinestTime < now;
    });
}

}  // namespace

std::string file_identity(const std::string & path) {
    std::string identity;
    for (const std::string & file : files_of(path)) {
        std::error_code error;
        const auto canonical = std::filesystem::canonical(std::filesystem::u8path(file), error);
        if (error) {
            identity += file + "\n";
            continue;
        }
        // libc++ counts in 128 bits, which std::to_string() does not know.
        const auto time =
            static_cast<long long>(std::filesystem::last_write_time(canonical, error).time_since_epoch().count());
        const auto size = std::filesystem::file_size(canonical, error);
        identity += canonical.u8string() + " " + std::to_string(size) + " " + std::to_string(time) +
                    last_change(canonical) + "\n";
    }
    return identity;
}

Header read_header(const std::string & path) {
    const uint64_t bytes = check_file(path);
    static std::mutex mutex;
    static std::deque<std::pair<std::string, Header>> kept;
    // With the path, which tensors know.
    const std::string key = path + "\n" + file_identity(path);
    {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto found = std::find_if(kept.begin(), kept.end(), [&](const auto & each) { return each.first == key; });
        if (found != kept.end()) return found->second;
    }
    Header header = read_whole_header(path, bytes);
    if (!is_settled(path) || path + "\n" + file_identity(path) != key) return header;
    const std::lock_guard<std::mutex> lock(mutex);
    kept.emplace_front(key, header);
    if (kept.size() > kMaxKept) kept.pop_back();
    return header;
}

std::string part_with_tensor(const std::string & path, uint32_t count, const std::string & tensor) {
    for (const std::string & part : name_parts(path, count)) {
        const Gguf gguf = open(part);
        if (llama_api().gguf_find_tensor(gguf.get(), tensor.c_str()) >= 0) return part;
    }
    return "";
}

}  // namespace eft
