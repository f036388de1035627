// The sizes that a header declares of a model, and whether they fit each other and the tensors. What is checked holds
// for all architectures; llama.cpp divides by these numbers, and allocates by them, before it looks at a tensor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llama/entries.h"

namespace eft {

/// A tensor as a header describes it.
struct TensorInfo {
    std::string file, name;
    ggml_type type;
    /// Of the dimensions, the fastest-changing one first; 1 behind the last.
    int64_t shape[GGML_MAX_DIMS];
    uint64_t bytes;
};

/// Where layers differ, the largest; 0 where the header does not say it.
struct Dimensions {
    uint64_t embedding;
    /// Of what one matrix of a layer makes of a token, by its tensor.
    uint64_t widest;
    uint64_t heads, key_value_heads;
    /// Of one head.
    uint64_t key_length, value_length;
    /// Experts that a token is sent to; 0 in dense models.
    uint64_t experts_used;
    /// Of what chooses the tokens that are attended to, where something does.
    uint64_t indexer_key_length;
};

Dimensions read_dimensions(const Entries & entries, const std::string & architecture,
                           const std::vector<TensorInfo> & tensors);

/// Refuses, with the file, the entry and its value, what cannot be true of any model.
/// Throws Failure MODEL_INVALID.
void check_dimensions(const Entries & entries, const std::string & path, const std::string & architecture,
                      const std::vector<TensorInfo> & tensors);

/// Refuses a tensor that ggml could not compute with. Throws Failure MODEL_INVALID.
void check_tensor(const LlamaApi & api, const TensorInfo & tensor);

}  // namespace eft
