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
    double sum = 0;  // of exp(row_i - max), 0 if faulty
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

/// Where max_of() stands first.
size_t first_largest(const float * x, size_t n);

/// Scans `row` (n >= 1 logits or log-values) once: its fault if any, else its maximum and log-normaliser.
RowSummary summarize_row(const float * row, size_t n);

/// log(exp a + exp b)
double log_add(double a, double b);

/// A row in two parts: log-sum-exp of the ids `apart`, and of all others; -inf where nothing is possible.
struct PartedSummary {
    double others, apart;  // 0 if faulty
    RowFault fault;
    float max = 0;   // of the others, 0 if there are none
    double sum = 0;  // of exp(row_i - max) over the others
};

/// Scans `row` in two parts; `apart` ascends. `buffer` is overwritten.
PartedSummary summarize_parts(const float * row, size_t n, const std::vector<int32_t> & apart,
                              std::vector<float> & buffer);

/// target[i] = z_i - offset with z_i = sum_m weights[m] * rows[m][i], and an offset such that the largest entry lies
/// between 0 and 16. Returns the summary of the target. Members with weight 0 are not read. -inf in any row that is
/// read makes z_i = -inf, whatever the sign of the weight, and so does the end of a row: a token that one member cannot
/// produce is not in the target. Nor are the ids `apart`, which ascend. What is possible stays finite. The fault
/// not_a_number means NaN or +inf in a row that is read, or weights beyond 1e269.
RowSummary combine_rows(const MemberRow * rows, const double * weights, size_t members, size_t n,
                        const std::vector<int32_t> & apart, float * target);

/// out[i] = row[i] + amount, which stays finite where row[i] is. `out` may be `row`.
void shift_row(const float * row, size_t n, double amount, float * out);

/// out[i] = MASKED where row[i] is.
void mask_as(const float * row, size_t n, float * out);

/// Subtracts the log-normaliser in place. Returns the summary of the row before that; a faulty row stays as it is.
RowSummary normalize_row(float * row, size_t n);

/// out[i] = exp(scale * (row[i] - max)), 0 below 1.7e-38. No entry exceeds `max`, a finite number. Returns their sum.
double exponentials(const float * row, size_t n, float max, float scale, float * out);

/// The sum that exponentials() returns, give or take the order.
double sum_exponentials(const float * row, size_t n, float max, float scale);

/// The `count` largest entries, descending, ties to lower ids. Entries of -inf are never among them.
void top_logprobs(const float * row, size_t n, size_t count, std::vector<TokenLogprob> & out);

/// weights[i] = what exponentials() makes of the logprob of token i, to the bit. Returns their sum.
double weigh(const std::vector<TokenLogprob> & tokens, float max, float scale, std::vector<float> & weights);

/// Cuts tokens in the order of probability down to the fewest, at least one, whose weights sum to `mass`; all of them
/// stay if they weigh less. Returns whether they have it.
bool cut_at_mass(std::vector<TokenLogprob> & ranked, const std::vector<float> & weights, double mass);

void sort_by_id(std::vector<TokenLogprob> & tokens);

/// out = the smallest set of largest entries, ties to lower ids, whose weights sum to top_p in (0, 1) of `total`, ids
/// ascending. The weights are exp(scale * (row[i] - max)), and sum to `total`; a weight of 0 is never in the set.
void collect_top_p(const float * row, const float * weights, size_t n, double total, double top_p,
                   std::vector<TokenLogprob> & out);

/// The same of all ids but `apart`, which ascend, where it takes few tokens, as for most rows: these alone are weighed.
/// False: it takes more. `max` is the largest of the others, `mass` what their weights have to sum to.
bool collect_few_of_top_p(const float * row, size_t n, const std::vector<int32_t> & apart, float max, float scale,
                          double mass, std::vector<float> & buffer, std::vector<TokenLogprob> & out);

}  // namespace eft
