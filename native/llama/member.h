// What a job needs of one member. A context of llama.cpp is one implementation; whoever can give rows of logits for
// tokens may be another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "failure.h"
#include "math/known-ids.h"

namespace eft {

/// A row that was made elsewhere: whole, or known ids alone.
struct ExternalRow {
    std::vector<float> logits;      // one for each token of the vocabulary
    std::optional<KnownIds> known;  // in any order, and without what follows from ids and log-probabilities
};

/// Many sequences of tokens, of which it knows how many each holds, and a batch that adds to them. Used by one thread
/// at a time.
class Member {
  public:
    Member() = default;
    virtual ~Member() = default;
    Member(const Member &) = delete;
    Member & operator=(const Member &) = delete;

    /// Of what it is made, for messages: the file of the model, and that of an adapter ("": none).
    virtual const std::string & path() const = 0;
    virtual const std::string & adapter_path() const = 0;
    /// Whether decode() returns before the rows are there, so that others can work meanwhile.
    virtual bool is_asynchronous() const = 0;
    /// Tokens that a sequence holds.
    virtual uint32_t length(uint32_t sequence) const = 0;

    /// Keeps the first `length` tokens of a sequence; where it can go back only to its mark or bookmark, those up to
    /// there. Throws Failure DECODE_FAILED if there are fewer, or if it cannot forget the end of one.
    virtual void rewind(uint32_t sequence, uint32_t length) = 0;
    /// Until it is released, a sequence can be rewound to what it holds now, or to less if it can be rewound anyway.
    virtual void mark(uint32_t) {}
    virtual void release(uint32_t) {}
    /// The same until the sequence is made empty, or has another bookmark. Who shares its beginning has it too.
    virtual void bookmark(uint32_t) {}
    /// After a failure: a sequence keeps the first `length` tokens. A member that cannot go back forgets all sequences.
    virtual void restore(uint32_t sequence, uint32_t length) {
        // What was never reached may hold less than it was to keep.
        if (this->length(sequence) >= length) rewind(sequence, length);
    }
    /// Makes `to` share the first `length` tokens of `from`; what `to` held before is gone.
    virtual void share(uint32_t from, uint32_t to, uint32_t length) = 0;

    /// The rows of what is enqueued next, where a member does not evaluate its tokens itself. Throws Failure
    /// OPTION_INVALID where it does.
    virtual void supply(const std::vector<ExternalRow> & rows) {
        if (rows.empty()) return;
        throw Failure("OPTION_INVALID", "There are rows for " + path() + ", which evaluates its tokens itself.");
    }
    /// Appends tokens of a sequence to the batch; the last `outputs` of them will have rows. Returns the batch index of
    /// the first row. Throws Failure CONTEXT_OVERFLOW, before anything is evaluated.
    virtual int32_t enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) = 0;
    virtual uint32_t batch_tokens() const = 0;
    /// Starts evaluating the batch. Throws Failure ABORTED or DECODE_FAILED; then, as before, the caller restores the
    /// sequences.
    virtual void decode() = 0;
    /// Until the rows are there.
    virtual void wait() = 0;
    /// Forgets the batch, whatever became of it.
    virtual void clear_batch() = 0;
    /// Logits at batch index `index`, one for each token of its vocabulary, which may be written to; valid until the
    /// next decode().
    virtual float * row(int32_t index) const = 0;
    virtual size_t row_size() const = 0;
    /// Of the row at that index, if it is not whole; else null. Valid as long as the row.
    virtual const KnownIds * known_ids(int32_t) const { return nullptr; }
};

}  // namespace eft
