#include "math/fuse.h"

#include <algorithm>
#include <limits>

#include "math/vector-math.h"

namespace eft {

TokenGroups group_tokens(const uint8_t * kinds, size_t n) {
    TokenGroups groups;
    for (size_t token = 0; token < n; ++token) {
        if (kinds[token] == 0) continue;
        if (kinds[token] == 2) groups.added.push_back(static_cast<int32_t>(token));
        groups.control_and_added.push_back(static_cast<int32_t>(token));
    }
    return groups;
}

void collect_conservative_set(const float * fallback, size_t n, double top_p, FuseScratch & scratch) {
    auto & candidates = scratch.candidates;
    scratch.probabilities.resize(n);
    const float * probabilities = scratch.probabilities.data();
    const double total = exponentials(fallback, n, 0, 1, scratch.probabilities.data());
    collect_top_p_candidates(fallback, probabilities, n, top_p, total, candidates);
    keep_top_p(candidates, probabilities, top_p * total);
}

namespace {

/// The fallback form, not normalised yet: one member's own logits, or sums in scratch.fallback.
struct FallbackRow {
    MemberRow row;
    double others, total;  // log-sum-exp without the tokens that stand apart, and with them
    RowFault fault;
};

FallbackRow combine_fallback(const MemberRow * rows, const Fusion & fusion, size_t members, size_t n,
                             const std::vector<int32_t> & apart, FuseScratch & scratch) {
    const auto is_used = [](double weight) { return weight != 0; };
    const auto & weights = fusion.fallback;
    const auto first = static_cast<size_t>(std::find_if(weights.begin(), weights.end(), is_used) - weights.begin());
    if (first < members && weights[first] == 1 && std::count_if(weights.begin(), weights.end(), is_used) == 1) {
        const MemberRow row = {rows[first].data, std::min(rows[first].size, n)};
        return {row, scratch.others[first], scratch.log_normalizers[first], RowFault::none};
    }
    scratch.fallback.resize(n);
    float * sums = scratch.fallback.data();
    combine_rows(rows, scratch.others.data(), weights.data(), members, n, {}, sums);
    const PartedSummary parts = summarize_parts(sums, n, apart, scratch.buffer);
    return {{sums, n}, parts.others, log_add(parts.others, parts.apart), parts.fault};
}

/// The combination of one token; -inf if it is not possible.
double combine_token(const MemberRow * rows, const double * log_normalizers, const double * weights, size_t members,
                     int32_t token) {
    double sum = 0;
    for (size_t m = 0; m < members; m++) {
        if (weights[m] == 0) continue;
        const bool is_known = static_cast<size_t>(token) < rows[m].size;
        const float logit = is_known ? rows[m].data[token] : MASKED;
        if (logit == MASKED) return MASKED;
        sum += weights[m] * (static_cast<double>(logit) - log_normalizers[m]);
    }
    return sum;
}

/// The combination in the conservative set, the fallback outside; up to a constant. With what is in scratch.uncovered
/// afterwards it cannot be made.
void combine_conservatively(const MemberRow * rows, const Fusion & fusion, size_t members, size_t n,
                            const std::vector<int32_t> & apart, const FallbackRow & fallback, float * target,
                            FuseScratch & scratch) {
    scratch.fallback.resize(n);
    float * row = scratch.fallback.data();
    shift_row(fallback.row.data, fallback.row.size, -fallback.others, row);
    std::fill(row + fallback.row.size, row + n, MASKED);
    for (const int32_t id : apart) row[id] = MASKED;

    collect_conservative_set(row, n, fusion.conservative_top_p, scratch);
    scratch.uncovered = find_uncovered(rows, fusion.weights, scratch.others, n, apart, scratch.candidates);
    if (!scratch.uncovered.empty()) return;
    scratch.sums.clear();
    for (const TokenLogprob & inside : scratch.candidates) {
        scratch.sums.push_back(
            combine_token(rows, scratch.others.data(), fusion.weights.data(), members, inside.token));
        row[inside.token] = MASKED;
    }
    double max = max_of(row, n);
    for (const double sum : scratch.sums) max = std::max(max, sum);
    if (max == static_cast<double>(MASKED)) max = 0;
    shift_row(row, n, -max, target);
    for (size_t i = 0; i < scratch.sums.size(); i++) {
        const double sum = scratch.sums[i];
        const float value = to_possible(sum - max);
        target[scratch.candidates[i].token] = sum == static_cast<double>(MASKED) ? MASKED : value;
    }
}

}  // namespace

FuseResult fuse_rows(const MemberRow * rows, const Fusion & fusion, size_t members, size_t n,
                     const TokenGroups & groups, FuseScratch & scratch) {
    const bool control_apart = fusion.has_fallback && fusion.control_tokens_fallback;
    const std::vector<int32_t> & apart = control_apart ? groups.control_and_added : groups.added;
    constexpr double NONE = MASKED;
    scratch.target.resize(n);
    scratch.log_normalizers.assign(members, std::numeric_limits<double>::quiet_NaN());
    scratch.others.assign(members, NONE);
    float * target = scratch.target.data();
    const auto result = [&](RowFault fault, int32_t member = -1) -> FuseResult {
        return {target, scratch.log_normalizers.data(), fault, member};
    };

    scratch.uncovered.clear();
    const bool is_filtered = fusion.has_fallback && fusion.conservative_top_p < 1;
    for (size_t m = 0; m < members; m++) {
        if (!is_read(fusion, m)) continue;
        if (const KnownIds * known = rows[m].known) {
            const KnownShares shares = sum_shares(rows[m], n, apart);
            scratch.log_normalizers[m] = shares.log_normalizer;
            scratch.others[m] = shares.others;
            if (!is_filtered || fusion.fallback[m] != 0) scratch.uncovered.push_back({m, known->mass, {}});
            continue;
        }
        const PartedSummary parts = summarize_parts(rows[m].data, std::min(rows[m].size, n), apart, scratch.buffer);
        if (parts.fault != RowFault::none) return result(parts.fault, static_cast<int32_t>(m));
        scratch.log_normalizers[m] = log_add(parts.others, parts.apart);
        scratch.others[m] = parts.others;
    }

    if (!scratch.uncovered.empty()) return result(RowFault::uncovered);
    const double * normalizers = scratch.others.data();
    if (!fusion.has_fallback) {
        combine_rows(rows, normalizers, fusion.weights.data(), members, n, apart, target);
        return result(normalize_row(target, n).fault);
    }

    const FallbackRow fallback = combine_fallback(rows, fusion, members, n, apart, scratch);
    if (fallback.fault != RowFault::none) return result(fallback.fault);
    // What a token that stands apart gets, before the row in the scratch is changed.
    scratch.apart.clear();
    for (const int32_t id : apart) {
        const bool is_known = static_cast<size_t>(id) < fallback.row.size;
        const float value = is_known ? fallback.row.data[id] : MASKED;
        scratch.apart.push_back(value == MASKED ? MASKED : to_possible(static_cast<double>(value) - fallback.total));
    }
    if (fallback.others == NONE) {
        std::fill_n(target, n, MASKED);
    } else if (fusion.conservative_top_p < 1) {
        combine_conservatively(rows, fusion, members, n, apart, fallback, target, scratch);
        if (!scratch.uncovered.empty()) return result(RowFault::uncovered);
    } else {
        combine_rows(rows, normalizers, fusion.weights.data(), members, n, apart, target);
        mask_as(fallback.row.data, fallback.row.size, target);
        std::fill(target + fallback.row.size, target + n, MASKED);
    }

    const RowSummary others = summarize_row(target, n);
    const bool only_apart = others.fault == RowFault::all_masked;
    if (others.fault != RowFault::none && !only_apart) return result(others.fault);
    if (!only_apart) shift_row(target, n, fallback.others - fallback.total - others.log_normalizer, target);
    for (size_t i = 0; i < apart.size(); i++) target[apart[i]] = scratch.apart[i];
    // Where nothing else is possible, they share everything.
    return result(only_apart ? normalize_row(target, n).fault : RowFault::none);
}

}  // namespace eft
