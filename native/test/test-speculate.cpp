// speculate.h: rows worked out by hand, both couplings against their formulas in plain doubles, and the corners where
// rounding could draw what has no probability.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "allow-list.h"
#include "check.h"
#include "math/speculate.h"

using namespace eft;

namespace {

using Row = std::vector<float>;

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr Coupling COUPLINGS[] = {Coupling::gumbel, Coupling::maximal};

Row logs(const std::vector<double> & probabilities) {
    Row row;
    for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));
    return row;
}

Row random_row(std::mt19937 & random, size_t n, float deviation) {
    std::normal_distribution<float> normal(0, deviation);
    Row row(n);
    for (float & logprob : row) logprob = normal(random);
    normalize_row(row.data(), n);
    return row;
}

Draft draft_from(const Row & row, const DrawRequest & request, Coupling coupling) {
    SpeculationScratch scratch;
    return draw_draft(row.data(), row.size(), request, coupling, scratch);
}

int32_t verify(const Row & target, const Row * drafter, int32_t draft, const DrawRequest & request, Coupling coupling) {
    SpeculationScratch scratch;
    return verify_draft(target.data(), drafter ? drafter->data() : nullptr, target.size(), draft, request, request,
                        coupling, scratch);
}

int32_t draw(const Row & row, const DrawRequest & request) {
    DrawScratch scratch;
    return draw_token(row.data(), row.size(), request, scratch);
}

/// Requests of all kinds, by number.
DrawRequest request_of(int kind, uint64_t seed) {
    DrawRequest request;
    request.seed = seed;
    request.position = seed / 3;
    if (kind & 1) request.sampling.temperature = 1.7;
    if (kind & 2) request.sampling.top_k = 40;
    if (kind & 4) request.sampling.top_p = 0.9;
    if (kind & 8) request.history = {1, 5, 5, 3};
    if (kind & 8) request.sampling.frequency_penalty = 0.5;
    if (kind & 16) request.bias = {{0, -INF}, {2, 1.5f}};
    return request;
}
constexpr int KINDS = 32;

void test_streams() {
    // Streams are the last word of the counter; the target's is 0.
    const PhiloxBlock blocks[] = {philox4x32_10({{2, 4, 0, 0}}, 3, 0), philox4x32_10({{2, 4, 0, 1}}, 3, 0),
                                  philox4x32_10({{2, 4, 0, 2}}, 3, 0)};
    for (int32_t j = 0; j < 4; j++) {
        const auto uniform = [&](int stream) { return (blocks[stream].words[j] + 0.5) / 4294967296.0; };
        CHECK(uniform_noise(3, 4, 8 + j) == uniform(0));
        CHECK(uniform_noise(3, 4, 8 + j, NoiseStream::target) == uniform(0));
        CHECK(uniform_noise(3, 4, 8 + j, NoiseStream::drafter) == uniform(1));
        CHECK(uniform_noise(3, 4, 8 + j, NoiseStream::acceptance) == uniform(2));
    }
}

void test_confidence() {
    const Row row = logs({0.1, 0.4, 0.1, 0.3, 0.1});
    for (const Coupling coupling : COUPLINGS) {
        const auto confidence = [&](const DrawRequest & request) {
            return draft_from(row, request, coupling).confidence;
        };
        DrawRequest request;
        CHECK_NEAR(confidence(request), 0.4, 1e-6);
        request.sampling.top_k = 2;
        CHECK_NEAR(confidence(request), 0.4 / 0.7, 1e-6);
        request.sampling.temperature = 0.5;
        CHECK_NEAR(confidence(request), 0.16 / 0.25, 1e-6);
        request.sampling.temperature = 0;  // no filters here
        CHECK_NEAR(confidence(request), 0.4, 1e-6);
        request.bias = {{3, -INF}};
        CHECK_NEAR(confidence(request), 0.4 / 0.7, 1e-6);
        request.bias = {{3, static_cast<float>(std::log(2.0))}};
        CHECK_NEAR(confidence(request), 0.6 / 1.3, 1e-6);
        CHECK(draft_from(row, request, coupling).token == 3);
    }
}

