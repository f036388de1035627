// Arithmetic on rows of logits and log-probabilities: normalise, combine, find the most probable. Knows neither Node
// nor llama.cpp.
//
// A logit of -inf means "masked". NaN and +inf mean that a model is broken; callers learn about it through RowFault.
// Sums are doubles, and become floats relative to about their maximum: so no finite logits overflow, and what decides
// between likely tokens is not lost in the size of the weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace eft {

/// Logit and log-probability of a token that is not possible.
constexpr float MASKED = -std::numeric_limits<float>::infinity();

enum class RowFault {
    none,
    not_a_number,
    plus_infinity,
    all_masked,
    uncovered,  // of fuse_rows() alone: too little is known of a row that is not whole
};

struct KnownIds;

struct RowSummary {
    double log_normalizer;  // log sum_i exp(row_i), 0 if faulty
    float max;              // 0 if faulty
    RowFault fault;
};

struct TokenLogprob {
    int32_t token;
    float logprob;
};

/// Order of probability, ties to lower ids.
inline bool ranks_before(const TokenLogprob & a, const TokenLogprob & b) {
    return a.logprob > b.logprob || (a.logprob == b.logprob && a.token < b.token);
}

/// A member's logits at one position. It has no tokens from id `size` on.
struct MemberRow {
    const float * data = nullptr;
    size_t size = 0;
    const KnownIds * known = nullptr;  // null: the row is whole. Else see math/known-ids.h
};

/// The largest of n >= 1 entries, none of them NaN.
float max_of(const float * x, size_t n);

/// Scans `row` (n >= 1 logits or log-values) once: its fault if any, else its maximum and log-normaliser.
RowSummary summarize_row(const float * row, size_t n);

/// log(exp a + exp b)
double log_add(double a, double b);

/// A row in two parts: log-sum-exp of the ids `apart`, and of all others; -inf where nothing is possible.
struct PartedSummary {
    double others, apart;  // 0 if faulty
    RowFault fault;
};

/// Scans `row` in two parts; `apart` ascends. `buffer` is overwritten.
PartedSummary summarize_parts(const float * row, size_t n, const std::vector<int32_t> & apart,
                              std::vector<float> & buffer);

/// target[i] = z_i - offset with z_i = sum_m weights[m] * (rows[m][i] - log_normalizers[m]). Returns the offset, which
/// is chosen such that the largest entry lies between 0 and 16. Members with weight 0 are not read. -inf in any row
/// that is read makes z_i = -inf, whatever the sign of the weight, and so does the end of a row: a token that one
/// member cannot produce is not in the target. Nor are the ids `apart`, which ascend. What is possible stays finite. A
/// log-normaliser of -inf counts as 0.
double combine_rows(const MemberRow * rows, const double * log_normalizers, const double * weights, size_t members,
                    size_t n, const std::vector<int32_t> & apart, float * target);

/// out[i] = row[i] + amount, which stays finite where row[i] is. `out` may be `row`.
void shift_row(const float * row, size_t n, double amount, float * out);

/// out[i] = MASKED where row[i] is.
void mask_as(const float * row, size_t n, float * out);

/// Subtracts the log-normaliser in place. Returns the summary of the row before that; a faulty row stays as it is.
RowSummary normalize_row(float * row, size_t n);

/// out[i] = exp(scale * (row[i] - max)), 0 below 1.7e-38. No entry exceeds `max`, a finite number. Returns their sum.
double exponentials(const float * row, size_t n, float max, float scale, float * out);

/// The `count` largest entries, descending, ties to lower ids. Entries of -inf are never among them.
void top_logprobs(const float * row, size_t n, size_t count, std::vector<TokenLogprob> & out);

/// out = the tokens whose weight could place them in the smallest set of heaviest tokens with mass top_p * total.
/// At most n tokens weigh less than (1 - top_p) * total / n each, together less than what that set leaves out, so none
/// of them is ever in it. `weights` are >= 0 and sum to `total`; `row` supplies the logprob fields.
void collect_top_p_candidates(const float * row, const float * weights, size_t n, double top_p, double total,
                              std::vector<TokenLogprob> & out);

/// Cuts `candidates` down to the smallest set of largest logprobs, ties to lower ids, whose weights[token] sum to at
/// least `mass`; all of them stay if they weigh less. At least one stays. Any order before and after.
void keep_top_p(std::vector<TokenLogprob> & candidates, const float * weights, double mass);

}  // namespace eft
