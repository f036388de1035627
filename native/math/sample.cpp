// Cost of a draw without filters from n tokens: the row is read twice, and n / 4 blocks of Philox are made, except
// where no noise could make a token win; then a handful of logarithms and exponentials. Filters leave few tokens as a
// rule, so what they cost is to find these: the row is read once or twice more, and top-p takes n exponentials.

#include "math/sample.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "math/constrain.h"
#include "math/vector-math.h"

namespace eft {

namespace {

// Philox4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
constexpr int PHILOX_ROUNDS = 10;
constexpr uint32_t PHILOX_MULTIPLIER_0 = 0xD2511F53, PHILOX_MULTIPLIER_1 = 0xCD9E8D57;
constexpr uint32_t PHILOX_WEYL_0 = 0x9E3779B9, PHILOX_WEYL_1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1

EFT_INLINE uint32_t high_word(uint32_t a, uint32_t b) {
    return static_cast<uint32_t>((static_cast<uint64_t>(a) * b) >> 32);
}

EFT_INLINE PhiloxBlock philox_round(const PhiloxBlock & block, uint32_t key0, uint32_t key1) {
    const auto & [a, b, c, d] = block.words;
    return {{high_word(PHILOX_MULTIPLIER_1, c) ^ b ^ key0, PHILOX_MULTIPLIER_1 * c,
             high_word(PHILOX_MULTIPLIER_0, a) ^ d ^ key1, PHILOX_MULTIPLIER_0 * a}};
}

EFT_INLINE PhiloxBlock philox_rounds(PhiloxBlock block, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        block = philox_round(block, key0, key1);
        key0 += PHILOX_WEYL_0;
        key1 += PHILOX_WEYL_1;
    }
    return block;
}

EFT_INLINE PhiloxBlock noise_block(uint64_t seed, uint64_t position, uint32_t index, NoiseStream stream) {
    return philox_rounds({{index, static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32),
                           static_cast<uint32_t>(stream)}},
                         static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}

/// Tokens whose noise is made together.
constexpr size_t WINDOW = 256;

/// The words of the tokens first .. first + WINDOW - 1, where `first` is a multiple of 4.
EFT_VECTORIZED void noise_words(uint64_t seed, uint64_t position, NoiseStream stream, int32_t first, uint32_t * words) {
    // Round by round, and word by word in each: what the compiler makes the most of.
    constexpr size_t BLOCKS = WINDOW / 4;
    uint32_t a[BLOCKS], b[BLOCKS], c[BLOCKS], d[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        a[i] = static_cast<uint32_t>(first) / 4 + static_cast<uint32_t>(i);
        b[i] = static_cast<uint32_t>(position);
        c[i] = static_cast<uint32_t>(position >> 32);
        d[i] = static_cast<uint32_t>(stream);
    }
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            PhiloxBlock block{{a[i], b[i], c[i], d[i]}};
            block = philox_round(block, key0, key1);
            a[i] = block.words[0], b[i] = block.words[1], c[i] = block.words[2], d[i] = block.words[3];
        }
        key0 += PHILOX_WEYL_0;
        key1 += PHILOX_WEYL_1;
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        words[4 * i] = a[i], words[4 * i + 1] = b[i], words[4 * i + 2] = c[i], words[4 * i + 3] = d[i];
    }
}

uint32_t noise_word(uint64_t seed, uint64_t position, int32_t token, NoiseStream stream) {
    return noise_block(seed, position, static_cast<uint32_t>(token) >> 2, stream).words[token & 3];
}

double to_uniform(uint32_t word) { return (word + 0.5) * 0x1p-32; }

/// What the race of the exponentials E_i / weight_i has found so far. E_i = -log u_i; the smallest one wins.
struct Race {
    Constraint * constraint;  // null: none
    double best = std::numeric_limits<double>::infinity();
    int32_t token = -1;
    /// A token can win only if floor((1 - u_i) 2^24) <= weight_i * limit, since E_i >= 1 - u_i. The factor covers the
    /// rounding of the product.
    float limit = std::numeric_limits<float>::infinity();

    void enter(int32_t candidate, float weight, uint32_t word) {
        const double score = -std::log(to_uniform(word)) / static_cast<double>(weight);
        if (score > best || (score == best && candidate > token)) return;
        // Last, because it costs most.
        if (constraint && !constraint->allows(candidate)) return;
        best = score;
        token = candidate;
        limit = static_cast<float>(best * (0x1p24 * (1 + 1e-6)));
    }

    bool can_win(float weight, uint32_t word) const {
        return static_cast<float>(static_cast<int32_t>(~word >> 8)) <= weight * limit;
    }
};

constexpr float LOG2_E = 1.44269504f;
/// More than what rounding takes from a sum of logarithms to the base 2 that are below 150 in size.
constexpr float LOG2_SLACK = 1e-3f;