void test_gumbel() {
    std::mt19937 random(1);
    for (uint64_t seed = 0; seed < 2000; seed++) {
        const Row p = random_row(random, 100, 2);
        const DrawRequest request = request_of(static_cast<int>(seed % KINDS), seed);
        const int32_t token = draw(p, request);
        CHECK(draft_from(p, request, Coupling::gumbel).token == token);
        // Neither the draft nor the drafter's row is read.
        const Row nonsense(100, std::numeric_limits<float>::quiet_NaN());
        CHECK(verify(p, nullptr, token, request, Coupling::gumbel) == token);
        CHECK(verify(p, &nonsense, static_cast<int32_t>(seed % 100), request, Coupling::gumbel) == token);
    }
}

/// Probabilities of all n tokens after all that the request asks for.
std::vector<double> shaped(const Row & row, const DrawRequest & request) {
    DrawScratch scratch;
    const float * penalized = penalize(row.data(), row.size(), request, scratch);
    const Distribution & shape = scratch.distribution;
    CHECK(shape_distribution(penalized, row.size(), request.sampling, scratch.distribution));
    std::vector<double> result(row.size(), 0);
    for (size_t i = 0; i < shape.tokens.size(); i++) result[shape.tokens[i]] = shape.weights[i] / shape.total;
    return result;
}

int32_t draw_by_formula(const std::vector<double> & weights, const DrawRequest & request, NoiseStream stream) {
    double best = -std::numeric_limits<double>::infinity();
    int32_t token = -1;
    for (size_t i = 0; i < weights.size(); i++) {
        const double u = uniform_noise(request.seed, request.position, static_cast<int32_t>(i), stream);
        const double score = std::log(weights[i]) - std::log(-std::log(u));
        if (score > best) {
            best = score;
            token = static_cast<int32_t>(i);
        }
    }
    return token;
}

void test_maximal() {
    std::mt19937 random(2);
    int accepted = 0, rejected = 0;
    for (uint64_t seed = 0; seed < 6000; seed++) {
        const Row p_row = random_row(random, 100, 2);
        Row q_row = random_row(random, 100, 0.7f);
        for (size_t i = 0; i < q_row.size(); i++) q_row[i] += p_row[i];
        const DrawRequest request = request_of(static_cast<int>(seed % KINDS), seed);
        const auto p = shaped(p_row, request);
        auto q = shaped(q_row, request);
        const bool drawn = seed % 3 > 0;
        int32_t draft = draft_from(q_row, request, Coupling::maximal).token;
        CHECK(draft == draw_by_formula(q, request, NoiseStream::drafter));
        if (!drawn) {
            draft = draw(q_row, request);
            std::fill(q.begin(), q.end(), 0.0);
            q[draft] = 1;
        }
        int32_t expected = draft;
        if (uniform_noise(request.seed, request.position, 0, NoiseStream::acceptance) > p[draft] / q[draft]) {
            std::vector<double> residual;
            for (size_t i = 0; i < p.size(); i++) residual.push_back(std::max(0.0, p[i] - q[i]));
            expected = draw_by_formula(residual, request, NoiseStream::target);
        }
        CHECK(verify(p_row, drawn ? &q_row : nullptr, draft, request, Coupling::maximal) == expected);
        (expected == draft ? accepted : rejected)++;
    }
    CHECK(accepted > 1000 && rejected > 1000);
}

void test_maximal_by_hand() {
    const Row p = logs({0.5, 0.5, 0}), q = logs({0, 0.5, 0.5});
    DrawRequest request;
    for (; request.seed < 1000; request.seed++) {
        CHECK(verify(p, &q, 2, request, Coupling::maximal) == 0);  // all that p has more of
        CHECK(verify(p, &q, 1, request, Coupling::maximal) == 1);  // as probable under both
        CHECK(verify(p, nullptr, 2, request, Coupling::maximal) != 2);
        CHECK(verify(p, &p, 0, request, Coupling::maximal) == 0);  // a perfect drafter
    }
}

