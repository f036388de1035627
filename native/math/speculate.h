// Drafting and verifying on rows: how the random choices of drafter and target are tied together. Knows neither Node
// nor llama.cpp. Both couplings draw from the target exactly, whatever the drafter. p and q are what penalties, bias,
// constraint, temperature and filters of the request make of the target's and the drafter's row.
//
// gumbel:  both draw by Gumbel argmax with the same noise; the token is the target's own draw, so the text is that of
//          the plain loop. P(accept) = sum_i 1 / sum_j max(p_j / p_i, q_j / q_i) >= (1 - TV) / (1 + TV) (Daliri,
//          Musco, Suresh, "Coupling without communication and drafter-invariant speculative decoding", 2408.07978).
// maximal: rejection sampling (Leviathan et al. 2211.17192, Chen et al. 2302.01318): the draft x is accepted with
//          probability min(1, p_x / q_x), else a token is drawn from max(0, p - q). P(accept) = 1 - TV.
//
// Temperature 0 is greedy under both: the token is the target's argmax, and a draft is accepted if it is that one.
#pragma once

#include "math/sample.h"

namespace eft {

enum class Coupling { gumbel, maximal };

struct Draft {
    int32_t token;  // -1 if constraint, biases and masks exclude every token
    /// Probability of the drafter's most probable token under q, in (0, 1]; 0 if there is none. At temperature 0, where
    /// q is certain of everything: its softmax probability after penalties and bias, without filters. With a constraint
    /// it is an estimate: not all that is forbidden needs to have been found out.
    double confidence;
};

/// Buffers of the functions below. Keep one per thread and use it again and again: then nothing is allocated.
struct SpeculationScratch {
    DrawScratch target, drafter;
    Distribution residual;
};

/// Draws a draft from a row of the drafter's log-probabilities, which is not changed: with the noise of the target's
/// draw at request.position (gumbel) or with noise of its own (maximal). Costs what draw_token() costs; at temperature
/// 0, n exponentials more.
Draft draw_draft(const float * drafter, size_t n, const DrawRequest & request, Coupling coupling,
                 SpeculationScratch & scratch);

/// The token at a position for which there is a draft; the draft is accepted if and only if it is that token.
/// `drafter` is the row that draw_draft() drew it from; null if it was not drawn (then q is 1 at the draft, 0
/// elsewhere). gumbel reads neither `drafter` nor `draft`, and is draw_token(). A draft that is no token is rejected.
/// Returns -1 if constraint, biases and masks exclude every token.
/// `drafted_by` is the request of that draw_draft(), which may have other sampling parameters than `request`.
int32_t verify_draft(const float * target, const float * drafter, size_t n, int32_t draft, const DrawRequest & request,
                     const DrawRequest & drafted_by, Coupling coupling, SpeculationScratch & scratch);

/// Half the sum of |exp a_i - exp b_i|: total-variation distance, 0..1, of two rows of normalised log-probabilities.
double total_variation(const float * a, const float * b, size_t n);

/// Shannon entropy of a row of normalised log-probabilities, in nats: at least 0.
double entropy(const float * row, size_t n);

}  // namespace eft
