#include "llama/dimensions.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <set>

namespace eft {
namespace {

/// The entries of one architecture, and the file to blame.
struct Declared {
    const Entries & entries;
    const std::string & path;
    const std::string & architecture;

    std::string key(const std::string & name) const { return architecture + "." + name; }
    std::optional<uint64_t> number(const std::string & name) const { return entries.number(key(name)); }

    /// One number for all layers, or one for each.
    std::vector<uint64_t> layers(const std::string & name) const {
        const auto one = number(name);
        return one ? std::vector<uint64_t>{*one} : entries.numbers(key(name));
    }

    uint64_t largest(const std::string & name) const {
        const std::vector<uint64_t> values = layers(name);
        return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
    }

    /// Entries are those of the first part of a split model, and tensors may be in others.
    std::string called(const TensorInfo & tensor) const {
        if (tensor.file == path) return "its tensor " + tensor.name;
        return "tensor " + tensor.name + " (that tensor is in " + tensor.file + "; is this a part of the same model?)";
    }

    [[noreturn]] void refuse(const std::string & name, uint64_t value, const std::string & why) const {
        refuse_gguf(path, "its " + key(name) + " is " + std::to_string(value) + ", " + why);
    }
};

/// What the value of an entry is in a layer; nothing where llama.cpp will refuse the number of values.
std::optional<uint64_t> at_layer(const std::vector<uint64_t> & values, size_t layer) {
    if (values.size() == 1) return values[0];
    return layer < values.size() ? std::optional<uint64_t>(values[layer]) : std::nullopt;
}

/// A tensor of a block: its number and what follows "blk.N."; nothing for others.
struct BlockTensor {
    uint32_t block;
    std::string role;
    const TensorInfo * tensor;
};

std::vector<BlockTensor> block_tensors(const std::vector<TensorInfo> & tensors) {
    std::vector<BlockTensor> result;
    for (const TensorInfo & tensor : tensors) {
        uint32_t block = 0;
        int read = 0;
        if (std::sscanf(tensor.name.c_str(), "blk.%9u.%n", &block, &read) == 1 && read > 0) {
            result.push_back({block, tensor.name.substr(read), &tensor});
        }
    }
    return result;
}

/// A vector that a layer adds or multiplies with. Factors of adapters, classifiers and the gate of a shared expert may
/// have one row and be matrices.
bool is_single_row(const TensorInfo & tensor) {
    const auto starts_with = [&](const char * start) { return tensor.name.rfind(start, 0) == 0; };
    const bool is_matrix = ends_with(tensor.name, ".lora_a") || ends_with(tensor.name, ".lora_b") ||
                           ends_with(tensor.name, ".ffn_gate_inp_shexp.weight");
    return tensor.shape[1] == 1 && !is_matrix && (starts_with("blk.") || starts_with("rope_"));
}

bool has_heads(const std::string & role) {
    return role == "attn_q.weight" || role == "attn_k.weight" || role == "attn_qkv.weight" || role == "attn_q_b.weight";
}

void check_positive(const Declared & declared) {
    for (const char * name : {"embedding_length", "context_length"}) {
        if (declared.number(name) == 0) declared.refuse(name, 0, "and no model has none");
    }
}

/// ggml asserts that what it adds under the root of a norm is not negative.
void check_epsilons(const Declared & declared) {
    for (const char * name : {"layer_norm_rms_epsilon", "layer_norm_epsilon", "group_norm_epsilon"}) {
        const std::string key = declared.key(std::string("attention.") + name);
        const int64_t id = declared.entries.find(key, GGUF_TYPE_FLOAT32);
        if (id < 0) continue;
        const float value = declared.entries.api.gguf_get_val_f32(declared.entries.gguf, id);
        if (!(value >= 0) || std::isinf(value))
            refuse_gguf(declared.path, "its " + key + " is " + std::to_string(value));
    }
}

/// Layers that only predict further tokens, at the end, may have been left out of a file.
void check_blocks(const Declared & declared, const std::vector<BlockTensor> & tensors) {
    if (tensors.empty()) return;
    std::set<uint32_t> present;
    for (const BlockTensor & tensor : tensors) present.insert(tensor.block);
    const uint64_t announced = declared.number("block_count").value_or(0);
    const uint64_t extra = declared.number("nextn_predict_layers").value_or(0);
    const uint64_t count = *present.rbegin() + 1;
    if (count > announced || count + extra < announced) {
        declared.refuse("block_count", announced, "and it has tensors of " + std::to_string(count));
    }
}

/// Numbers of heads, by layer; those of keys and values are as many as those of queries where the header does not say
/// it.
struct Heads {
    const std::string name = "attention.head_count", key_value_name = name + "_kv";
    std::vector<uint64_t> queries, keys_values;
    bool keys_values_stated;