void test_rounding() {
    // The residual of equal distributions is empty, and that of nearly equal ones is rounding.
    const Row p = logs({1, 0}), q = logs({1, 1e-30});
    DrawRequest request;
    for (; request.seed < 100; request.seed++) CHECK(verify(p, &q, 1, request, Coupling::maximal) == 0);
    std::mt19937 random(3);
    SpeculationScratch scratch;
    for (const size_t n : {size_t{3}, size_t{1000}, size_t{40000}}) {
        Row target = random_row(random, n, 3);
        target[n / 2] = -INF;
        Row drafter = target;
        for (float & logprob : drafter) logprob = std::nextafter(logprob, random() % 2 ? INF : -INF);
        drafter[n / 2] = -20;
        for (request.seed = 0; request.seed < 100; request.seed++) {
            for (const auto draft : {static_cast<int32_t>(n / 2), static_cast<int32_t>(random() % n)}) {
                const int32_t token =
                    verify_draft(target.data(), drafter.data(), n, draft, request, request, Coupling::maximal, scratch);
                CHECK(token >= 0 && token < static_cast<int32_t>(n));
                CHECK(target[token] > -INF);
            }
        }
    }
}

void test_greedy() {
    const Row p = logs({0.2, 0.4, 0.4}), q = logs({0.3, 0.3, 0.4});
    for (const Coupling coupling : COUPLINGS) {
        DrawRequest request;
        request.sampling.temperature = 0;
        for (; request.seed < 50; request.seed++) {
            CHECK(draft_from(p, request, coupling).token == 1);  // a tie: the lower id
            CHECK(draft_from(q, request, coupling).token == 2);
            for (int32_t draft = 0; draft < 3; draft++) {
                CHECK(verify(p, &q, draft, request, coupling) == 1);
                CHECK(verify(p, nullptr, draft, request, coupling) == 1);
            }
        }
    }
}

void test_nothing_left() {
    const Row p = logs({0.6, 0.4}), masked = {-INF, -INF};
    for (const Coupling coupling : COUPLINGS) {
        for (const double temperature : {0.0, 1.0}) {
            DrawRequest request;
            request.sampling.temperature = temperature;
            for (const int32_t draft : {-1, 2, 1 << 30}) {  // no token
                const int32_t token = verify(p, nullptr, draft, request, coupling);
                CHECK(token == 0 || token == 1);
            }
            CHECK(verify(p, &masked, 1, request, coupling) == verify(p, nullptr, 1, request, coupling));
            request.bias = {{0, -INF}};
            CHECK(verify(p, &p, 0, request, coupling) == 1);
            CHECK(draft_from(p, request, coupling).token == 1);
            request.bias.push_back({1, -INF});
            CHECK(verify(p, &p, 0, request, coupling) == -1);
            CHECK(draft_from(p, request, coupling).token == -1);
            CHECK(draft_from(p, request, coupling).confidence == 0);
        }
    }
}

/// Under a constraint, everything is as if both rows had been masked before.
void test_constraint() {
    std::mt19937 random(12);
    const size_t n = 60;
    for (const double top_p : {1.0, 0.8}) {
        for (const double temperature : {0.0, 0.7, 1.0}) {
            for (int round = 0; round < 200; round++) {
                std::vector<uint8_t> flags(n);
                for (auto & flag : flags) flag = random() % 3 == 0 ? 1 : 0;
                flags[random() % n] = 1;
                test::AllowList list(flags);
                const Row p = random_row(random, n, 2), q = random_row(random, n, 2);
                const Row masked_p = list.masked(p), masked_q = list.masked(q);
                DrawRequest request, free;
                request.sampling.temperature = free.sampling.temperature = temperature;
                request.sampling.top_p = free.sampling.top_p = top_p;
                request.seed = free.seed = static_cast<uint64_t>(round);
                request.constraint = &list;
                for (const Coupling coupling : COUPLINGS) {
                    const int32_t draft = draft_from(q, request, coupling).token;
                    CHECK(draft == draft_from(masked_q, free, coupling).token);
                    CHECK(verify(p, &q, draft, request, coupling) ==
                          verify(masked_p, &masked_q, draft, free, coupling));
                    // A draft from elsewhere may be forbidden.
                    for (int32_t other = 0; other < 5; other++) {
                        const int32_t token = verify(p, nullptr, other, request, coupling);
                        CHECK(token == verify(masked_p, nullptr, other, free, coupling));
                        CHECK(flags[static_cast<size_t>(token)] != 0);
                    }
                }
            }
        }
    }
}

