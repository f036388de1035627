// The entries of one GGUF file, and what is wrong with them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "failure.h"
#include "llama/api.h"
#include "llama/hash.h"

namespace eft {

[[noreturn]] inline void refuse_gguf(const std::string & path, const std::string & what) {
    throw Failure("MODEL_INVALID", path + " is not a usable GGUF file: " + what +
                                       ". Download or convert it again, and check that the copy is complete.");
}

/// Of names of tensors and files.
inline bool ends_with(const std::string & text, const std::string & end) {
    return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

struct Entries {
    const LlamaApi & api;
    const gguf_context * gguf;

    bool has(const std::string & key) const { return api.gguf_find_key(gguf, key.c_str()) >= 0; }

    /// -1 if there is none of that type.
    int64_t find(const std::string & key, gguf_type type) const {
        const int64_t id = api.gguf_find_key(gguf, key.c_str());
        return id >= 0 && api.gguf_get_kv_type(gguf, id) == type ? id : -1;
    }

    std::string string(const std::string & key) const {
        const int64_t id = find(key, GGUF_TYPE_STRING);
        return id < 0 ? "" : api.gguf_get_val_str(gguf, id);
    }

    /// An integer of any width, though llama.cpp takes most in 32 bits alone; nothing where there is none, and for
    /// negative ones.
    std::optional<uint64_t> number(const std::string & key) const {
        const int64_t id = api.gguf_find_key(gguf, key.c_str());
        if (id < 0) return std::nullopt;
        int64_t value = -1;
        switch (api.gguf_get_kv_type(gguf, id)) {
            case GGUF_TYPE_UINT16: value = api.gguf_get_val_u16(gguf, id); break;
            case GGUF_TYPE_UINT32: value = api.gguf_get_val_u32(gguf, id); break;
            case GGUF_TYPE_INT32: value = api.gguf_get_val_i32(gguf, id); break;
            case GGUF_TYPE_UINT64: return api.gguf_get_val_u64(gguf, id);
            default: break;
        }
        return value < 0 ? std::nullopt : std::optional<uint64_t>(value);
    }

    /// 0 where there is none in the form in which llama.cpp takes it.
    uint32_t count(const std::string & key) const {
        const int64_t wide = find(key, GGUF_TYPE_UINT32), narrow = find(key, GGUF_TYPE_UINT16);
        if (wide >= 0) return api.gguf_get_val_u32(gguf, wide);
        return narrow >= 0 ? api.gguf_get_val_u16(gguf, narrow) : 0;
    }

    /// The elements of an array of integers of 32 bits, empty where there is none; negative ones are 0.
    std::vector<uint64_t> numbers(const std::string & key) const {
        const int64_t id = find(key, GGUF_TYPE_ARRAY);
        if (id < 0) return {};
        const gguf_type type = api.gguf_get_arr_type(gguf, id);
        if (type != GGUF_TYPE_INT32 && type != GGUF_TYPE_UINT32) return {};
        const void * data = api.gguf_get_arr_data(gguf, id);
        const size_t count = api.gguf_get_arr_n(gguf, id);
        if (type == GGUF_TYPE_UINT32) {
            const auto * values = static_cast<const uint32_t *>(data);
            return {values, values + count};
        }
        std::vector<uint64_t> result(count);
        const auto * values = static_cast<const int32_t *>(data);
        std::transform(values, values + count, result.begin(), [](int32_t value) { return std::max(value, 0); });
        return result;
    }

    /// Of keys, types and values of the entries for which `wanted(key)`, whatever their order.
    template <typename Wanted>
    uint64_t hash(Wanted && wanted) const {
        uint64_t sum = 0;
        for (int64_t id = 0; id < api.gguf_get_n_kv(gguf); ++id) {
            const char * key = api.gguf_get_key(gguf, id);
            if (!wanted(std::string(key))) continue;
            gguf_type type = api.gguf_get_kv_type(gguf, id);
            ContentHash hash;
            hash.add_text(key);
            const bool is_array = type == GGUF_TYPE_ARRAY;
            if (is_array) type = api.gguf_get_arr_type(gguf, id);
            hash.add(&type, sizeof(type));
            const uint64_t count = is_array ? api.gguf_get_arr_n(gguf, id) : 1;
            // Zeros at the end of an array would not be seen otherwise.
            hash.add(&count, sizeof(count));
            if (type != GGUF_TYPE_STRING) {
                const void * data = is_array ? api.gguf_get_arr_data(gguf, id) : api.gguf_get_val_data(gguf, id);
                hash.add(data, count * size_of(type));
            } else {
                for (size_t i = 0; i < count; ++i) {
                    hash.add_text(is_array ? api.gguf_get_arr_str(gguf, id, i) : api.gguf_get_val_str(gguf, id));
                }
            }
            sum += hash.value();
        }
        return sum;
    }

  private:
    static size_t size_of(gguf_type type) {
        switch (type) {
            case GGUF_TYPE_UINT8:
            case GGUF_TYPE_INT8:
            case GGUF_TYPE_BOOL: return 1;
            case GGUF_TYPE_UINT16:
            case GGUF_TYPE_INT16: return 2;
            case GGUF_TYPE_UINT64:
            case GGUF_TYPE_INT64:
            case GGUF_TYPE_FLOAT64: return 8;
            default: return 4;
        }
    }
};

/// What an entry says. Numbers of all types are one; integers beyond 2^53 lose their last digits.
using EntryValue = std::variant<bool, double, std::string, std::vector<bool>, std::vector<double>>;
using NamedEntry = std::pair<std::string, EntryValue>;

/// All entries in the order of the file, but for arrays of texts and those of more than `longest` elements: tables of
/// tokens.
std::vector<NamedEntry> list_entries(const Entries & entries, size_t longest);

}  // namespace eft
