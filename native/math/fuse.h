// The fusing arithmetic: rows of logits in, one row of target log-probabilities out. Knows neither Node nor llama.cpp.
//
//   target_i = sum_m w_m (logit_mi - logsumexp_j logit_mj)         (Mitchell et al. 2310.12962, eq. 3 and 4)
//
// Some tokens stand apart: they are not combined, and have the probability that the fallback form gives them; the
// combination, made of the other tokens alone, shares out what that leaves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "math/combine.h"
#include "math/known-ids.h"

namespace eft {

/// Tokens that stand apart; ascending ids.
struct TokenGroups {
    std::vector<int32_t> added;              // always: not all members have them
    std::vector<int32_t> control_and_added;  // with control_tokens_fallback: control tokens too
};

/// The ids of each group, from the kinds of n ids: 0 combined, 1 control token, 2 added token.
TokenGroups group_tokens(const uint8_t * kinds, size_t n);

/// How the rows of one position become a target row. Weights in member order.
struct Fusion {
    std::vector<double> weights;           // the combination
    std::vector<double> fallback;          // the fallback form, as long as `weights`; empty without one
    bool has_fallback = false;             // without one, tokens that stand apart are not possible
    double conservative_top_p = 1;         // mass of the conservative set, (0, 1]
    bool control_tokens_fallback = false;  // control tokens stand apart
};

/// Whether fuse_rows reads the member's row.
inline bool is_read(const Fusion & fusion, size_t member) {
    return fusion.weights[member] != 0 || (fusion.has_fallback && fusion.fallback[member] != 0);
}

/// Buffers of fuse_rows. Keep one per thread and use it again and again: then nothing is allocated.
struct FuseScratch {
    std::vector<float> target, fallback, probabilities, apart, buffer;
    std::vector<double> log_normalizers, others, sums;
    std::vector<PartedSummary> parts;
    std::vector<TokenLogprob> candidates;
    std::vector<Uncovered> uncovered;  // why, if that is the fault
};

/// What fuse_rows found. The pointers lead into its scratch and are valid until that is used again.
struct FuseResult {
    float * target;                  // n normalised log-probabilities; meaningless if faulty
    const double * log_normalizers;  // one per member, over all of its tokens; NaN where the target needs none
    RowFault fault;
    int32_t faulty_member;  // index of the broken member; -1: no fault, or one of the target itself
};

/// One position from the members' logits to the target over ids 0 .. n - 1: combine, conservative filter (EFT, "top-p
/// filtering of up-scaling weights": the smallest set of most probable tokens of the fallback form with the mass, ties
/// to lower ids), normalise; tokens that stand apart as above. A member is read if its weight in the combination or in
/// the fallback form is not 0; `rows[m]` of any other is not looked at. Faults: NaN or +inf in a row that is read; a
/// row, or the target, entirely masked; a target that is not a number, which takes weights beyond 1e200. Of rows that
/// are not whole, too little may be known: then scratch.uncovered says of which, and what is missing.
FuseResult fuse_rows(const MemberRow * rows, const Fusion & fusion, size_t members, size_t n,
                     const TokenGroups & groups, FuseScratch & scratch);

}  // namespace eft
