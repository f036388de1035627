// The fusing arithmetic: rows of logits in, one row of target log-probabilities out. Knows neither Node nor llama.cpp.
//
//   target_i = sum_m w_m (logit_mi - logsumexp_j logit_mj)         (Mitchell et al. 2310.12962, eq. 3 and 4)
//
// A logit of -inf means "masked". NaN and +inf mean that a model is broken; callers learn about it through RowFault.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace eft {

/// Logit and log-probability of a token that is not possible.
constexpr float MASKED = -std::numeric_limits<float>::infinity();

enum class RowFault { none, not_a_number, plus_infinity, all_masked };

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

/// How the rows of one position become a target row. Weights in member order.
struct Fusion {
    std::vector<double> weights;           // the combination
    std::vector<double> fallback;          // the fallback form, as long as `weights`; empty without one
    bool has_fallback = false;             // whether the conservative filter applies
    double conservative_top_p = 1;         // mass of the conservative set, (0, 1]
    bool control_tokens_fallback = false;  // control tokens count as outside the conservative set
};

/// Whether fuse_rows reads the member's row.
inline bool is_read(const Fusion & fusion, size_t member) {
    return fusion.weights[member] != 0 || (fusion.has_fallback && fusion.fallback[member] != 0);
}

/// Buffers of fuse_rows. Keep one per thread and use it again and again: then nothing is allocated.
struct FuseScratch {
    std::vector<float> target, fallback, probabilities;
    std::vector<double> log_normalizers;
    std::vector<TokenLogprob> candidates;
};

/// What fuse_rows found. The pointers lead into its scratch and are valid until that is used again.
struct FuseResult {
    float * target;                  // n normalised log-probabilities; meaningless if faulty
    const double * log_normalizers;  // one per member; NaN for a member that was not read
    RowFault fault;
    int32_t faulty_member;  // index of the broken member; -1: no fault, or one of the target itself (no token left)
};

/// One position from the members' logits to the target: normalise each member over its first `n` logits, combine,
/// conservative filter, normalise. A member is read if its weight in the combination or in the fallback form is not 0;
/// `rows[m]` of any other may be null. `control_tokens` (n flags) may be null and matters only if
/// fusion.control_tokens_fallback. Faults: NaN or +inf in a row that is read; a row, or the target, entirely masked.
FuseResult fuse_rows(const float * const * rows, const Fusion & fusion, size_t members, size_t n,
                     const uint8_t * control_tokens, FuseScratch & scratch);

// The parts of fuse_rows:

/// The largest of n >= 1 entries, none of them NaN.
float max_of(const float * x, size_t n);

/// Scans `row` (n >= 1 logits or log-values) once: its fault if any, else its maximum and log-normaliser.
RowSummary summarize_row(const float * row, size_t n);

/// target[i] = sum_m weights[m] * (rows[m][i] - log_normalizers[m]), not normalised.
/// Members with weight 0 are not read (rows[m] may be null). -inf in any row that is read makes target[i] = -inf,
/// whatever the sign of the weight: a token that one member cannot produce is not in the target.
void combine_rows(const float * const * rows, const double * log_normalizers, const double * weights, size_t members,
                  size_t n, float * target);

/// Subtracts the log-normaliser in place. Returns the summary of the row before that; a faulty row stays as it is.
RowSummary normalize_row(float * row, size_t n);

/// out[i] = exp(scale * (row[i] - max)), 0 below 1.7e-38. No entry exceeds `max`, a finite number. Returns their sum.
double exponentials(const float * row, size_t n, float max, float scale, float * out);

/// Conservative filter (EFT, "top-p filtering of up-scaling weights"). V = smallest set of most probable tokens of
/// `fallback` (normalised log-probabilities) with mass >= top_p, ties to lower ids, minus tokens with excluded[i] != 0.
/// Outside V, target[i] = fallback[i]; inside it stays. `excluded` may be null. Does not normalise. Returns |V|.
/// top_p in (0, 1]; at 1, V is every token that is neither masked nor excluded. Uses `probabilities` and `candidates`
/// of the scratch.
size_t apply_conservative_filter(const float * fallback, size_t n, double top_p, const uint8_t * excluded,
                                 float * target, FuseScratch & scratch);

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
