// Cost of fusing M members of n logits: 4 n (2 M + 6) bytes move: each member twice (log-normaliser, combination), the
// target written, read and written relative to its maximum, read for its log-normaliser, read and written for its
// normalisation. Rows that have just come out of a decode are in memory or in the last cache and this is the bound;
// with rows in the L2 cache it is the n (M + 1) exponentials, about one cycle each with AVX-512. bench/combine.cpp
// prints both.

#include "math/combine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "math/vector-math.h"

namespace eft {

namespace {

/// Elements that are scanned, then summed: a block stays in the L1 cache in between.
constexpr size_t BLOCK = 2048;
/// Elements that are skipped at once where none of them can be among the largest.
constexpr size_t STRIDE = 128;
/// How far above its offset a combined row may reach: what floats near 0 resolve, they nearly do here.
constexpr float MOST_ABOVE = 16;

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

/// target[i] = sum[i] - offset where the token is possible.
EFT_VECTORIZED void store_block(const double * sum, const float * lowest, size_t n, double offset, float * target) {
    for (size_t i = 0; i < n; i++) {
        const float value = to_possible(sum[i] - offset);
        target[i] = lowest[i] == MASKED ? MASKED : value;
    }
}

double max_of_possible(const double * sum, const float * lowest, size_t n) {
    double max = MASKED;
    for (size_t i = 0; i < n; i++) {
        if (lowest[i] > MASKED && !(sum[i] <= max)) max = sum[i];
    }
    return max;
}

EFT_VECTORIZED void shift_block(const float * row, size_t n, double amount, float * out) {
    for (size_t i = 0; i < n; i++) out[i] = static_cast<float>(static_cast<double>(row[i]) + amount);
}

EFT_VECTORIZED void shift_far(const float * row, size_t n, double amount, float * out) {
    for (size_t i = 0; i < n; i++) {
        const float value = to_possible(static_cast<double>(row[i]) + amount);
        out[i] = row[i] == MASKED ? MASKED : value;
    }
}

/// The row without the tokens from `skipped` to `end`, ascending ids.
RowSummary summarize_without(const float * row, size_t n, const int32_t * skipped, const int32_t * end) {
    float max = MASKED;
    double sum = 0;  // of exp(row_i - max)
    float copy[BLOCK];
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const size_t length = std::min(BLOCK, n - begin);
        const float * block = row + begin;
        if (skipped != end && static_cast<size_t>(*skipped) < begin + length) {
            std::copy_n(block, length, copy);
            block = copy;
            for (; skipped != end && static_cast<size_t>(*skipped) < begin + length; ++skipped) {
                copy[static_cast<size_t>(*skipped) - begin] = MASKED;
            }
        }
        const BlockScan scan = scan_block(block, length);
        if (scan.has_nan) return {0, 0, RowFault::not_a_number};
        if (scan.max == MASKED) continue;
        if (scan.max > max) {
            sum *= std::exp(static_cast<double>(max) - static_cast<double>(scan.max));
            max = scan.max;
        }
        if (max < -MASKED) sum += sum_exponentials(block, length, max);
    }
    if (max == -MASKED) return {0, 0, RowFault::plus_infinity};
    if (max == MASKED) return {0, 0, RowFault::all_masked};
    return {static_cast<double>(max) + std::log(sum), max, RowFault::none};
}

}  // namespace

EFT_VECTORIZED float max_of(const float * x, size_t n) {
    int32_t max = order_key(x[0]);
    for (size_t i = 1; i < n; i++) max = std::max(max, order_key(x[i]));
    return from_order_key(max);
}

RowSummary summarize_row(const float * row, size_t n) { return summarize_without(row, n, nullptr, nullptr); }

double log_add(double a, double b) {
    const double max = std::max(a, b);
    return max == static_cast<double>(MASKED) ? max : max + std::log1p(std::exp(std::min(a, b) - max));
}

PartedSummary summarize_parts(const float * row, size_t n, const std::vector<int32_t> & apart,
                              std::vector<float> & buffer) {
    buffer.clear();
    for (const int32_t id : apart) {
        if (static_cast<size_t>(id) < n) buffer.push_back(row[id]);
    }
    const RowSummary others = summarize_without(row, n, apart.data(), apart.data() + buffer.size());
    if (buffer.empty()) return {others.log_normalizer, static_cast<double>(MASKED), others.fault};
    const RowSummary rest = summarize_row(buffer.data(), buffer.size());
    const bool no_others = others.fault == RowFault::all_masked, no_rest = rest.fault == RowFault::all_masked;
    if (others.fault != RowFault::none && !no_others) return {0, 0, others.fault};
    if (rest.fault != RowFault::none && !no_rest) return {0, 0, rest.fault};
    return {no_others ? static_cast<double>(MASKED) : others.log_normalizer,
            no_rest ? static_cast<double>(MASKED) : rest.log_normalizer,
            no_others && no_rest ? RowFault::all_masked : RowFault::none};
}

double combine_rows(const MemberRow * rows, const double * log_normalizers, const double * weights, size_t members,
                    size_t n, const std::vector<int32_t> & apart, float * target) {
    double constant = 0;
    size_t common = n;
    for (size_t m = 0; m < members; m++) {
        if (weights[m] == 0) continue;
        if (log_normalizers[m] > static_cast<double>(MASKED)) constant -= weights[m] * log_normalizers[m];
        common = std::min(common, rows[m].size);
    }
    constexpr size_t TILE = 1024;
    double sum[TILE];
    float lowest[TILE];
    double offset = 0;
    bool has_offset = false;
    auto next = apart.begin();
    for (size_t begin = 0; begin < common; begin += TILE) {
        const size_t length = std::min(TILE, common - begin);
        std::fill_n(sum, length, constant);
        std::fill_n(lowest, length, -MASKED);
        for (size_t m = 0; m < members; m++) {
            if (weights[m] != 0) accumulate_block(rows[m].data + begin, length, weights[m], sum, lowest);
        }
        for (; next != apart.end() && static_cast<size_t>(*next) < begin + length; ++next) {
            lowest[static_cast<size_t>(*next) - begin] = MASKED;
        }
        if (has_offset) {
            store_block(sum, lowest, length, offset, target + begin);
            if (max_of(target + begin, length) <= MOST_ABOVE) continue;
        }
        const double max = max_of_possible(sum, lowest, length);
        if (has_offset) shift_row(target, begin, offset - max, target);
        has_offset = max != static_cast<double>(MASKED);
        if (has_offset) offset = max;
        store_block(sum, lowest, length, offset, target + begin);
    }
    std::fill(target + common, target + n, MASKED);
    return offset;
}

void shift_row(const float * row, size_t n, double amount, float * out) {
    constexpr double FAR = 1e30;  // less is lost in the rounding of the largest floats
    (std::abs(amount) < FAR ? shift_block : shift_far)(row, n, amount, out);
}

EFT_VECTORIZED void mask_as(const float * row, size_t n, float * out) {
    for (size_t i = 0; i < n; i++) out[i] = row[i] == MASKED ? MASKED : out[i];
}

RowSummary normalize_row(float * row, size_t n) {
    const RowSummary summary = summarize_row(row, n);
    if (summary.fault == RowFault::none) shift_row(row, n, -summary.log_normalizer, row);
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

}  // namespace eft
