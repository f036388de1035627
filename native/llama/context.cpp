#include "llama/context.h"

#include <algorithm>

#include "failure.h"
#include "llama/copies.h"
#include "llama/log.h"

namespace eft {

Context::Context(const ContextOptions & options, ThreadPool & pool, const std::atomic<bool> & cancelled)
    : model_(options.model),
      adapter_path_(options.lora_path),
      cells_(options.cells),
      batch_size_(options.batch_size),
      on_gpu_(options.offload_cache),
      rewinds_(!llama_api().llama_model_is_recurrent(options.model->get()) &&
               !llama_api().llama_model_is_hybrid(options.model->get())),
      holds_cells_(rewinds_ && options.sequences > 1 && llama_api().llama_model_n_swa(options.model->get()) > 0),
      lengths_(options.sequences, 0),
      marks_(options.sequences),
      bookmarks_(options.sequences) {
    const LlamaApi & api = llama_api();
    const uint32_t sequences = options.sequences * (!rewinds_ ? 3 : holds_cells_ ? 2 : 1);
    llama_context_params parameters = api.llama_context_default_params();
    parameters.n_ctx = options.cells;
    parameters.n_batch = options.batch_size;
    parameters.n_ubatch = options.batch_size;
    parameters.n_outputs_max = options.rows;
    parameters.n_seq_max = sequences;
    // Layers that attend to a window keep what has left it, since a text may be cut before that.
    parameters.swa_full = true;
    // Sequences of one buffer can share cells, so a copied prefix costs nothing. But then each decode also checks all
    // pairs of the 256 sequences that llama.cpp could have, which takes longer than a tiny model.
    parameters.kv_unified = sequences > 1;
    parameters.n_threads = static_cast<int32_t>(pool.threads());
    parameters.n_threads_batch = static_cast<int32_t>(pool.threads());
    parameters.offload_kqv = options.offload_cache;
    parameters.type_k = options.cache_type;
    parameters.type_v = options.cache_type;
    parameters.no_perf = true;
    parameters.abort_callback = [](void * data) { return static_cast<const std::atomic<bool> *>(data)->load(); };
    parameters.abort_callback_data = const_cast<std::atomic<bool> *>(&cancelled);

    const RegistryLock registry(RegistryLock::shared);
    const LogCapture log;
    llama_adapter_lora * adapter = options.lora_path.empty() ? nullptr : model_->adapter(options.lora_path);
    context_ = api.llama_init_from_model(model_->get(), parameters);
    if (!context_) {
        throw Failure("CONTEXT_FAILED", "A context of " + std::to_string(parameters.n_ctx) + " tokens for " +
                                            model_->path() +
                                            " cannot be created; try a smaller context size or fewer "
                                            "cache tokens." +
                                            log.said());
    }
    memory_ = api.llama_get_memory(context_);
    api.llama_attach_threadpool(context_, pool.get(), pool.get());
    if (adapter) {
        float scale = options.lora_scale;
        if (api.llama_set_adapters_lora(context_, &adapter, 1, &scale) != 0) {
            api.llama_free(context_);
            throw Failure("LORA_INVALID",
                          options.lora_path + " cannot be applied to " + model_->path() + "." + log.said());
        }
    }
}

Context::~Context() { llama_api().llama_free(context_); }

void Context::rewind(uint32_t sequence, uint32_t length) {
    if (length > lengths_[sequence]) {
        throw Failure("DECODE_FAILED", "A sequence of " + std::to_string(lengths_[sequence]) +
                                           " tokens cannot be rewound to " + std::to_string(length) + ".");
    }
    if (!rewinds_ && length > 0 && length < lengths_[sequence]) {
        return go_back(sequence, length);
    }
    if (length == 0) forget_bookmark(sequence);
    // Asked even when the length says that nothing is to be done: after a failed batch the cache may hold more.
    if (!llama_api().llama_memory_seq_rm(memory_, static_cast<int32_t>(sequence), static_cast<int32_t>(length), -1)) {
        throw Failure("DECODE_FAILED", "The cache of " + model_->path() + " cannot forget the end of a sequence.");
    }
    if (holds_cells_) {
        llama_api().llama_memory_seq_rm(memory_, copy_of(sequence), static_cast<int32_t>(length), -1);
    }
    lengths_[sequence] = length;
}

void Context::go_back(uint32_t sequence, uint32_t length) {
    const auto is_before = [&](const std::optional<uint32_t> & place) { return place && *place <= length; };
    // A mark is behind the bookmark, which is older.
    const bool has_mark = is_before(marks_[sequence]);
    if (!has_mark && !is_before(bookmarks_[sequence])) {
        throw Failure("DECODE_FAILED", "The state of " + model_->path() + " cannot go back from token " +
                                           std::to_string(lengths_[sequence]) + " to token " + std::to_string(length) +
                                           ".");
    }
    llama_api().llama_memory_seq_rm(memory_, static_cast<int32_t>(sequence), 0, -1);
    copy_state(has_mark ? copy_of(sequence) : bookmark_of(sequence), static_cast<int32_t>(sequence));
    lengths_[sequence] = has_mark ? *marks_[sequence] : *bookmarks_[sequence];
}

void Context::copy_state(int32_t from, int32_t to) {
    // The two share the state until one of them goes on, which then begins with a state of its own.
    llama_api().llama_memory_seq_cp(memory_, from, to, 0, -1);
}

void Context::mark(uint32_t sequence) {
    if (rewinds_) return;
    release(sequence);
    copy_state(static_cast<int32_t>(sequence), copy_of(sequence));
    marks_[sequence] = lengths_[sequence];
}

void Context::release(uint32_t sequence) {
    if (!marks_[sequence]) return;
    llama_api().llama_memory_seq_rm(memory_, copy_of(sequence), 0, -1);
    marks_[sequence].reset();
}

void Context::bookmark(uint32_t sequence) {
    if (rewinds_) return;
    forget_bookmark(sequence);
    copy_state(static_cast<int32_t>(sequence), bookmark_of(sequence));
    bookmarks_[sequence] = lengths_[sequence];
}

void Context::forget_bookmark(uint32_t sequence) {
    if (!bookmarks_[sequence]) return;
    llama_api().llama_memory_seq_rm(memory_, bookmark_of(sequence), 0, -1);
    bookmarks_[sequence].reset();
}

void Context::restore(uint32_t sequence, uint32_t length) {
    if (rewinds_) return Member::restore(sequence, length);
    const auto is_empty = [](uint32_t held) { return held == 0; };
    if (std::all_of(lengths_.begin(), lengths_.end(), is_empty)) return;
    // A batch moves the states of sequences that are not in it, so if it ends early, theirs are lost too. The data is
    // cleared because llama.cpp begins with a state times zero, which is no zero if it was no number.
    constexpr bool data = true;
    llama_api().llama_memory_clear(memory_, data);
    std::fill(lengths_.begin(), lengths_.end(), 0);
    std::fill(marks_.begin(), marks_.end(), std::nullopt);
    std::fill(bookmarks_.begin(), bookmarks_.end(), std::nullopt);
}

void Context::share(uint32_t from, uint32_t to, uint32_t length) {
    const bool is_whole = length == lengths_[from];
    const bool can_share = rewinds_ || length == 0 || is_whole || bookmarks_[from] == length;
    if (length > lengths_[from] || !can_share) {
        throw Failure("DECODE_FAILED", "A sequence of " + std::to_string(lengths_[from]) + " tokens has no first " +
                                           std::to_string(length) + " to share.");
    }
    rewind(to, 0);
    if (rewinds_ && length > 0) {
        llama_api().llama_memory_seq_cp(memory_, static_cast<int32_t>(from), static_cast<int32_t>(to), 0,
                                        static_cast<int32_t>(length));
        hold_cells(to, 0);
    } else if (length > 0) {
        copy_state(is_whole ? static_cast<int32_t>(from) : bookmark_of(from), static_cast<int32_t>(to));
        if (bookmarks_[from]) {
            copy_state(bookmark_of(from), bookmark_of(to));
            bookmarks_[to] = bookmarks_[from];
        }
    }
    lengths_[to] = length;
}

void Context::hold_cells(uint32_t sequence, int32_t start) {
    if (!holds_cells_) return;
    llama_api().llama_memory_seq_cp(memory_, static_cast<int32_t>(sequence), copy_of(sequence), start, -1);
}

int32_t Context::enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) {
    if (tokens_.size() + tokens.size() > batch_size_) {
        throw Failure("DECODE_FAILED", "More than " + std::to_string(batch_size_) + " tokens in one batch.");
    }
    if (lengths_[sequence] + tokens.size() > cells_) {
        throw Failure("CONTEXT_OVERFLOW", "The cache of " + model_->path() + " holds " + std::to_string(cells_) +
                                              " tokens; " + std::to_string(lengths_[sequence]) + " are used and " +
                                              std::to_string(tokens.size()) + " more do not fit.");
    }
    const int32_t vocabulary = model_->vocabulary_size();
    for (size_t i = 0; i < tokens.size(); ++i) {
        if (tokens[i] < 0 || tokens[i] >= vocabulary) {
            throw Failure("OPTION_INVALID", "Token id " + std::to_string(tokens[i]) + " is outside the vocabulary of " +
                                                model_->path() + ".");
        }
        tokens_.push_back(tokens[i]);
        positions_.push_back(static_cast<int32_t>(lengths_[sequence] + i));
        sequences_.push_back(static_cast<int32_t>(sequence));
        outputs_.push_back(i + outputs >= tokens.size() ? 1 : 0);
    }
    // The length is what the cache will hold if the batch succeeds; if it does not, the caller rewinds.
    lengths_[sequence] += static_cast<uint32_t>(tokens.size());
    return static_cast<int32_t>(tokens_.size() - outputs);
}