/// Whether a token among n with these words could win: E_i <= weight_i * best, by logarithms to the base 2 instead of
/// exponentials. E_i >= 1 - u_i, and the bits of a float, read as a number, are no more than its logarithm.
EFT_VECTORIZED bool some_can_win(const float * row, size_t n, float max, float scale, float log2_best,
                                 const uint32_t * words) {
    constexpr float PER_BIT = 1.0f / (1 << 23);
    const float factor = scale * LOG2_E, bound = log2_best + 24 + 127 + LOG2_SLACK;
    int32_t found = 0;
    for (size_t i = 0; i < n; i++) {
        const int32_t bits = bits_to<int32_t>(static_cast<float>(static_cast<int32_t>(~words[i] >> 8)));
        found |= static_cast<float>(bits) * PER_BIT <= (row[i] - max) * factor + bound ? 1 : 0;
    }
    return found != 0;
}

EFT_VECTORIZED double sum_of(const float * x, size_t n) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) sum += static_cast<double>(x[i]);
    return sum;
}

/// Leaves only the weights that reach `least`, and their places in `tokens`. Returns their sum.
double compact(std::vector<float> & weights, float least, std::vector<int32_t> & tokens) {
    constexpr size_t STRIDE = 128;  // skipped at once if all of it is lighter
    const size_t n = weights.size();
    tokens.resize(n);
    size_t count = 0;
    for (size_t begin = 0; begin < n; begin += STRIDE) {
        const size_t end = std::min(begin + STRIDE, n);
        if (max_of(weights.data() + begin, end - begin) < least) continue;
        for (size_t i = begin; i < end; i++) {
            const float weight = weights[i];
            weights[count] = weight;  // in place and without a branch: count never exceeds i
            tokens[count] = static_cast<int32_t>(i);
            count += weight >= least;
        }
    }
    weights.resize(count);
    tokens.resize(count);
    return sum_of(weights.data(), count);
}

}  // namespace

float inverse_temperature(const SamplingParameters & parameters) {
    // A temperature below 1e-30 cannot be told from 1e-30, and 0 * infinity is avoided.
    return static_cast<float>(1 / std::max(parameters.temperature, 1e-30));
}

float least_weight(const SamplingParameters & parameters) {
    return std::max(static_cast<float>(parameters.min_p), std::numeric_limits<float>::min());
}

PhiloxBlock philox4x32_10(const PhiloxBlock & counter, uint32_t key0, uint32_t key1) {
    return philox_rounds(counter, key0, key1);
}

double uniform_noise(uint64_t seed, uint64_t position, int32_t token, NoiseStream stream) {
    return to_uniform(noise_word(seed, position, token, stream));
}

int32_t draw_gumbel(const Distribution & distribution, uint64_t seed, uint64_t position, NoiseStream stream,
                    Constraint * constraint) {
    const auto & tokens = distribution.tokens;
    const auto & weights = distribution.weights;
    // The heaviest token first: after it, hardly any other needs a logarithm.
    const float heaviest_weight = max_of(weights.data(), weights.size());
    const size_t heaviest = std::find(weights.begin(), weights.end(), heaviest_weight) - weights.begin();
    Race race{constraint};
    race.enter(tokens[heaviest], weights[heaviest], noise_word(seed, position, tokens[heaviest], stream));

    constexpr size_t SPARSE = 16;  // so few tokens in a window are cheaper one by one
    uint32_t words[WINDOW];
    for (size_t i = 0; i < tokens.size();) {
        const int32_t first = tokens[i] & ~3;
        const size_t end = std::lower_bound(tokens.begin() + i, tokens.begin() + std::min(i + WINDOW, tokens.size()),
                                            first + static_cast<int32_t>(WINDOW)) -
                           tokens.begin();
        const bool sparse = end - i < SPARSE;
        if (!sparse) noise_words(seed, position, stream, first, words);
        for (; i < end; i++) {
            const uint32_t word = sparse ? noise_word(seed, position, tokens[i], stream) : words[tokens[i] - first];
            if (race.can_win(weights[i], word)) race.enter(tokens[i], weights[i], word);
        }
    }
    return race.token;
}

int32_t draw_row(const float * row, size_t n, const SamplingParameters & parameters, uint64_t seed, uint64_t position,
                 NoiseStream stream) {
    const size_t heaviest = first_largest(row, n);
    const float max = row[heaviest];
    if (max == MASKED) return -1;
    if (parameters.temperature == 0) return static_cast<int32_t>(heaviest);

    const float scale = inverse_temperature(parameters), least = least_weight(parameters);
    Race race{nullptr};
    race.enter(static_cast<int32_t>(heaviest), 1, noise_word(seed, position, static_cast<int32_t>(heaviest), stream));
    uint32_t words[WINDOW];
    float weights[WINDOW];
    for (size_t begin = 0; begin < n; begin += WINDOW) {
        const size_t length = std::min(WINDOW, n - begin);
        const auto log2_best = static_cast<float>(std::log2(race.best));
        // No E_i is below 2^-33: so what is lighter than this cannot win.
        const float needed = std::max(std::log2(least), -33 - log2_best) - LOG2_SLACK;
        if ((max_of(row + begin, length) - max) * scale * LOG2_E < needed) continue;
        noise_words(seed, position, stream, static_cast<int32_t>(begin), words);
        if (!some_can_win(row + begin, length, max, scale, log2_best, words)) continue;
        exponentials(row + begin, length, max, scale, weights);
        for (size_t i = 0; i < length; i++) {
            if (weights[i] < least || !race.can_win(weights[i], words[i])) continue;
            race.enter(static_cast<int32_t>(begin + i), weights[i], words[i]);
        }
    }
    return race.token;
}

