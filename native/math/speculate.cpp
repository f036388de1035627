#include "math/speculate.h"

#include <algorithm>
#include <cmath>

#include "math/constrain.h"
#include "math/vector-math.h"

namespace eft {

namespace {

/// Penalties, bias, constraint, temperature, filters. Returns false if no token is left.
bool shape(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    row = constrain(penalize(row, n, request, scratch), n, request, scratch);
    return shape_distribution(row, n, request.sampling, scratch.distribution);
}

double probability_of(const Distribution & distribution, int32_t token) {
    const auto & tokens = distribution.tokens;
    const auto found = std::lower_bound(tokens.begin(), tokens.end(), token);
    if (found == tokens.end() || *found != token) return 0;
    return distribution.weights[found - tokens.begin()] / distribution.total;
}

/// residual = max(0, p - q), up to a factor: that of the weights of p, so that none of them exceeds 1.
void subtract(const Distribution & p, const Distribution & q, Distribution & residual) {
    const double scale = p.total / q.total;
    residual.tokens.resize(p.tokens.size());
    residual.weights.resize(p.tokens.size());
    size_t count = 0;
    size_t j = 0;
    for (size_t i = 0; i < p.tokens.size(); i++) {
        while (j < q.tokens.size() && q.tokens[j] < p.tokens[i]) j++;
        const bool shared = j < q.tokens.size() && q.tokens[j] == p.tokens[i];
        const auto weight = static_cast<float>(p.weights[i] - (shared ? q.weights[j] * scale : 0));
        residual.tokens[count] = p.tokens[i];
        residual.weights[count] = weight;
        count += weight > 0;
    }
    residual.tokens.resize(count);
    residual.weights.resize(count);
}

int32_t verify_maximal(const float * target, const float * drafter, size_t n, int32_t draft,
                       const DrawRequest & request, const DrawRequest & drafted_by, SpeculationScratch & scratch) {
    if (!shape(target, n, request, scratch.target)) return -1;
    const Distribution & p = scratch.target.distribution;
    Distribution & q = scratch.drafter.distribution;
    // A row that has no token left is none that the draft was drawn from.
    if (!drafter || !shape(drafter, n, drafted_by, scratch.drafter)) {
        q.tokens.assign(1, draft);
        q.weights.assign(1, 1.0f);
        q.total = 1;
    }

    const double u = uniform_noise(request.seed, request.position, 0, NoiseStream::acceptance);
    if (u * probability_of(q, draft) < probability_of(p, draft)) return draft;

    subtract(p, q, scratch.residual);
    // A rejection says that p is somewhere below q, hence elsewhere above; but that may be less than rounding.
    const Distribution & rest = scratch.residual.tokens.empty() ? p : scratch.residual;
    return draw_gumbel(rest, request.seed, request.position);
}

EFT_VECTORIZED double sum_of_differences(const float * a, const float * b, size_t n) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) {
        sum += static_cast<double>(std::abs(exp_nonpositive(a[i]) - exp_nonpositive(b[i])));
    }
    return sum;
}

EFT_VECTORIZED double sum_of_surprise(const float * row, size_t n) {
    double sum = 0;
    EFT_SIMD_SUM(sum)
    for (size_t i = 0; i < n; i++) {
        // Below that, exp_nonpositive() is 0, and nothing times infinity would be no number.
        const float bounded = row[i] > -88.0f ? row[i] : -88.0f;
        sum -= static_cast<double>(exp_nonpositive(bounded) * bounded);
    }
    return sum;
}

}  // namespace

Draft draw_draft(const float * drafter, size_t n, const DrawRequest & request, Coupling coupling,
                 SpeculationScratch & scratch) {
    const float * row = penalize(drafter, n, request, scratch.drafter);
    const NoiseStream stream = coupling == Coupling::gumbel ? NoiseStream::target : NoiseStream::drafter;
    Distribution & distribution = scratch.drafter.distribution;
    distribution.total = 0;
    const int32_t token = draw_constrained(row, n, request, stream, scratch.drafter);
    if (token < 0) return {-1, 0};
    const SamplingParameters & sampling = request.sampling;
    if (sampling.temperature == 0) return {token, std::exp(row[token] - summarize_row(row, n).log_normalizer)};
    if (distribution.total == 0) {
        // The draw has weighed hardly any token.
        if (sampling.min_p > 0) {
            shape_distribution(row, n, sampling, distribution);
        } else {
            distribution.total = sum_exponentials(row, n, max_of(row, n), inverse_temperature(sampling));
        }
    }
    // The heaviest token weighs 1.
    return {token, 1 / distribution.total};
}

int32_t verify_draft(const float * target, const float * drafter, size_t n, int32_t draft, const DrawRequest & request,
                     const DrawRequest & drafted_by, Coupling coupling, SpeculationScratch & scratch) {
    if (coupling == Coupling::gumbel) return draw_token(target, n, request, scratch.target);
    return verify_maximal(target, drafter, n, draft, request, drafted_by, scratch);
}

double total_variation(const float * a, const float * b, size_t n) {
    return std::min(0.5 * sum_of_differences(a, b, n), 1.0);  // rounding may add to 1
}

double entropy(const float * row, size_t n) {
    return std::max(sum_of_surprise(row, n), 0.0);  // rounding may leave a certain token a little above 1
}

}  // namespace eft
