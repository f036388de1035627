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

namespace {

/// The fallback form, not normalised yet: one member's own logits, or sums in scratch.fallback.
struct FallbackRow {
    MemberRow row;
    PartedSummary parts;
    double total;  // log-sum-exp of all tokens
};

/// The member that is the fallback form alone and unchanged, if there is one: else the number of members.
size_t find_sole_fallback(const std::vector<double> & weights) {
    const auto is_used = [](double weight) { return weight != 0; };
    const auto first = std::find_if(weights.begin(), weights.end(), is_used);
    const bool is_sole = first != weights.end() && *first == 1 && std::none_of(first + 1, weights.end(), is_used);
    return static_cast<size_t>((is_sole ? first : weights.end()) - weights.begin());
}

FallbackRow combine_fallback(const MemberRow * rows, const Fusion & fusion, size_t members, size_t n,
                             const std::vector<int32_t> & apart, FuseScratch & scratch) {
    const size_t sole = find_sole_fallback(fusion.fallback);
    if (sole < members) {
        const MemberRow row = {rows[sole].data, std::min(rows[sole].size, n)};
        return {row, scratch.parts[sole], scratch.log_normalizers[sole]};
    }
    scratch.fallback.resize(n);
    float * sums = scratch.fallback.data();
    const RowFault fault = combine_rows(rows, fusion.fallback.data(), members, n, {}, sums).fault;
    if (fault != RowFault::none) return {{sums, n}, {0, 0, fault}, 0};
    const PartedSummary parts = summarize_parts(sums, n, apart, scratch.buffer);
    return {{sums, n}, parts, log_add(parts.others, parts.apart)};
}

/// Whether every token that the combination leaves possible is possible in the fallback form.
bool implies_fallback(const Fusion & fusion) {
    for (size_t m = 0; m < fusion.weights.size(); m++) {
        if (fusion.fallback[m] != 0 && fusion.weights[m] == 0) return false;
    }
    return true;
}

/// Which row is to blame for the fault of a combination; the fault itself where none is.
FuseResult blame(FuseResult result, const MemberRow * rows, const Fusion & fusion, size_t members, size_t n) {
    for (size_t m = 0; m < members; m++) {
        if (!is_read(fusion, m) || rows[m].known) continue;
        const RowFault fault = summarize_row(rows[m].data, std::min(rows[m].size, n)).fault;
        if (fault == RowFault::none) continue;
        result.fault = fault;
        result.faulty_member = static_cast<int32_t>(m);
        break;
    }
    return result;
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
    const auto & [row, parts, total] = fallback;
    auto & inside = scratch.candidates;
    const double top_p = fusion.conservative_top_p;
    if (!collect_few_of_top_p(row.data, row.size, apart, parts.max, 1, top_p * parts.sum, scratch.buffer, inside)) {
        auto & weights = scratch.probabilities;
        weights.assign(row.data, row.data + row.size);
        for (const int32_t id : apart) {
            if (static_cast<size_t>(id) < row.size) weights[static_cast<size_t>(id)] = MASKED;
        }
        const double sum = exponentials(weights.data(), row.size, parts.max, 1, weights.data());
        collect_top_p(row.data, weights.data(), row.size, sum, top_p, inside);
    }
    scratch.uncovered = find_uncovered(rows, fusion.weights, scratch.others, n, apart, inside);
    if (!scratch.uncovered.empty()) return;

    std::copy_n(row.data, row.size, target);
    std::fill(target + row.size, target + n, MASKED);
    for (const int32_t id : apart) target[id] = MASKED;
    scratch.sums.clear();
    for (const TokenLogprob & token : inside) {
        scratch.sums.push_back(combine_token(rows, scratch.others.data(), fusion.weights.data(), members, token.token));
        target[token.token] = MASKED;
    }
    double max = static_cast<double>(max_of(target, n)) - parts.others;
    for (const double sum : scratch.sums) max = std::max(max, sum);
    if (max == static_cast<double>(MASKED)) max = 0;
    shift_row(target, n, -parts.others - max, target);
    for (size_t i = 0; i < inside.size(); i++) {
        const double sum = scratch.sums[i];
        const float value = to_possible(sum - max);
        target[inside[i].token] = sum == static_cast<double>(MASKED) ? MASKED : value;
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
    scratch.parts.resize(members);
    scratch.uncovered.clear();
    float * target = scratch.target.data();
    const auto result = [&](RowFault fault, int32_t member = -1) -> FuseResult {
        return {target, scratch.log_normalizers.data(), fault, member};
    };
    const auto blamed = [&](RowFault fault) { return blame(result(fault), rows, fusion, members, n); };

    const bool is_filtered = fusion.has_fallback && fusion.conservative_top_p < 1;
    const size_t sole_fallback = fusion.has_fallback ? find_sole_fallback(fusion.fallback) : members;
    for (size_t m = 0; m < members; m++) {
        if (!is_read(fusion, m)) continue;
        if (const KnownIds * known = rows[m].known) {
            const KnownShares shares = sum_shares(rows[m], n, apart);
            scratch.log_normalizers[m] = shares.log_normalizer;
            scratch.others[m] = shares.others;
            if (!is_filtered || fusion.fallback[m] != 0) scratch.uncovered.push_back({m, known->mass, {}});
            continue;
        }
        // What the other rows are normalised by is a constant, which the normalisation of the target takes away.
        if (!is_filtered && m != sole_fallback) continue;
        PartedSummary & parts = scratch.parts[m];
        parts = summarize_parts(rows[m].data, std::min(rows[m].size, n), apart, scratch.buffer);
        if (parts.fault != RowFault::none) return result(parts.fault, static_cast<int32_t>(m));
        scratch.log_normalizers[m] = log_add(parts.others, parts.apart);
        scratch.others[m] = parts.others;
    }

    if (!scratch.uncovered.empty()) return result(RowFault::uncovered);
    const double * weights = fusion.weights.data();
    if (!fusion.has_fallback) {
        const RowSummary combined = combine_rows(rows, weights, members, n, apart, target);
        if (combined.fault != RowFault::none) return blamed(combined.fault);
        shift_row(target, n, -combined.log_normalizer, target);
        return result(RowFault::none);
    }

    const FallbackRow fallback = combine_fallback(rows, fusion, members, n, apart, scratch);
    if (fallback.parts.fault != RowFault::none) return blamed(fallback.parts.fault);
    // What a token that stands apart gets, before the row in the scratch is changed.
    scratch.apart.clear();
    for (const int32_t id : apart) {
        const bool is_known = static_cast<size_t>(id) < fallback.row.size;
        const float value = is_known ? fallback.row.data[id] : MASKED;
        scratch.apart.push_back(value == MASKED ? MASKED : to_possible(static_cast<double>(value) - fallback.total));
    }
    RowSummary others{0, 0, RowFault::all_masked};
    if (fallback.parts.others == NONE) {
        std::fill_n(target, n, MASKED);
    } else if (is_filtered) {
        combine_conservatively(rows, fusion, members, n, apart, fallback, target, scratch);
        if (!scratch.uncovered.empty()) return result(RowFault::uncovered);
        others = summarize_row(target, n);
    } else {
        others = combine_rows(rows, weights, members, n, apart, target);
        if (others.fault == RowFault::none && !implies_fallback(fusion)) {
            mask_as(fallback.row.data, fallback.row.size, target);
            std::fill(target + fallback.row.size, target + n, MASKED);
            others = summarize_row(target, n);
        }
    }

    const bool only_apart = others.fault == RowFault::all_masked;
    if (others.fault != RowFault::none && !only_apart) return blamed(others.fault);
    if (!only_apart) shift_row(target, n, fallback.parts.others - fallback.total - others.log_normalizer, target);
    for (size_t i = 0; i < apart.size(); i++) target[apart[i]] = scratch.apart[i];
    // Where nothing else is possible, they share everything.
    return only_apart ? blamed(normalize_row(target, n).fault) : result(RowFault::none);
}

}  // namespace eft
