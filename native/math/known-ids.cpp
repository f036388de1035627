#include "math/known-ids.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "math/vector-math.h"

namespace eft {
namespace {

/// A log-probability of a server is a float that is off by some 1e-7 near 0. What that makes of a smaller share than
/// this would be off by more than the 1e-5 that are promised for a log-probability.
constexpr double LEAST_SHARE = 0.01;

bool is_known(const KnownIds & known, int32_t id) { return std::binary_search(known.ids.begin(), known.ids.end(), id); }

/// -inf too for what is no token of the member.
float entry_of(const MemberRow & row, int32_t id) { return static_cast<size_t>(id) < row.size ? row.data[id] : MASKED; }

/// Left-out tokens of which nothing is known.
std::vector<int32_t> unknown_left_out(const MemberRow & row, size_t n, const std::vector<int32_t> & apart) {
    const KnownIds & known = *row.known;
    const size_t common = std::min(row.size, n);
    std::vector<int32_t> result;
    for (size_t id = 0; id < known.size; ++id) {
        const bool is_in_target = id < common && row.data[id] != MASKED;
        if (!is_in_target && !is_known(known, static_cast<int32_t>(id))) result.push_back(static_cast<int32_t>(id));
    }
    for (const int32_t id : apart) {
        if (std::isnan(entry_of(row, id))) result.push_back(id);
    }
    return result;
}

}  // namespace

std::vector<float> spread_known_ids(const KnownIds & known) {
    std::vector<float> row(known.size, std::numeric_limits<float>::quiet_NaN());
    for (size_t i = 0; i < known.ids.size(); ++i) {
        const double logprob = known.logprobs[i];
        row[static_cast<size_t>(known.ids[i])] = logprob == static_cast<double>(MASKED) ? MASKED : to_possible(logprob);
    }
    return row;
}

KnownShares sum_shares(const MemberRow & row, size_t n, const std::vector<int32_t> & apart) {
    const KnownIds & known = *row.known;
    const MemberRow common = {row.data, std::min(row.size, n), row.known};
    double lacking = 0, standing_apart = 0;
    for (size_t i = 0; i < known.ids.size(); ++i) {
        const double probability = std::exp(known.logprobs[i]);
        if (entry_of(common, known.ids[i]) == MASKED) {
            lacking += probability;
        } else if (std::binary_search(apart.begin(), apart.end(), known.ids[i])) {
            standing_apart += probability;
        }
    }
    const auto log_rest = [](double mass) { return mass < 1 ? std::log1p(-mass) : static_cast<double>(MASKED); };
    return {log_rest(lacking), log_rest(lacking + standing_apart)};
}

std::vector<Uncovered> find_uncovered(const MemberRow * rows, const std::vector<double> & weights,
                                      const std::vector<double> & log_shares, size_t n,
                                      const std::vector<int32_t> & apart, const std::vector<TokenLogprob> & inside) {
    const auto is_possible = [&](int32_t id) {
        for (size_t m = 0; m < weights.size(); ++m) {
            if (weights[m] != 0 && entry_of(rows[m], id) == MASKED) return false;
        }
        return true;
    };
    std::vector<Uncovered> result;
    for (size_t m = 0; m < weights.size(); ++m) {
        if (weights[m] == 0 || !rows[m].known) continue;
        std::vector<int32_t> missing = unknown_left_out(rows[m], n, apart);
        for (const TokenLogprob & token : inside) {
            if (std::isnan(entry_of(rows[m], token.token)) && is_possible(token.token)) missing.push_back(token.token);
        }
        std::sort(missing.begin(), missing.end());
        if (missing.empty() && log_shares[m] >= std::log(LEAST_SHARE)) continue;
        result.push_back({m, rows[m].known->mass, std::move(missing)});
    }
    return result;
}

}  // namespace eft
