// A loaded GGUF file: its weights, its vocabulary, the adapters on top of it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "llama/api.h"
#include "math/token-texts.h"

namespace eft {

struct ModelOptions {
    std::string path;
    int32_t gpu_layers;
    std::vector<std::string> devices;
    /// Leaves the weights out: enough to tokenize and to compare, and quick for models of any size.
    bool vocabulary_only;
};

/// Weights and vocabulary. Immutable after loading and safe to use from several threads.
class Model {
  public:
    /// `progress` gets 0..1 and returns whether to go on. Throws Failure MODEL_* or ABORTED.
    static std::shared_ptr<Model> load(const ModelOptions & options, const std::function<bool(float)> & progress);
    ~Model();
    Model(const Model &) = delete;
    Model & operator=(const Model &) = delete;

    llama_model * get() const { return model_; }
    const llama_vocab * vocab() const { return vocab_; }
    const std::string & path() const { return path_; }
    int32_t vocabulary_size() const;

    std::vector<int32_t> tokenize(const std::string & text, bool add_special, bool parse_special) const;
    /// The tokens' pieces one after another: bytes that may end in the middle of a UTF-8 character, leading space
    /// included. Throws Failure OPTION_INVALID for an id out of range.
    std::string detokenize(const std::vector<int32_t> & tokens, bool render_special) const;
    const char * token_text(int32_t token) const;
    /// llama.cpp's, one per id.
    std::vector<int32_t> token_attributes() const;
    bool ends_generation(int32_t token) const;
    /// The bytes of each token. Computed at the first call; outlives the model.
    std::shared_ptr<const TokenTexts> texts() const;
    /// Of texts and attributes of the ids below `to`. That of all of them is computed while the model is loaded.
    uint64_t vocabulary_hash(int32_t to) const;
    /// Of the whole vocabulary, and of what the file says about its tokenizer: equal for models that make the same
    /// tokens of every text, but for those that are put before and behind it.
    uint64_t tokenizer_hash() const { return vocabulary_hash(vocabulary_size()) + tokenizer_hash_; }

    /// The adapter of that file, loaded once; lives as long as the model. Throws what check_adapter() throws.
    llama_adapter_lora * adapter(const std::string & path);

    /// After a failure inside llama.cpp nobody knows the state of a model: it is not to be given to anyone else.
    void retire() { retired_ = true; }
    bool retired() const { return retired_; }

  private:
    Model(llama_model * model, std::string path, uint64_t tokenizer_hash);
    void check_token(int32_t token) const;
    /// Calls `take` with the bytes of each token.
    template <typename Take>
    void for_each_piece(const std::vector<int32_t> & tokens, bool render_special, Take && take) const;
    uint64_t hash_tokens(int32_t to) const;

    llama_model * model_;
    const llama_vocab * vocab_;
    std::string path_;
    /// Of the entries of its file.
    uint64_t tokenizer_hash_;
    /// Of all tokens.
    uint64_t table_hash_ = 0;
    /// Whether its pre-tokenizer takes time by the square of the digits of a number.
    bool slow_numbers_;
    std::mutex adapters_mutex_;
    /// By the identity of their files.
    std::map<std::string, llama_adapter_lora *> adapters_;
    std::atomic<bool> retired_{false};
    mutable std::once_flag texts_once_;
    mutable std::shared_ptr<const TokenTexts> texts_;
};

/// Whether a file can be an adapter of some model. Throws Failure LORA_INVALID, MODEL_UNSUPPORTED, or as read_header().
void check_adapter(const std::string & path);

/// A model that is loaded once, however many ask for it at a time.
class SharedModel {
  public:
    /// The model, if somebody still has it, else what `load` returns. From any thread; waits for whoever is loading it
    /// already. Throws what `load` throws, and Failure ABORTED where `cancelled` becomes true while it waits.
    std::shared_ptr<Model> get(const std::function<std::shared_ptr<Model>()> & load,
                               const std::function<bool()> & cancelled);

  private:
    std::mutex mutex_;
    std::condition_variable loaded_;
    bool loading_ = false;
    std::weak_ptr<Model> model_;
};

}  // namespace eft