/// The confidence of a draft is that of its own draw, also where too few of the likely tokens are allowed to ask about
/// each: what a draw before has left in the scratch says nothing.
void test_confidence_under_constraint() {
    std::mt19937 random(13);
    const size_t n = 1000;
    Row row = random_row(random, n, 2);
    std::sort(row.begin(), row.end(), std::greater<>());
    std::vector<uint8_t> flags(n, 0);
    for (size_t token = n / 2; token < n; token += 7) flags[token] = 1;
    test::AllowList list(flags);
    const Row masked = list.masked(row);
    for (const double min_p : {0.0, 0.5}) {
        for (const Coupling coupling : COUPLINGS) {
            DrawRequest request, free;
            request.sampling.min_p = free.sampling.min_p = min_p;
            const Draft expected = draft_from(masked, free, coupling);
            request.constraint = &list;
            SpeculationScratch scratch;
            for (const double total : {0.0, 5.0}) {
                scratch.drafter.distribution.total = total;
                const Draft draft = draw_draft(row.data(), n, request, coupling, scratch);
                CHECK(draft.token == expected.token);
                CHECK_NEAR(draft.confidence, expected.confidence, 1e-6);
            }
        }
    }
}

void test_total_variation() {
    const Row p = logs({0.5, 0.5, 0}), q = logs({0, 0.25, 0.75});
    CHECK_NEAR(total_variation(p.data(), q.data(), 3), 0.75, 1e-6);
    CHECK(total_variation(p.data(), p.data(), 3) == 0);
    std::mt19937 random(4);
    for (const size_t n : {1, 2, 15, 16, 17, 1000, 128256}) {
        const Row a = random_row(random, n, 3), b = random_row(random, n, 2);
        double sum = 0;
        for (size_t i = 0; i < n; i++) sum += std::abs(std::exp(double{a[i]}) - std::exp(double{b[i]}));
        CHECK_NEAR(total_variation(a.data(), b.data(), n), sum / 2, 1e-6);
        // Disjoint: 1 and no more, however the probabilities were rounded.
        Row left = a, right = a;
        left.resize(2 * n, -INF);
        right.insert(right.begin(), n, -INF);
        const double distance = total_variation(left.data(), right.data(), 2 * n);
        CHECK(distance <= 1);
        CHECK_NEAR(distance, 1, 1e-6);
    }
}

void test_entropy() {
    const Row certain = logs({0, 1, 0}), even = logs({0.25, 0.25, 0.25, 0.25});
    CHECK(entropy(certain.data(), 3) == 0);
    CHECK_NEAR(entropy(even.data(), 4), std::log(4.0), 1e-6);
    std::mt19937 random(5);
    for (const size_t n : {1, 2, 15, 16, 17, 1000, 128256}) {
        Row row = random_row(random, n, 3);
        row.insert(row.begin(), n, -INF);
        double sum = 0;
        for (size_t i = n; i < 2 * n; i++) sum -= std::exp(double{row[i]}) * row[i];
        CHECK_NEAR(entropy(row.data(), 2 * n), sum, 1e-5);
        CHECK(entropy(row.data(), 2 * n) >= 0);
    }
}

}  // namespace

int main() {
    test_streams();
    test_confidence();
    test_gumbel();
    test_maximal();
    test_maximal_by_hand();
    test_rounding();
    test_greedy();
    test_nothing_left();
    test_constraint();
    test_confidence_under_constraint();
    test_total_variation();
    test_entropy();
    return test::failures() == 0 ? 0 : 1;
}
