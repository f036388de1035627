#include "jobs/external-member.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace eft {
namespace {

/// Several times what is known of any model; less than what would exhaust the memory.
constexpr int32_t MOST_TOKENS = 1 << 22;
/// Log-probabilities that were rounded for the way may add up to a little more than 1.
constexpr double ROUNDING = 1e-3;

}  // namespace

ExternalMember::ExternalMember(std::string name, int32_t vocabulary_size, uint32_t sequences)
    : name_(std::move(name)), vocabulary_size_(static_cast<size_t>(vocabulary_size)), lengths_(sequences, 0) {
    if (vocabulary_size >= 1 && vocabulary_size <= MOST_TOKENS) return;
    throw Failure("OPTION_INVALID", "The vocabulary of " + name_ + " must have 1 to " + std::to_string(MOST_TOKENS) +
                                        " tokens, not " + std::to_string(vocabulary_size) + ".");
}

void ExternalMember::rewind(uint32_t sequence, uint32_t length) {
    if (length > lengths_[sequence]) {
        throw Failure("DECODE_FAILED", "A sequence of " + std::to_string(lengths_[sequence]) +
                                           " tokens cannot be rewound to " + std::to_string(length) + ".");
    }
    lengths_[sequence] = length;
}

void ExternalMember::share(uint32_t from, uint32_t to, uint32_t length) {
    if (length > lengths_[from]) {
        throw Failure("DECODE_FAILED", "A sequence of " + std::to_string(lengths_[from]) + " tokens has no first " +
                                           std::to_string(length) + " to share.");
    }
    lengths_[to] = length;
}

Failure ExternalMember::broken(const std::string & problem) const {
    return {"NON_FINITE_LOGITS", "A row of " + name_ + " has " + problem + "."};
}

void ExternalMember::check_whole(const std::vector<float> & logits) const {
    if (logits.size() != vocabulary_size_) {
        throw Failure("OPTION_INVALID", "A row of " + name_ + " has " + std::to_string(logits.size()) +
                                            " logits, not " + std::to_string(vocabulary_size_) + ".");
    }
    const RowFault fault = summarize_row(logits.data(), logits.size()).fault;
    if (fault == RowFault::not_a_number) throw broken("logits that are not numbers");
    if (fault == RowFault::plus_infinity) throw broken("infinite logits");
}

KnownIds ExternalMember::check_known(const KnownIds & known) const {
    if (known.ids.size() != known.logprobs.size()) {
        throw Failure("OPTION_INVALID", "A row of " + name_ + " has " + std::to_string(known.ids.size()) + " ids and " +
                                            std::to_string(known.logprobs.size()) + " log-probabilities.");
    }
    std::vector<size_t> order(known.ids.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return known.ids[a] < known.ids[b]; });
    KnownIds result;
    result.size = vocabulary_size_;
    for (const size_t i : order) {
        const int32_t id = known.ids[i];
        const double logprob = known.logprobs[i];
        if (id < 0 || static_cast<size_t>(id) >= vocabulary_size_) {
            throw Failure("OPTION_INVALID", "A row of " + name_ + " names the token " + std::to_string(id) +
                                                ", which is outside its vocabulary of " +
                                                std::to_string(vocabulary_size_) + ".");
        }
        if (!result.ids.empty() && result.ids.back() == id) {
            throw Failure("OPTION_INVALID", "A row of " + name_ + " names the token " + std::to_string(id) + " twice.");
        }
        if (std::isnan(logprob)) throw broken("log-probabilities that are not numbers");
        result.ids.push_back(id);
        result.logprobs.push_back(logprob);
        result.mass += std::exp(logprob);
    }
    if (result.mass > 1 + ROUNDING) {
        throw Failure("OPTION_INVALID", "What a row of " + name_ +
                                            " has are no log-probabilities: the probabilities of its known ids add up "
                                            "to more than 1.");
    }
    return result;
}

int32_t ExternalMember::enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) {
    if (supplied_.size() != outputs) {
        throw Failure("OPTION_INVALID", "A job reads " + std::to_string(outputs) + " rows of " + name_ + ", and " +
                                            std::to_string(supplied_.size()) + " are there.");
    }
    const auto first = static_cast<int32_t>(batch_.size());
    for (ExternalRow & row : supplied_) {
        if (row.known) {
            KnownIds known = check_known(*row.known);
            batch_.push_back({spread_known_ids(known), std::move(known)});
        } else {
            check_whole(row.logits);
            batch_.push_back(std::move(row));
        }
    }
    supplied_.clear();
    tokens_ += static_cast<uint32_t>(tokens.size());
    lengths_[sequence] += static_cast<uint32_t>(tokens.size());
    return first;
}

void ExternalMember::decode() { rows_ = std::move(batch_); }

void ExternalMember::clear_batch() {
    supplied_.clear();
    batch_.clear();
    tokens_ = 0;
}

const KnownIds * ExternalMember::known_ids(int32_t index) const {
    const auto & known = row_at(index).known;
    return known ? &*known : nullptr;
}

ExternalRow & ExternalMember::row_at(int32_t index) const {
    const auto i = static_cast<size_t>(index);
    if (index < 0 || i >= rows_.size()) throw Failure("DECODE_FAILED", "There is no such row of " + name_ + ".");
    return rows_[i];
}

}  // namespace eft
