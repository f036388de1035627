// What a GGUF file says about itself before its tensor data.
#pragma once

#include <cstdint>
#include <string>

namespace eft {

struct Header {
    std::string architecture, type;
    uint32_t block_count;
    int64_t tensor_count;
    uint64_t tensor_bytes, file_bytes;
    uint32_t split_count;
    /// Ids in the table of tokens, and the one that ends a text; 0 and -1 where the header does not say it.
    int64_t vocabulary_size, eos;
    /// Whether `rope.dimension_sections`, which some multimodal families need, says anything.
    bool has_rope_sections;
};

/// Reads a header, and refuses what llama.cpp would find out by failing an assertion: while it loads, or on a compute
/// thread, where nothing can catch it and the process ends. Throws Failure MODEL_NOT_FOUND or MODEL_INVALID.
Header read_header(const std::string & path);

}  // namespace eft