void Context::decode() {
    sequence_counts_.assign(tokens_.size(), 1);
    sequence_pointers_.resize(tokens_.size());
    for (size_t i = 0; i < tokens_.size(); ++i) sequence_pointers_[i] = &sequences_[i];
    llama_batch batch{};
    batch.n_tokens = static_cast<int32_t>(tokens_.size());
    batch.token = tokens_.data();
    batch.pos = positions_.data();
    batch.n_seq_id = sequence_counts_.data();
    batch.seq_id = sequence_pointers_.data();
    batch.logits = outputs_.data();

    const LogCapture log;
    const int32_t status = llama_api().llama_decode(context_, batch);
    if (status == 2) throw Failure("ABORTED", "The evaluation was aborted.");
    if (status == 1) {
        throw Failure("CONTEXT_OVERFLOW", "The cache of " + model_->path() + " has no room for " +
                                              std::to_string(tokens_.size()) + " more tokens.");
    }
    if (status != 0) {
        throw Failure("DECODE_FAILED", "llama.cpp cannot evaluate a batch of " + std::to_string(tokens_.size()) +
                                           " tokens with " + model_->path() + " (status " + std::to_string(status) +
                                           ")." + log.said());
    }
    for (size_t i = 0; i < tokens_.size(); ++i) {
        const bool is_first = i == 0 || sequences_[i] != sequences_[i - 1];
        if (is_first) hold_cells(static_cast<uint32_t>(sequences_[i]), positions_[i]);
    }
}

void Context::wait() { llama_api().llama_synchronize(context_); }

void Context::clear_batch() {
    tokens_.clear();
    positions_.clear();
    sequences_.clear();
    outputs_.clear();
}

float * Context::row(int32_t index) const { return llama_api().llama_get_logits_ith(context_, index); }

}  // namespace eft
