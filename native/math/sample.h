// Drawing a token from a row of target log-probabilities. Knows neither Node nor llama.cpp.
//
// Order: penalties and bias -> constraint -> temperature -> top-k -> top-p -> min-p -> draw. The draw is a Gumbel
// argmax with counter-based noise: the noise of a token depends on (seed, position, token id, stream) and on nothing
// else, so the same seed gives the same text however the row was computed, and two distributions drawn with the same
// noise are coupled.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "math/combine.h"

namespace eft {

struct LogitBias {
    int32_t token;
    float bias;  // added to the log-probability; -inf forbids the token
};

struct SamplingParameters {
    double temperature = 1;     // 0: argmax, ties to the lowest id
    int32_t top_k = 0;          // 0: off
    double top_p = 1;           // 1: off
    double min_p = 0;           // 0: off
    double repeat_penalty = 1;  // log p <- repeat_penalty * log p for tokens of the history; 1: off
    double frequency_penalty = 0;
    double presence_penalty = 0;
};

/// What else decides about the next token, besides probabilities: a grammar.
class Constraint {
  public:
    virtual ~Constraint() = default;
    /// Whether `token` may come next. Much cheaper than allowed(), and may be asked thousands of times.
    virtual bool allows(int32_t token) = 0;
    /// One flag per token id: whether it may come next. Valid until the next question.
    virtual const std::vector<uint8_t> & allowed() = 0;
};

/// Everything that is asked of one draw, as `NativeDraw` of src/native/binding.ts says it.
struct DrawRequest {
    SamplingParameters sampling;
    std::vector<int32_t> history;  // recent tokens, for the penalties
    std::vector<LogitBias> bias;
    Constraint * constraint = nullptr;  // null: none
    uint64_t seed = 0;
    uint64_t position = 0;  // index of the token in the generated text
    uint32_t top = 0;       // how many of the most probable tokens of the target to report
    bool members = false;   // report the members' log-probabilities too
    bool scores = false;    // report the whole target row
};

/// What is left of a row after penalties, bias, temperature and filters: the distribution that the draw sees.
struct Distribution {
    std::vector<int32_t> tokens;           // ascending ids
    std::vector<float> weights;            // unnormalised probabilities exp(z - max), same order; each in (0, 1]
    double total = 0;                      // sum of weights
    std::vector<TokenLogprob> candidates;  // buffer of the filters
};

/// Buffers of draw_token. Keep one per thread and use it again and again: then nothing is allocated.
struct DrawScratch {
    std::vector<float> row;
    Distribution distribution;
    std::vector<TokenLogprob> leaders;  // of draw_constrained()
};

/// What noise is for. Streams are independent of each other.
enum class NoiseStream : uint32_t {
    target = 0,      // draws from the target, and those that are coupled to them
    drafter = 1,     // the drafter's own draws
    acceptance = 2,  // whether a draft is accepted
};

/// The whole way from a row of `n` target log-probabilities, which is not changed, to a token: penalties and bias,
/// constraint, temperature, filters, draw. Returns -1 if constraint, biases and masks exclude every token.
int32_t draw_token(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch);

// The parts of draw_token:

/// The row after penalties and bias of the request: in scratch.row, or `row` itself if there are none.
const float * penalize(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch);

/// Applies penalties and bias to `row` (n log-probabilities) in place. Tokens outside 0..n-1 are ignored.
void apply_penalties_and_bias(float * row, size_t n, const SamplingParameters & parameters, const int32_t * history,
                              size_t history_length, const std::vector<LogitBias> & bias);

/// What differences of log-probabilities are multiplied by; the temperature is not 0.
float inverse_temperature(const SamplingParameters & parameters);

/// Bound on the weights that the draw sees. The heaviest token weighs 1, hence min-p is such a bound itself.
float least_weight(const SamplingParameters & parameters);

/// Whether top-k or top-p is on: what they keep depends on the order of the tokens.
bool has_ranking_filter(const SamplingParameters & parameters, size_t n);

/// Temperature and filters. Returns false if no token is left. With temperature 0: the argmax alone.
/// The heaviest token weighs 1. A token whose weight is below the smallest normal float (1.2e-38) is dropped.
bool shape_distribution(const float * row, size_t n, const SamplingParameters & parameters, Distribution & out);

/// Four random words: the value of a counter, or what Philox4x32-10 (Salmon et al. 2011) makes of it under a key.
struct PhiloxBlock {
    uint32_t words[4];
};
PhiloxBlock philox4x32_10(const PhiloxBlock & counter, uint32_t key0, uint32_t key1);

/// Uniform number in (0, 1), 32 bit resolution: word `token & 3` of Philox4x32-10 at counter
/// (token >> 2, position low, position high, stream) under the key `seed`, mapped by (word + 0.5) / 2^32.
double uniform_noise(uint64_t seed, uint64_t position, int32_t token, NoiseStream stream = NoiseStream::target);

/// argmax_i log weights[i] + g_i with g_i = -log(-log(uniform_noise(seed, position, token_i, stream))), ties to lower
/// ids. Computed as argmin_i -log(uniform_noise) / weights[i], the same thing with one logarithm less. Reads tokens and
/// weights. Not for an empty distribution. With a constraint: among the tokens that it allows; it is asked only about
/// those that would be ahead of all that were allowed so far. -1 if it allows none.
int32_t draw_gumbel(const Distribution & distribution, uint64_t seed, uint64_t position,
                    NoiseStream stream = NoiseStream::target, Constraint * constraint = nullptr);

/// What shape_distribution() and draw_gumbel() draw from the row, to the bit; no ranking filter is on. -1 if the row is
/// masked. Weighs hardly any token, and makes no noise where none could make a token win.
int32_t draw_row(const float * row, size_t n, const SamplingParameters & parameters, uint64_t seed, uint64_t position,
                 NoiseStream stream = NoiseStream::target);

/// shape_distribution() and draw_gumbel(), or draw_row() where it serves: then `distribution` stays as it is.
int32_t draw_shaped(const float * row, size_t n, const SamplingParameters & parameters, uint64_t seed,
                    uint64_t position, NoiseStream stream, Distribution & distribution);

}  // namespace eft
