// Rows of which some ids are known and the others are not, such as a server gives that has the member. Knows neither
// Node nor llama.cpp.
//
// Where the target has a conservative filter, most of a row is not read. With f the fallback form, V its conservative
// set, A the tokens that stand apart, and p_m(i) the probability of token i in the distribution of member m,
// fuse_rows() makes
//
//   target_i  ~  exp sum_m w_m (log p_m(i) - log s_m)     for i in V
//   target_i  ~  f_i                                      for i outside V and A; ~ is the same factor in both
//   target_i  =  f_i                                      for i in A
//
// where s_m = 1 - sum of p_m(j) over the left-out tokens j: those of A, and those that the member's distribution has
// and the target lacks. V and the last two lines depend on f alone. So of a member that f does not read, the
// probabilities of V and of the left-out tokens are all that the target depends on: where they are known, it is exact.
// Which ids these are is a matter of other members, whose rows are whole; ties at the edge of V are broken among those.
// Nothing has to be known of the other ids, not even how probable each can be at most.
//
// What is to be known whole: the row of a member that f reads, because outside V its probabilities are those of the
// target, whether or not V is known; and every row where there is no filter, or where its mass is 1. And s_m is a
// difference: if the left-out tokens have nearly all mass, what is left is the rounding of their log-probabilities.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "math/combine.h"

namespace eft {

/// The ids that are known of a row, ascending, and their log-probabilities in the member's whole distribution.
struct KnownIds {
    std::vector<int32_t> ids;
    std::vector<double> logprobs;  // -inf: not possible
    size_t size = 0;               // of the distribution: ids 0 .. size - 1
    double mass = 0;               // of all known ids
};

/// What was missing where a target could not be made from what is known of a member.
struct Uncovered {
    size_t member;
    double known_mass;
    std::vector<int32_t> missing;  // ascending ids; none: only the whole row helps
};

/// The data of a row of `known`: the log-probabilities, and NaN where nothing is known, so that whoever takes the row
/// for a whole one finds it broken.
std::vector<float> spread_known_ids(const KnownIds & known);

/// Logarithms of parts of the mass of the distribution; -inf where nothing is left.
struct KnownShares {
    double log_normalizer;  // of the tokens that the target has
    double others;          // of those of them that do not stand apart: log s_m
};

/// Of a row with `known` ids in a target over ids 0 .. n - 1, in which the ids `apart`, ascending, stand apart.
KnownShares sum_shares(const MemberRow & row, size_t n, const std::vector<int32_t> & apart);

/// Which rows of those that are combined have too little known to combine the tokens `inside`; nothing: all have
/// enough. `log_shares`: KnownShares::others of each member.
std::vector<Uncovered> find_uncovered(const MemberRow * rows, const std::vector<double> & weights,
                                      const std::vector<double> & log_shares, size_t n,
                                      const std::vector<int32_t> & apart, const std::vector<TokenLogprob> & inside);

}  // namespace eft
