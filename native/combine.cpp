// Cost of fusing M members of n logits: 4 n (2 M + 4) bytes move: each member twice (log-normaliser, combination), the
// target written, read for its log-normaliser, read and written for its normalisation. Rows that have just come out of
// a decode are in memory or in the last cache and this is the bound; with rows in the L2 cache it is the n (M + 1)
// exponentials, about one cycle each with AVX-512. bench/combine.cpp prints both.

#include "combine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "vector-math.h"

namespace eft {

namespace {

/// Elements that are scanned, then summed: a block stays in the L1 cache in between.
constexpr size_t BLOCK = 2048;
/// Elements that are skipped at once where none of them can be among the largest.
constexpr size_t STRIDE = 128;

struct BlockScan {
    float max;
    bool has_nan;
};

EFT_VECTORIZED BlockScan scan_block(const float * x, size_t n) {
    constexpr int32_t INFINITE_MAGNITUDE = 0x7f800000;  // that of NaN is greater
    int32_t max = order_key(MASKED);
    int32_t magnitude = 0;
    for (size_t i = 0; i < n; i++) {
        max = std::max(max, order_key(x[i]));
        magnitude = std::max(magnitude, bits_to<int32_t>(x[i]) & 0x7fffffff);
    }
    return {from_order_key(max), magnitude > INFINITE_MAGNITUDE};
}

/// sum_i exp(x_i - max) for a finite max. Terms are floats, their sum is a double: a long tail does not get lost.
EFT_VECTORIZED double sum_exponentials(const float * x, size_t n, float max) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) sum += static_cast<double>(exp_nonpositive(x[i] - max));
    return sum;
}

/// Sum of the entries that do not exceed `threshold`.
EFT_VECTORIZED double sum_up_to(const float * x, size_t n, float threshold) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) sum += static_cast<double>(x[i] <= threshold ? x[i] : 0.0f);
    return sum;
}

EFT_VECTORIZED void accumulate_block(const float * x, size_t n, double weight, double * sum, float * lowest) {
    for (size_t i = 0; i < n; i++) {
        sum[i] += weight * static_cast<double>(x[i]);
        lowest[i] = x[i] < lowest[i] ? x[i] : lowest[i];
    }
}

EFT_VECTORIZED void store_block(const double * sum, const float * lowest, size_t n, float * target) {
    for (size_t i = 0; i < n; i++) {
        const float value = static_cast<float>(sum[i]);
        target[i] = lowest[i] == MASKED ? MASKED : value;
    }
}

EFT_VECTORIZED void subtract(float * row, size_t n, double amount) {
    for (size_t i = 0; i < n; i++) row[i] = static_cast<float>(static_cast<double>(row[i]) - amount);
}

}  // namespace

EFT_VECTORIZED float max_of(const float * x, size_t n) {
    int32_t max = order_key(x[0]);
    for (size_t i = 1; i < n; i++) max = std::max(max, order_key(x[i]));
    return from_order_key(max);
}

RowSummary summarize_row(const float * row, size_t n) {
    float max = MASKED;
    double sum = 0;  // of exp(row_i - max)
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t length = std::min(BLOCK, n - begin);
        const BlockScan scan = scan_block(row + begin, length);
        if (scan.has_nan) return {0, 0, RowFault::not_a_number};
        if (scan.max == MASKED) continue;
        if (scan.max > max) {
            sum *= std::exp(static_cast<double>(max) - static_cast<double>(scan.max));
            max = scan.max;
        }
        if (max < -MASKED) sum += sum_exponentials(row + begin, length, max);
    }
    if (max == -MASKED) return {0, 0, RowFault::plus_infinity};
    if (max == MASKED) return {0, 0, RowFault::all_masked};
    return {static_cast<double>(max) + std::log(sum), max, RowFault::none};
}

void combine_rows(const float * const * rows, const double * log_normalizers, const double * weights, size_t members,
                  size_t n, float * target) {
    double constant = 0;
    for (size_t m = 0; m < members; m++) {
        if (weights[m] != 0) constant -= weights[m] * log_normalizers[m];
    }
    constexpr size_t TILE = 1024;
    double sum[TILE];
    float lowest[TILE];
    for (size_t begin = 0; begin < n; begin += TILE) {
        const size_t length = std::min(TILE, n - begin);
        std::fill_n(sum, length, constant);
        std::fill_n(lowest, length, -MASKED);
        for (size_t m = 0; m < members; m++) {
            if (weights[m] != 0) accumulate_block(rows[m] + begin, length, weights[m], sum, lowest);
        }
        store_block(sum, lowest, length, target + begin);
    }
}

RowSummary normalize_row(float * row, size_t n) {
    const RowSummary summary = summarize_row(row, n);
    if (summary.fault == RowFault::none) subtract(row, n, summary.log_normalizer);
    return summary;
}

EFT_VECTORIZED double exponentials(const float * row, size_t n, float max, float scale, float * out) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) {
        out[i] = exp_nonpositive((row[i] - max) * scale);
        sum += static_cast<double>(out[i]);
    }
    return sum;
}