    explicit Heads(const Declared & declared)
        : queries(declared.layers(name)),
          keys_values(declared.layers(key_value_name)),
          keys_values_stated(!keys_values.empty()) {
        if (!keys_values_stated) keys_values = queries;
    }
    const std::string & blamed_for_keys() const { return keys_values_stated ? key_value_name : name; }
};

/// Models that do not attend have no heads, and layers that keep a state instead say 0.
void check_numbers_of_heads(const Declared & declared, const Heads & heads, const std::vector<BlockTensor> & tensors) {
    const auto all_zero = [](const std::vector<uint64_t> & values) {
        return std::all_of(values.begin(), values.end(), [](uint64_t value) { return value == 0; });
    };
    if (all_zero(heads.queries)) declared.refuse(heads.name, 0, "and it has tensors of attention");
    if (all_zero(heads.keys_values)) declared.refuse(heads.key_value_name, 0, "and it has tensors of attention");
    for (const BlockTensor & each : tensors) {
        if (!has_heads(each.role)) continue;
        const uint64_t queries = at_layer(heads.queries, each.block).value_or(0);
        const uint64_t keys_values = at_layer(heads.keys_values, each.block).value_or(0);
        if (keys_values == 0 || queries % keys_values == 0) continue;
        declared.refuse(heads.key_value_name, keys_values,
                        "which do not divide " + std::to_string(queries) + " heads of queries");
    }
}

void check_rows_of_heads(const Declared & declared, const Heads & heads, const std::vector<BlockTensor> & tensors) {
    const auto check = [&](const BlockTensor & each, const std::string & blamed, const std::vector<uint64_t> & values) {
        const auto count = at_layer(values, each.block);
        if (!count || *count == 0 || static_cast<uint64_t>(each.tensor->shape[1]) % *count == 0) return;
        declared.refuse(blamed, *count,
                        "which cannot share the " + std::to_string(each.tensor->shape[1]) + " rows of " +
                            declared.called(*each.tensor));
    };
    const uint64_t most = *std::max_element(heads.queries.begin(), heads.queries.end());
    for (const BlockTensor & each : tensors) {
        if (each.role == "attn_q.weight" || each.role == "attn_q_b.weight") check(each, heads.name, heads.queries);
        if (each.role == "attn_k.weight") check(each, heads.blamed_for_keys(), heads.keys_values);
        // Other rows belong to layers that keep a state, and their number is another one.
        if (each.role == "attn_qkv.weight" && static_cast<uint64_t>(each.tensor->shape[1]) < most) {
            declared.refuse(heads.name, most, "more than the rows of " + declared.called(*each.tensor));
        }
    }
}

/// Keys and values may be shorter in some layers, and values may be the keys.
void check_lengths_of_heads(const Declared & declared, const Heads & heads, const std::vector<BlockTensor> & tensors) {
    uint64_t longest = 0;
    for (const BlockTensor & each : tensors) {
        const uint64_t count = at_layer(heads.keys_values, each.block).value_or(0);
        if (count > 0 && (each.role == "attn_k.weight" || each.role == "attn_v.weight")) {
            longest = std::max(longest, static_cast<uint64_t>(each.tensor->shape[1]) / count);
        }
    }
    for (const char * name : {"attention.key_length", "attention.value_length"}) {
        const uint64_t stated = declared.number(name).value_or(0);
        if (longest > 0 && stated > longest) {
            declared.refuse(name, stated, "and its tensors have " + std::to_string(longest) + " rows for each head");
        }
    }
}

void check_heads(const Declared & declared, const std::vector<BlockTensor> & tensors) {
    const bool attends =
        std::any_of(tensors.begin(), tensors.end(), [](const BlockTensor & each) { return has_heads(each.role); });
    if (!attends) return;
    const Heads heads(declared);
    if (heads.queries.empty()) {
        const std::string key = declared.key(heads.name);
        // Of another type: llama.cpp says so.
        if (declared.entries.has(key)) return;
        refuse_gguf(declared.path, "it lacks " + key + ", and it has tensors of attention");
    }
    check_numbers_of_heads(declared, heads, tensors);
    check_rows_of_heads(declared, heads, tensors);
    check_lengths_of_heads(declared, heads, tensors);
}

/// llama.cpp asserts these.
void check_counts(const Declared & declared) {
    const uint64_t experts = declared.number("expert_count").value_or(0), used = declared.largest("expert_used_count");
    // One expert is none to some.
    if (used > std::max<uint64_t>(experts, 1)) {
        declared.refuse("expert_used_count", used, "of " + std::to_string(experts) + " experts");
    }
    const uint64_t blocks = declared.number("block_count").value_or(0);
    const uint64_t further = declared.number("nextn_predict_layers").value_or(0);
    if (further > blocks) {
        declared.refuse("nextn_predict_layers", further, "of " + std::to_string(blocks) + " layers");
    }
}

/// Positions turn pairs of the numbers of a head.
void check_rope(const Declared & declared, const Dimensions & dimensions) {
    if (dimensions.heads == 0) return;
    const auto check = [&](const std::string & name, uint64_t head_size) {
        const auto turned = declared.number(name);
        if (!turned) return;
        if (*turned == 0) declared.refuse(name, 0, "and positions would turn nothing");
        if (*turned % 2 != 0) declared.refuse(name, *turned, "which is odd, and positions turn pairs");
        if (*turned > head_size) {
            declared.refuse(name, *turned, "and a head has only " + std::to_string(head_size) + " numbers");
        }
    };
    check("rope.dimension_count", dimensions.key_length);
    check("rope.dimension_count_swa", declared.number("attention.key_length_swa").value_or(dimensions.key_length));
}

void check_shapes(const Declared & declared, const Dimensions & dimensions, const std::vector<TensorInfo> & tensors,
                  const std::vector<BlockTensor> & in_blocks) {
    const auto check_embedding = [&](const TensorInfo & tensor) {
        const uint64_t size = static_cast<uint64_t>(tensor.shape[0]);
        // Decoders of sound have another size at their entry.
        const bool fits = size == dimensions.embedding || size == declared.number("features_length");
        if (dimensions.embedding == 0 || fits) return;
        declared.refuse("embedding_length", dimensions.embedding,
                        "and " + declared.called(tensor) + " has rows of " + std::to_string(size));
    };
    for (const TensorInfo & tensor : tensors) {
        if (tensor.name == "output_norm.weight") check_embedding(tensor);
        if (tensor.name != "token_embd.weight") continue;
        check_embedding(tensor);
        const std::string key = "tokenizer.ggml.tokens";
        const int64_t id = declared.entries.find(key, GGUF_TYPE_ARRAY);
        const uint64_t tokens = id < 0 ? declared.number("vocab_size").value_or(0)
                                       : declared.entries.api.gguf_get_arr_n(declared.entries.gguf, id);
        const uint64_t rows = static_cast<uint64_t>(tensor.shape[1]);
        if (tokens == 0 || tokens == rows) continue;
        refuse_gguf(declared.path, "its " + (id < 0 ? declared.key("vocab_size") : key) + " has " +
                                       std::to_string(tokens) + " tokens, and " + declared.called(tensor) +
                                       " has rows for " + std::to_string(rows));
    }
    for (const BlockTensor & each : in_blocks) {
        if (each.role == "attn_norm.weight") check_embedding(*each.tensor);
    }
}

}  // namespace

Dimensions read_dimensions(const Entries & entries, const std::string & architecture,
                           const std::vector<TensorInfo> & tensors) {
    const std::string path;
    const Declared declared{entries, path, architecture};
    Dimensions result{};
    result.embedding = declared.largest("embedding_length");
    result.heads = declared.largest("attention.head_count");
    result.key_value_heads =
        declared.layers("attention.head_count_kv").empty() ? result.heads : declared.largest("attention.head_count_kv");
    const uint64_t head_size = result.heads == 0 ? 0 : result.embedding / result.heads;
    result.key_length = std::max(declared.number("attention.key_length").value_or(head_size),
                                 declared.largest("attention.key_length_swa"));
    result.value_length = std::max(declared.number("attention.value_length").value_or(head_size),
                                   declared.largest("attention.value_length_swa"));
    result.experts_used = declared.largest("expert_used_count");
    for (const BlockTensor & each : block_tensors(tensors)) {
        result.widest = std::max(result.widest, static_cast<uint64_t>(each.tensor->shape[1]));
        if (each.role.rfind("indexer.", 0) == 0)
            result.indexer_key_length = declared.largest("attention.indexer.key_length");
    }
    return result;
}

void check_dimensions(const Entries & entries, const std::string & path, const std::string & architecture,
                      const std::vector<TensorInfo> & tensors) {
    const Declared declared{entries, path, architecture};
    const std::string first = declared.key("embedding_length");
    if (!entries.has(first)) {
        if (entries.has(declared.key("context_length"))) refuse_gguf(path, "it lacks " + first);
        // llama.cpp says whether it knows the architecture at all.
        return;
    }
    const Dimensions dimensions = read_dimensions(entries, architecture, tensors);
    const std::vector<BlockTensor> in_blocks = block_tensors(tensors);
    check_positive(declared);
    check_epsilons(declared);
    check_counts(declared);
    check_blocks(declared, in_blocks);
    check_heads(declared, in_blocks);
    check_rope(declared, dimensions);
    check_shapes(declared, dimensions, tensors, in_blocks);
}

void check_tensor(const LlamaApi & api, const TensorInfo & tensor) {
    const std::string & name = tensor.name;
    for (const int64_t size : tensor.shape) {
        if (size < 1) refuse_gguf(tensor.file, "its tensor " + name + " is empty");
    }
    // ggml multiplies matrices of floats and of quantized blocks, and adds vectors of float32 to its float32
    // activations; with other types it aborts or reads where nothing is. Tables of token ids are the only integers. The
    // types that it makes of activations meanwhile count as quantized, but nothing takes them as weights.
    const ggml_type type = tensor.type;
    const bool is_table = name.find("tid2eid") != std::string::npos || name == "d2t";
    const bool is_vector = ends_with(name, "norm.weight") || ends_with(name, ".bias") || is_single_row(tensor);
    const bool is_float = type == GGML_TYPE_F32 || type == GGML_TYPE_F16 || type == GGML_TYPE_BF16;
    const bool is_block = api.ggml_is_quantized(type) && type != GGML_TYPE_Q8_1 && type != GGML_TYPE_Q8_K;
    const bool fits = is_table || type == GGML_TYPE_F32 || (!is_vector && (is_float || is_block));
    if (!fits) refuse_gguf(tensor.file, "its tensor " + name + " is of the type " + api.ggml_type_name(type));
}

}  // namespace eft
