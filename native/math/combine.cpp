// Cost of fusing M members of n logits: each is read once, while the target is written and its exponentials are summed,
// and the target is read and written once more to be normalised: 4 n (M + 3) bytes and n exponentials, about one cycle
// each with AVX-512. bench/combine.cpp prints what is left above that.

#include "math/combine.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "math/vector-math.h"

namespace eft {

// Before its first use, as clang wants it of functions that are cloned.
EFT_VECTORIZED double sum_exponentials(const float * row, size_t n, float max, float scale) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) sum += static_cast<double>(exp_nonpositive((row[i] - max) * scale));
    return sum;
}

namespace {

/// Elements that are scanned, then summed: a block stays in the L1 cache in between.
constexpr size_t BLOCK = 2048;
/// Elements that are combined, then summed. Shorter than a block, since there are several rows of them.
constexpr size_t TILE = 512;
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

/// Sum of the entries that do not exceed `threshold`.
EFT_VECTORIZED double sum_up_to(const float * x, size_t n, float threshold) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) sum += static_cast<double>(x[i] <= threshold ? x[i] : 0.0f);
    return sum;
}

/// Rows that are read side by side: each sum is then written once for all, and memory is asked for several at a time.
struct Trio {
    const float * rows[3];
    double weights[3];
};

/// sum[i] += the weighted entries. Whether any of them is NaN or +inf.
EFT_VECTORIZED bool accumulate_block(const Trio & trio, size_t n, double * sum) {
    constexpr float MOST = std::numeric_limits<float>::max();
    const float *a = trio.rows[0], *b = trio.rows[1], *c = trio.rows[2];
    const double weight_a = trio.weights[0], weight_b = trio.weights[1], weight_c = trio.weights[2];
    int32_t is_broken = 0;
    for (size_t i = 0; i < n; i++) {
        sum[i] += weight_a * static_cast<double>(a[i]) + weight_b * static_cast<double>(b[i]) +
                  weight_c * static_cast<double>(c[i]);
        is_broken |= (a[i] <= MOST ? 0 : 1) | (b[i] <= MOST ? 0 : 1) | (c[i] <= MOST ? 0 : 1);
    }
    return is_broken != 0;
}

/// sum[i] += the combination of all members' entries from `begin` on. Whether any of them is NaN or +inf.
bool accumulate_members(const MemberRow * rows, const double * weights, size_t members, size_t begin, size_t n,
                        double * sum) {
    Trio trio;
    size_t filled = 0;
    bool is_broken = false;
    for (size_t m = 0; m < members; m++) {
        if (weights[m] == 0) continue;
        trio.rows[filled] = rows[m].data + begin;
        trio.weights[filled] = weights[m];
        if (++filled < 3) continue;
        is_broken |= accumulate_block(trio, n, sum);
        filled = 0;
    }
    if (filled == 0) return is_broken;
    // Zero times an entry of the first row adds nothing, and makes nothing impossible that is not.
    for (; filled < 3; filled++) {
        trio.rows[filled] = trio.rows[0];
        trio.weights[filled] = 0;
    }
    return accumulate_block(trio, n, sum) || is_broken;
}

/// target[i] = sum[i] - offset where the sum is finite: the token is possible. Returns the largest.
EFT_VECTORIZED float store_block(const double * sum, size_t n, double offset, float * target) {
    constexpr double MOST = std::numeric_limits<double>::max();
    int32_t max = order_key(MASKED);
    for (size_t i = 0; i < n; i++) {
        const float value = to_possible(sum[i] - offset);
        target[i] = std::abs(sum[i]) <= MOST ? value : MASKED;
        max = std::max(max, order_key(target[i]));
    }
    return from_order_key(max);
}

