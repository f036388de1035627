#include "llama/entries.h"

namespace eft {
namespace {

template <typename Result, typename Element>
EntryValue copy_array(const void * data, size_t count) {
    const auto * elements = static_cast<const Element *>(data);
    return Result(elements, elements + count);
}

std::optional<EntryValue> read_array(const Entries & entries, int64_t id, size_t longest) {
    const LlamaApi & api = entries.api;
    const gguf_type type = api.gguf_get_arr_type(entries.gguf, id);
    const size_t count = api.gguf_get_arr_n(entries.gguf, id);
    if (count > longest || type == GGUF_TYPE_STRING) return std::nullopt;
    const void * data = api.gguf_get_arr_data(entries.gguf, id);
    using Numbers = std::vector<double>;
    switch (type) {
        case GGUF_TYPE_BOOL: return copy_array<std::vector<bool>, int8_t>(data, count);
        case GGUF_TYPE_UINT8: return copy_array<Numbers, uint8_t>(data, count);
        case GGUF_TYPE_INT8: return copy_array<Numbers, int8_t>(data, count);
        case GGUF_TYPE_UINT16: return copy_array<Numbers, uint16_t>(data, count);
        case GGUF_TYPE_INT16: return copy_array<Numbers, int16_t>(data, count);
        case GGUF_TYPE_UINT32: return copy_array<Numbers, uint32_t>(data, count);
        case GGUF_TYPE_INT32: return copy_array<Numbers, int32_t>(data, count);
        case GGUF_TYPE_UINT64: return copy_array<Numbers, uint64_t>(data, count);
        case GGUF_TYPE_INT64: return copy_array<Numbers, int64_t>(data, count);
        case GGUF_TYPE_FLOAT32: return copy_array<Numbers, float>(data, count);
        case GGUF_TYPE_FLOAT64: return copy_array<Numbers, double>(data, count);
        default: return std::nullopt;
    }
}

std::optional<EntryValue> read_value(const Entries & entries, int64_t id, size_t longest) {
    const LlamaApi & api = entries.api;
    const gguf_context * gguf = entries.gguf;
    const auto number = [](auto value) { return EntryValue(static_cast<double>(value)); };
    switch (api.gguf_get_kv_type(gguf, id)) {
        case GGUF_TYPE_ARRAY: return read_array(entries, id, longest);
        case GGUF_TYPE_STRING: return std::string(api.gguf_get_val_str(gguf, id));
        case GGUF_TYPE_BOOL: return api.gguf_get_val_bool(gguf, id);
        case GGUF_TYPE_UINT8: return number(api.gguf_get_val_u8(gguf, id));
        case GGUF_TYPE_INT8: return number(api.gguf_get_val_i8(gguf, id));
        case GGUF_TYPE_UINT16: return number(api.gguf_get_val_u16(gguf, id));
        case GGUF_TYPE_INT16: return number(api.gguf_get_val_i16(gguf, id));
        case GGUF_TYPE_UINT32: return number(api.gguf_get_val_u32(gguf, id));
        case GGUF_TYPE_INT32: return number(api.gguf_get_val_i32(gguf, id));
        case GGUF_TYPE_UINT64: return number(api.gguf_get_val_u64(gguf, id));
        case GGUF_TYPE_INT64: return number(api.gguf_get_val_i64(gguf, id));
        case GGUF_TYPE_FLOAT32: return number(api.gguf_get_val_f32(gguf, id));
        case GGUF_TYPE_FLOAT64: return number(api.gguf_get_val_f64(gguf, id));
        default: return std::nullopt;
    }
}

}  // namespace

std::vector<NamedEntry> list_entries(const Entries & entries, size_t longest) {
    std::vector<NamedEntry> result;
    const int64_t count = entries.api.gguf_get_n_kv(entries.gguf);
    for (int64_t id = 0; id < count; ++id) {
        std::optional<EntryValue> value = read_value(entries, id, longest);
        if (value) result.emplace_back(entries.api.gguf_get_key(entries.gguf, id), std::move(*value));
    }
    return result;
}

}  // namespace eft
