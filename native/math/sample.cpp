// Cost of a draw without filters from n tokens: n exponentials, n / 4 blocks of Philox, a handful of logarithms, and at
// least 20 n bytes: the row read, weights and ids written and read again.

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

EFT_INLINE PhiloxBlock philox_rounds(PhiloxBlock block, uint32_t key0, uint32_t key1) {
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        const uint64_t product0 = static_cast<uint64_t>(PHILOX_MULTIPLIER_0) * block.words[0];
        const uint64_t product1 = static_cast<uint64_t>(PHILOX_MULTIPLIER_1) * block.words[2];
        block = {{static_cast<uint32_t>(product1 >> 32) ^ block.words[1] ^ key0, static_cast<uint32_t>(product1),
                  static_cast<uint32_t>(product0 >> 32) ^ block.words[3] ^ key1, static_cast<uint32_t>(product0)}};
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

/// words[4 b + j] = word j of block first + b, that is: the words of consecutive tokens from 4 * first on.
EFT_VECTORIZED void noise_words(uint64_t seed, uint64_t position, NoiseStream stream, uint32_t first, size_t blocks,
                                uint32_t * words) {
    for (size_t b = 0; b < blocks; b++) {
        const PhiloxBlock block = noise_block(seed, position, first + static_cast<uint32_t>(b), stream);
        for (size_t j = 0; j < 4; j++) words[4 * b + j] = block.words[j];
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

/// weights[i] = 0 where row[i] < bound.
EFT_VECTORIZED void clear_below(const float * row, size_t n, float bound, float * weights) {
    for (size_t i = 0; i < n; i++) weights[i] = row[i] < bound ? 0.0f : weights[i];
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

    constexpr int32_t WINDOW = 1024;  // ids
    constexpr size_t SPARSE = 64;     // so few tokens in a window are cheaper one by one
    uint32_t words[WINDOW];
    for (size_t i = 0; i < tokens.size();) {
        const int32_t first = tokens[i] & ~3;
        const size_t end =
            std::lower_bound(tokens.begin() + i, tokens.begin() + std::min(i + WINDOW, tokens.size()), first + WINDOW) -
            tokens.begin();
        const bool sparse = end - i < SPARSE;
        if (!sparse) {
            const size_t blocks = (tokens[end - 1] - first) / 4 + 1;
            noise_words(seed, position, stream, static_cast<uint32_t>(first) >> 2, blocks, words);
        }
        for (; i < end; i++) {
            const uint32_t word = sparse ? noise_word(seed, position, tokens[i], stream) : words[tokens[i] - first];
            if (race.can_win(weights[i], word)) race.enter(tokens[i], weights[i], word);
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

bool shape_distribution(const float * row, size_t n, const SamplingParameters & parameters, Distribution & out) {
    auto & tokens = out.tokens;
    auto & weights = out.weights;
    auto & candidates = out.candidates;
    const float max = max_of(row, n);
    if (max == MASKED) return false;
    if (parameters.temperature == 0) {
        tokens.assign(1, static_cast<int32_t>(std::find(row, row + n, max) - row));
        weights.assign(1, 1.0f);
        out.total = 1;
        return true;
    }

    weights.resize(n);
    out.total = exponentials(row, n, max, inverse_temperature(parameters), weights.data());

    const bool top_k = parameters.top_k > 0 && static_cast<size_t>(parameters.top_k) < n;
    const bool top_p = parameters.top_p < 1;
    if (top_k) {
        top_logprobs(row, n, parameters.top_k, candidates);
        out.total = 0;
        for (const TokenLogprob & candidate : candidates) out.total += weights[candidate.token];
    } else if (top_p) {
        collect_top_p_candidates(row, weights.data(), n, parameters.top_p, out.total, candidates);
    }
    if (top_p) keep_top_p(candidates, weights.data(), parameters.top_p * out.total);
    if (top_k || top_p) {
        // Out goes what is less probable than the last candidate, or as probable with a higher id.
        const TokenLogprob last = *std::max_element(candidates.begin(), candidates.end(), ranks_before);
        const size_t higher = static_cast<size_t>(last.token) + 1;
        clear_below(row, higher, last.logprob, weights.data());
        clear_below(row + higher, n - higher, std::nextafter(last.logprob, -MASKED), weights.data() + higher);
    }
    out.total = compact(weights, least_weight(parameters), tokens);
    return true;
}

const float * penalize(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    if (request.history.empty() && request.bias.empty()) return row;
    scratch.row.assign(row, row + n);
    apply_penalties_and_bias(scratch.row.data(), n, request.sampling, request.history.data(), request.history.size(),
                             request.bias);
    return scratch.row.data();
}

int32_t draw_token(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    row = penalize(row, n, request, scratch);
    return draw_constrained(row, n, request, NoiseStream::target, scratch);
}

}  // namespace eft