double max_of_possible(const double * sum, size_t n) {
    double max = MASKED;
    for (size_t i = 0; i < n; i++) {
        if (std::isfinite(sum[i])) max = std::max(max, sum[i]);
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

/// sum exp(x) over blocks, relative to the largest entry so far.
struct RunningSum {
    float max = MASKED;
    double sum = 0;

    /// `block_max`: the largest of the block, none of which is NaN.
    void add(const float * block, size_t n, float block_max) {
        if (block_max == MASKED) return;
        if (block_max > max) {
            sum *= std::exp(static_cast<double>(max) - static_cast<double>(block_max));
            max = block_max;
        }
        if (max < -MASKED) sum += sum_exponentials(block, n, max, 1);
    }

    RowSummary summary() const {
        if (max == -MASKED) return {0, 0, RowFault::plus_infinity};
        if (max == MASKED) return {0, 0, RowFault::all_masked};
        return {static_cast<double>(max) + std::log(sum), max, RowFault::none, sum};
    }
};

/// The row without the tokens from `skipped` to `end`, ascending ids.
RowSummary summarize_without(const float * row, size_t n, const int32_t * skipped, const int32_t * end) {
    RunningSum total;
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
        total.add(block, length, scan.max);
    }
    return total.summary();
}

/// Cuts the candidates from the index `begin` on down to the smallest set of largest logprobs, ties to lower ids, whose
/// weights[token] sum to at least `mass`; all of them stay if they weigh less. At least one stays. Any order.
void keep_top_p(std::vector<TokenLogprob> & candidates, size_t begin, const float * weights, double mass) {
    // Bisection of the ranking: sort no more than it takes to find the last token that is needed.
    const auto first = candidates.begin();
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

}  // namespace

EFT_VECTORIZED float max_of(const float * x, size_t n) {
    int32_t max = order_key(x[0]);
    for (size_t i = 1; i < n; i++) max = std::max(max, order_key(x[i]));
    return from_order_key(max);
}

size_t first_largest(const float * x, size_t n) {
    size_t at = 0;
    float max = MASKED;
    for (size_t begin = 0; begin < n; begin += BLOCK) {
        const float block_max = max_of(x + begin, std::min(BLOCK, n - begin));
        if (!(block_max > max)) continue;
        max = block_max;
        at = begin;
    }
    return static_cast<size_t>(std::find(x + at, x + n, max) - x);
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
    if (buffer.empty()) {
        return {others.log_normalizer, static_cast<double>(MASKED), others.fault, others.max, others.sum};
    }
    const RowSummary rest = summarize_row(buffer.data(), buffer.size());
    const bool no_others = others.fault == RowFault::all_masked, no_rest = rest.fault == RowFault::all_masked;
    if (others.fault != RowFault::none && !no_others) return {0, 0, others.fault};
    if (rest.fault != RowFault::none && !no_rest) return {0, 0, rest.fault};
    return {no_others ? static_cast<double>(MASKED) : others.log_normalizer,
            no_rest ? static_cast<double>(MASKED) : rest.log_normalizer,
            no_others && no_rest ? RowFault::all_masked : RowFault::none, others.max, others.sum};
}

RowSummary combine_rows(const MemberRow * rows, const double * weights, size_t members, size_t n,
                        const std::vector<int32_t> & apart, float * target) {
    double most = 0;
    size_t common = n;
    for (size_t m = 0; m < members; m++) {
        if (weights[m] == 0) continue;
        most += std::abs(weights[m]) * 2 * static_cast<double>(std::numeric_limits<float>::max());
        common = std::min(common, rows[m].size);
    }
    if (!std::isfinite(most)) return {0, 0, RowFault::not_a_number};
    double sum[TILE];
    double offset = 0;
    RunningSum total;
    bool has_offset = false, is_broken = false;
    auto next = apart.begin();
    for (size_t begin = 0; begin < common; begin += TILE) {
        const size_t length = std::min(TILE, common - begin);
        std::fill_n(sum, length, 0.0);
        is_broken |= accumulate_members(rows, weights, members, begin, length, sum);
        for (; next != apart.end() && static_cast<size_t>(*next) < begin + length; ++next) {
            sum[static_cast<size_t>(*next) - begin] = MASKED;
        }
        float max = has_offset ? store_block(sum, length, offset, target + begin) : 0;
        if (!has_offset || max > MOST_ABOVE) {
            const double new_offset = max_of_possible(sum, length);
            const bool is_possible = new_offset != static_cast<double>(MASKED);
            if (has_offset) {
                shift_row(target, begin, offset - new_offset, target);
                shift_row(&total.max, 1, offset - new_offset, &total.max);
            }
            has_offset = is_possible;
            if (is_possible) offset = new_offset;
            max = store_block(sum, length, offset, target + begin);
        }
        total.add(target + begin, length, max);
    }
    std::fill(target + common, target + n, MASKED);
    return is_broken ? RowSummary{0, 0, RowFault::not_a_number} : total.summary();
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

double weigh(const std::vector<TokenLogprob> & tokens, float max, float scale, std::vector<float> & weights) {
    weights.resize(tokens.size());
    for (size_t i = 0; i < tokens.size(); i++) weights[i] = tokens[i].logprob;
    return exponentials(weights.data(), weights.size(), max, scale, weights.data());
}

bool cut_at_mass(std::vector<TokenLogprob> & ranked, const std::vector<float> & weights, double mass) {
    size_t count = 0;
    while (count < ranked.size() && (mass > 0 || count == 0)) mass -= static_cast<double>(weights[count++]);
    ranked.resize(count);
    return mass <= 0;
}

void sort_by_id(std::vector<TokenLogprob> & tokens) {
    std::sort(tokens.begin(), tokens.end(), [](const auto & a, const auto & b) { return a.token < b.token; });
}

bool collect_few_of_top_p(const float * row, size_t n, const std::vector<int32_t> & apart, float max, float scale,
                          double mass, std::vector<float> & buffer, std::vector<TokenLogprob> & out) {
    constexpr size_t FEW = 256;
    top_logprobs(row, n, FEW, out);
    const bool are_all = out.size() < FEW;
    const auto stands_apart = [&](const TokenLogprob & token) {
        return std::binary_search(apart.begin(), apart.end(), token.token);
    };
    if (!apart.empty()) out.erase(std::remove_if(out.begin(), out.end(), stands_apart), out.end());
    weigh(out, max, scale, buffer);
    if (!cut_at_mass(out, buffer, mass) && !are_all) return false;
    sort_by_id(out);
    return true;
}

void collect_top_p(const float * row, const float * weights, size_t n, double total, double top_p,
                   std::vector<TokenLogprob> & out) {
    // Whatever weighs no more than `low` is together lighter than what the set leaves out: at first, because there are
    // at most n such tokens (half of the bound leaves room for rounding). Whatever weighs more than `high` is in the
    // set.
    const double rest = (1 - top_p) * total;
    double low = 0.5 * rest / static_cast<double>(n);
    double high = max_of(weights, n);
    constexpr int BISECTIONS = 8;  // leave a factor of about 1.1 between them
    for (int i = 0; i < BISECTIONS && low < high; i++) {
        const double middle = std::sqrt(low * high);
        (sum_up_to(weights, n, static_cast<float>(middle)) < rest ? low : high) = middle;
    }
    const auto lightest = static_cast<float>(low), sure = static_cast<float>(high);
    size_t count = 0;
    for (size_t begin = 0; begin < n; begin += STRIDE) {
        const size_t length = std::min(STRIDE, n - begin);
        if (!(max_of(weights + begin, length) > lightest)) continue;
        if (out.size() < count + length) out.resize(count + length);
        for (size_t i = begin; i < begin + length; i++) {
            out[count] = {static_cast<int32_t>(i), row[i]};  // always written, not always counted: no branch
            count += weights[i] > lightest;
        }
    }
    out.resize(count);
    // Those that are not sure, once more behind all: what stays of them says which one is the last of the set.
    double mass = top_p * total;
    for (size_t i = 0; i < count; i++) {
        const float weight = weights[static_cast<size_t>(out[i].token)];
        if (weight > sure) {
            mass -= static_cast<double>(weight);
        } else {
            out.push_back(out[i]);
        }
    }
    TokenLogprob last{-1, -MASKED};  // nothing ranks before it
    if (mass > 0 || out.size() == 2 * count) {
        keep_top_p(out, count, weights, mass);
        last = *std::max_element(out.begin() + static_cast<std::ptrdiff_t>(count), out.end(), ranks_before);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        const TokenLogprob token = out[i];
        out[kept] = token;
        kept += weights[static_cast<size_t>(token.token)] > sure || !ranks_before(last, token);
    }
    out.resize(kept);
}

}  // namespace eft
