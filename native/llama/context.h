// One member's context: a KV cache with many sequences, and a batch to fill it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "llama/backend.h"
#include "llama/model.h"
#include "math/combine.h"

namespace eft {

struct ContextOptions {
    std::shared_ptr<Model> model;
    std::string lora_path;  // "": none
    float lora_scale = 1;
    uint32_t context_size = 0;  // tokens per sequence
    ggml_type cache_type = GGML_TYPE_F16;
    bool offload_cache = true;
    uint32_t sequences = 1;
    uint32_t batch_size = 512;  // most tokens of one decode()
};

/// Used by one thread at a time. Knows how many tokens each sequence holds and keeps llama.cpp's cache equal to that.
class Context {
  public:
    /// While `*cancelled` is true, decode() gives up at the next graph node (on the CPU). Throws Failure
    /// CONTEXT_FAILED.
    Context(const ContextOptions & options, ThreadPool & pool, const std::atomic<bool> & cancelled);
    ~Context();
    Context(const Context &) = delete;
    Context & operator=(const Context &) = delete;

    const Model & model() const { return *model_; }
    /// "" without an adapter.
    const std::string & adapter_path() const { return adapter_path_; }
    bool on_gpu() const { return on_gpu_; }
    uint32_t length(uint32_t sequence) const { return lengths_[sequence]; }

    /// Keeps the first `length` tokens of a sequence. Throws Failure DECODE_FAILED if there are fewer, or if this kind
    /// of cache cannot forget its end.
    void rewind(uint32_t sequence, uint32_t length);
    /// Makes `to` share the first `length` tokens of `from`; what `to` held before is gone.
    void share(uint32_t from, uint32_t to, uint32_t length);

    /// Appends tokens of a sequence to the batch; the last `outputs` of them will have rows. Returns the batch index of
    /// the first row. Throws Failure CONTEXT_OVERFLOW, before anything is evaluated.
    int32_t enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs);
    uint32_t batch_tokens() const { return static_cast<uint32_t>(tokens_.size()); }
    /// Starts evaluating the batch; on a GPU it may return before the rows are there. Throws Failure ABORTED or
    /// DECODE_FAILED; then, as before, the caller rewinds the sequences.
    void decode();
    /// Waits for the rows.
    void synchronize();
    /// Forgets the batch, whatever became of it.
    void clear_batch();
    /// Logits at batch index `index`, those of tokens that the member lacks masked; valid until the next decode().
    MemberRow row(int32_t index) const;
    /// Ids below the size of the common vocabulary that are no tokens of this member, although it may have rows for
    /// them.
    void set_vocabulary(uint32_t size, const std::vector<int32_t> & lacking);

  private:
    std::shared_ptr<Model> model_;
    std::string adapter_path_;
    llama_context * context_ = nullptr;
    llama_memory_t memory_ = nullptr;
    uint32_t context_size_, batch_size_;
    bool on_gpu_;
    std::vector<uint32_t> lengths_;
    size_t row_size_ = 0;           // of the ids that are read
    std::vector<int32_t> lacking_;  // among them
    std::vector<int32_t> tokens_, positions_, sequence_counts_;
    std::vector<int32_t> sequences_;
    std::vector<int32_t *> sequence_pointers_;
    std::vector<int8_t> outputs_;
};

}  // namespace eft