void apply_penalties_and_bias(float * row, size_t n, const SamplingParameters & parameters, const int32_t * history,
                              size_t history_length, const std::vector<LogitBias> & bias) {
    const bool penalize =
        parameters.repeat_penalty != 1 || parameters.frequency_penalty != 0 || parameters.presence_penalty != 0;
    if (penalize && history_length > 0) {
        std::vector<int32_t> sorted(history, history + history_length);
        std::sort(sorted.begin(), sorted.end());
        for (size_t i = 0; i < sorted.size();) {
            const int32_t token = sorted[i];
            const size_t run = i;
            while (i < sorted.size() && sorted[i] == token) i++;
            if (token < 0 || static_cast<size_t>(token) >= n) continue;
            if (row[token] == MASKED) continue;
            const double occurrences = static_cast<double>(i - run);
            row[token] = to_possible(row[token] * parameters.repeat_penalty -
                                     parameters.frequency_penalty * occurrences - parameters.presence_penalty);
        }
    }
    for (const LogitBias & entry : bias) {
        if (entry.token < 0 || static_cast<size_t>(entry.token) >= n || row[entry.token] == MASKED) continue;
        const double biased = static_cast<double>(row[entry.token]) + static_cast<double>(entry.bias);
        row[entry.token] = entry.bias == MASKED ? MASKED : to_possible(biased);
    }
}

bool has_ranking_filter(const SamplingParameters & parameters, size_t n) {
    return (parameters.top_k > 0 && static_cast<size_t>(parameters.top_k) < n) || parameters.top_p < 1;
}

bool shape_distribution(const float * row, size_t n, const SamplingParameters & parameters, Distribution & out) {
    auto & tokens = out.tokens;
    auto & weights = out.weights;
    auto & candidates = out.candidates;
    const float max = max_of(row, n);
    if (max == MASKED) return false;
    if (parameters.temperature == 0) {
        tokens.assign(1, static_cast<int32_t>(first_largest(row, n)));
        weights.assign(1, 1.0f);
        out.total = 1;
        return true;
    }

    const float scale = inverse_temperature(parameters), least = least_weight(parameters);
    if (!has_ranking_filter(parameters, n)) {
        weights.resize(n);
        exponentials(row, n, max, scale, weights.data());
        out.total = compact(weights, least, tokens);
        return true;
    }
    if (parameters.top_k > 0 && static_cast<size_t>(parameters.top_k) < n) {
        top_logprobs(row, n, static_cast<size_t>(parameters.top_k), candidates);
        const double total = weigh(candidates, max, scale, weights);
        if (parameters.top_p < 1) cut_at_mass(candidates, weights, parameters.top_p * total);
        sort_by_id(candidates);
    } else {
        const double total = sum_exponentials(row, n, max, scale);
        if (!collect_few_of_top_p(row, n, {}, max, scale, parameters.top_p * total, weights, candidates)) {
            weights.resize(n);
            exponentials(row, n, max, scale, weights.data());
            collect_top_p(row, weights.data(), n, total, parameters.top_p, candidates);
        }
    }
    weigh(candidates, max, scale, weights);
    size_t count = 0;
    tokens.resize(candidates.size());
    for (size_t i = 0; i < candidates.size(); i++) {
        const float weight = weights[i];
        weights[count] = weight;
        tokens[count] = candidates[i].token;
        count += weight >= least;
    }
    weights.resize(count);
    tokens.resize(count);
    out.total = sum_of(weights.data(), count);
    return true;
}

const float * penalize(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    if (request.history.empty() && request.bias.empty()) return row;
    scratch.row.assign(row, row + n);
    apply_penalties_and_bias(scratch.row.data(), n, request.sampling, request.history.data(), request.history.size(),
                             request.bias);
    return scratch.row.data();
}

int32_t draw_shaped(const float * row, size_t n, const SamplingParameters & parameters, uint64_t seed,
                    uint64_t position, NoiseStream stream, Distribution & distribution) {
    if (!has_ranking_filter(parameters, n)) return draw_row(row, n, parameters, seed, position, stream);
    if (!shape_distribution(row, n, parameters, distribution)) return -1;
    return draw_gumbel(distribution, seed, position, stream);
}

int32_t draw_token(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    row = penalize(row, n, request, scratch);
    return draw_constrained(row, n, request, NoiseStream::target, scratch);
}

}  // namespace eft