size_t apply_conservative_filter(const float * fallback, size_t n, double top_p, const uint8_t * excluded,
                                 float * target, FuseScratch & scratch) {
    if (top_p >= 1) {
        size_t inside = 0;
        for (size_t i = 0; i < n; i++) {
            const bool is_inside = fallback[i] > MASKED && !(excluded && excluded[i]);
            if (!is_inside) target[i] = fallback[i];
            inside += is_inside;
        }
        return inside;
    }
    auto & candidates = scratch.candidates;
    scratch.probabilities.resize(n);
    const float * probabilities = scratch.probabilities.data();
    const double total = exponentials(fallback, n, 0, 1, scratch.probabilities.data());
    collect_top_p_candidates(fallback, probabilities, n, top_p, total, candidates);
    keep_top_p(candidates, probabilities, top_p * total);

    size_t inside = 0;
    for (const TokenLogprob & candidate : candidates) {
        if (excluded && excluded[candidate.token]) continue;
        candidates[inside++] = {candidate.token, target[candidate.token]};
    }
    std::copy_n(fallback, n, target);
    for (size_t i = 0; i < inside; i++) target[candidates[i].token] = candidates[i].logprob;
    return inside;
}

void top_logprobs(const float * row, size_t n, size_t count, std::vector<TokenLogprob> & out) {
    out.clear();
    if (count == 0) return;
    float threshold = MASKED;  // the worst of `count` candidates so far
    const auto cut = [&] {
        std::nth_element(out.begin(), out.begin() + (count - 1), out.end(), ranks_before);
        out.resize(count);
        threshold = out.back().logprob;
    };
    for (size_t begin = 0; begin < n; begin += STRIDE) {
        const size_t length = std::min(STRIDE, n - begin);
        if (!(max_of(row + begin, length) > threshold)) continue;
        for (size_t i = begin; i < begin + length; i++) {
            if (!(row[i] > threshold)) continue;  // an equal one with a higher id loses
            out.push_back({static_cast<int32_t>(i), row[i]});
            if (out.size() == 2 * count + STRIDE) cut();
        }
    }
    if (out.size() > count) cut();
    std::sort(out.begin(), out.end(), ranks_before);
}

void collect_top_p_candidates(const float * row, const float * weights, size_t n, double top_p, double total,
                              std::vector<TokenLogprob> & out) {
    // Whatever weighs no more than `low` is together lighter than what the set leaves out. At first, because there are
    // at most n such tokens (half of the bound leaves room for rounding); then `low` is raised by bisection.
    const double rest = (1 - top_p) * total;
    double low = 0.5 * rest / static_cast<double>(n);
    double high = max_of(weights, n);
    constexpr int BISECTIONS = 8;  // leave a factor of about 1.1 between `low` and the lightest token of the set
    for (int i = 0; i < BISECTIONS && low < high; i++) {
        const double middle = std::sqrt(low * high);
        (sum_up_to(weights, n, static_cast<float>(middle)) < rest ? low : high) = middle;
    }
    const auto threshold = static_cast<float>(low);
    size_t count = 0;
    for (size_t begin = 0; begin < n; begin += STRIDE) {
        const size_t length = std::min(STRIDE, n - begin);
        if (!(max_of(weights + begin, length) > threshold)) continue;
        if (out.size() < count + length) out.resize(count + length);
        for (size_t i = begin; i < begin + length; i++) {
            out[count] = {static_cast<int32_t>(i), row[i]};  // always written, not always counted: no branch
            count += weights[i] > threshold;
        }
    }
    out.resize(count);
}

void keep_top_p(std::vector<TokenLogprob> & candidates, const float * weights, double mass) {
    // Bisection of the ranking: sort no more than it takes to find the last token that is needed.
    const auto first = candidates.begin();
    size_t begin = 0;
    size_t end = candidates.size();
    while (end - begin > 1) {
        const size_t middle = begin + (end - begin) / 2;
        std::nth_element(first + begin, first + middle, first + end, ranks_before);
        double upper = 0;
        for (size_t i = begin; i < middle; i++) upper += weights[candidates[i].token];
        if (upper >= mass) {
            end = middle;
        } else {
            mass -= upper;
            begin = middle;
        }
    }
    candidates.resize(end);
}

FuseResult fuse_rows(const float * const * rows, const Fusion & fusion, size_t members, size_t n,
                     const uint8_t * control_tokens, FuseScratch & scratch) {
    scratch.target.resize(n);
    scratch.log_normalizers.assign(members, std::numeric_limits<double>::quiet_NaN());
    float * target = scratch.target.data();
    const double * log_normalizers = scratch.log_normalizers.data();

    for (size_t m = 0; m < members; m++) {
        if (!is_read(fusion, m)) continue;
        const RowSummary summary = summarize_row(rows[m], n);
        if (summary.fault != RowFault::none) {
            return {target, log_normalizers, summary.fault, static_cast<int32_t>(m)};
        }
        scratch.log_normalizers[m] = summary.log_normalizer;
    }

    combine_rows(rows, log_normalizers, fusion.weights.data(), members, n, target);
    if (fusion.has_fallback) {
        scratch.fallback.resize(n);
        float * fallback = scratch.fallback.data();
        combine_rows(rows, log_normalizers, fusion.fallback.data(), members, n, fallback);
        const RowFault fault = normalize_row(fallback, n).fault;
        if (fault != RowFault::none) return {target, log_normalizers, fault, -1};
        const uint8_t * excluded = fusion.control_tokens_fallback ? control_tokens : nullptr;
        apply_conservative_filter(fallback, n, fusion.conservative_top_p, excluded, target, scratch);
    }
    return {target, log_normalizers, normalize_row(target, n).fault, -1};
}

}  // namespace eft
