// One member's context: a KV cache with many sequences, and a batch to fill it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "llama/backend.h"
#include "llama/member.h"
#include "llama/model.h"

namespace eft {

struct ContextOptions {
    std::shared_ptr<Model> model;
    std::string lora_path;  // "": none
    float lora_scale = 1;
    uint32_t cells = 0;  // tokens of all sequences together; those that sequences share count once
    ggml_type cache_type = GGML_TYPE_F16;
    bool offload_cache = true;
    uint32_t sequences = 1;
    uint32_t batch_size = 512;  // most tokens of one decode()
    uint32_t rows = 512;        // rows of logits of one decode() that place is kept for
};

/// Keeps llama.cpp's cache equal to what it knows of the sequences.
class Context final : public Member {
  public:
    /// While `*cancelled` is true, decode() gives up at the next graph node (on the CPU). Throws Failure
    /// CONTEXT_FAILED.
    Context(const ContextOptions & options, ThreadPool & pool, const std::atomic<bool> & cancelled);
    ~Context() override;

    const std::string & path() const override { return model_->path(); }
    const std::string & adapter_path() const override { return adapter_path_; }
    bool is_asynchronous() const override { return on_gpu_; }
    uint32_t length(uint32_t sequence) const override { return lengths_[sequence]; }

    void rewind(uint32_t sequence, uint32_t length) override;
    void mark(uint32_t sequence) override;
    void release(uint32_t sequence) override;
    void bookmark(uint32_t sequence) override;
    void restore(uint32_t sequence, uint32_t length) override;
    void share(uint32_t from, uint32_t to, uint32_t length) override;

    int32_t enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) override;
    uint32_t batch_tokens() const override { return static_cast<uint32_t>(tokens_.size()); }
    void decode() override;
    void wait() override;
    void clear_batch() override;
    float * row(int32_t index) const override;
    size_t row_size() const override { return static_cast<size_t>(model_->vocabulary_size()); }

  private:
    /// More sequences of llama.cpp's for each that callers know.
    int32_t copy_of(uint32_t sequence) const { return static_cast<int32_t>(lengths_.size() + sequence); }
    int32_t bookmark_of(uint32_t sequence) const { return static_cast<int32_t>(2 * lengths_.size() + sequence); }
    /// To its mark or bookmark.
    void go_back(uint32_t sequence, uint32_t length);
    /// Between sequences of llama.cpp's.
    void copy_state(int32_t from, int32_t to);
    void forget_bookmark(uint32_t sequence);
    /// Of what a sequence holds from `start` on.
    void hold_cells(uint32_t sequence, int32_t start);

    std::shared_ptr<Model> model_;
    std::string adapter_path_;
    llama_context * context_ = nullptr;
    llama_memory_t memory_ = nullptr;
    uint32_t cells_, batch_size_;
    bool on_gpu_;
    bool rewinds_;  // recurrent state is that of the end of a sequence, and of no place before it
    /// Whether copies hold all that sequences do. Where layers attend to a window, llama.cpp gives the cells that have
    /// left that of the only sequence which holds them to others, and nobody could go back to before them.
    bool holds_cells_;
    std::vector<uint32_t> lengths_;
    /// Where a sequence is marked. Its copy has the state there.
    std::vector<std::optional<uint32_t>> marks_;
    std::vector<std::optional<uint32_t>> bookmarks_;
    std::vector<int32_t> tokens_, positions_, sequence_counts_;
    std::vector<int32_t> sequences_;
    std::vector<int32_t *> sequence_pointers_;
    std::vector<int8_t> outputs_;
};

}  // namespace eft
