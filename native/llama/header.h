// What a GGUF file says about itself before its tensor data.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llama/dimensions.h"

namespace eft {

struct Header {
    std::string architecture, type;
    uint32_t block_count;
    /// 0 in dense models.
    uint32_t expert_count;
    /// Of all files of a split model.
    int64_t tensor_count;
    uint64_t tensor_bytes, file_bytes;
    /// Numbers in all tensors.
    uint64_t parameters;
    /// Files that a split model has; 0 where nothing was split.
    uint32_t split_count;
    /// Whether it is a LoRA adapter that counts only behind certain tokens of the prompt.
    bool is_activated_lora;
    /// Ids in the table of tokens, and the one that ends a text; 0 and -1 where the header does not say it.
    int64_t vocabulary_size, eos;
    /// `tokenizer.ggml.model`; empty where the header does not say it.
    std::string tokenizer;
    /// Of all entries that decide how a text is cut into tokens: equal for files whose tokenizers are.
    uint64_t tokenizer_hash;
    /// Whether `rope.dimension_sections`, which some multimodal families need, says anything.
    bool has_rope_sections;
    Dimensions dimensions;
    /// As names of files have it, e.g. "Q4_K_M"; empty where the header does not say it, or llama.cpp does not know it.
    std::string quantization;
    /// Those of the first file of a split model that list_entries() lists, up to one value for each layer.
    std::vector<NamedEntry> entries;
    /// Of all files.
    std::vector<TensorInfo> tensors;
};

/// Reads the header of a model or adapter, with those of all parts of a split one, and refuses what llama.cpp would
/// find out by failing an assertion: while it loads, or on a compute thread, where nothing can catch it and the process
/// ends. A vocabulary takes some time to pass over, so what was read is kept for as long as the files are the same.
/// Throws Failure MODEL_NOT_FOUND, MODEL_INVALID or FILE_UNREADABLE.
Header read_header(const std::string & path);

/// Which of the `count` files of a split model has a tensor; empty if none does.
std::string part_with_tensor(const std::string & path, uint32_t count, const std::string & tensor);

/// Where a model's files are, how large they are, when they were written and last changed: another text once one of
/// them is another.
std::string file_identity(const std::string & path);

}  // namespace eft
