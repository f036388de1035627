// sample.h: known answers of Philox, shapes worked out by hand, and the draw against its formula in plain doubles.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "check.h"
#include "math/sample.h"

using namespace eft;

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();

std::vector<float> logs(const std::vector<double> & probabilities) {
    std::vector<float> row;
    for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));
    return row;
}

void test_philox() {
    // Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
    struct Vector {
        PhiloxBlock counter;
        uint32_t key[2];
        PhiloxBlock expected;
    };
    const Vector vectors[] = {
        {{{0, 0, 0, 0}}, {0, 0}, {{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}}},
        {{{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}},
         {0xffffffff, 0xffffffff},
         {{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}}},
        {{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}},
         {0xa4093822, 0x299f31d0},
         {{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}}},
    };
    for (const Vector & vector : vectors) {
        const PhiloxBlock actual = philox4x32_10(vector.counter, vector.key[0], vector.key[1]);
        for (int j = 0; j < 4; j++) CHECK(actual.words[j] == vector.expected.words[j]);
    }
}

void test_noise() {
    // Token 7 at position 2^32 + 3 under the seed 2^33 + 5: word 3 of the counter (1, 3, 1, 0) under the key (5, 2).
    const uint64_t seed = (uint64_t{2} << 32) + 5, position = (uint64_t{1} << 32) + 3;
    const PhiloxBlock block = philox4x32_10({{1, 3, 1, 0}}, 5, 2);
    CHECK(uniform_noise(seed, position, 7) == (block.words[3] + 0.5) / 4294967296.0);
    CHECK(uniform_noise(0, 0, 0) == (0x6627e8d5 + 0.5) / 4294967296.0);
}

int32_t draw_by_formula(const Distribution & distribution, uint64_t seed, uint64_t position) {
    double best = -std::numeric_limits<double>::infinity();
    int32_t token = -1;
    for (size_t i = 0; i < distribution.tokens.size(); i++) {
        const double u = uniform_noise(seed, position, distribution.tokens[i]);
        const double score = std::log(static_cast<double>(distribution.weights[i])) - std::log(-std::log(u));
        if (score > best) {
            best = score;
            token = distribution.tokens[i];
        }
    }
    return token;
}

void test_draw() {
    std::mt19937 random(1);
    Distribution distribution;
    for (const int32_t n : {1, 2, 3, 5, 63, 64, 65, 1023, 1024, 1025, 5000, 32000, 200000}) {
        for (const float deviation : {0.0f, 0.5f, 3.0f, 10.0f}) {
            for (const int32_t spacing : {1, 3, 17, 1000}) {  // dense and sparse ids, none on a boundary of four
                if (spacing > 1 && n > 32000) continue;
                std::normal_distribution<float> normal(0, deviation);
                distribution.tokens.clear();
                distribution.weights.clear();
                for (int32_t i = 0; i < n; i++) {
                    distribution.tokens.push_back(i * spacing + spacing / 2);
                    distribution.weights.push_back(std::exp(std::min(normal(random), 5.0f) - 5.0f));
                }
                for (uint64_t draw = 0; draw < (n > 5000 ? 3 : 100); draw++) {
                    const uint64_t seed = draw % 2 ? random() : (uint64_t{1} << 53) - 1 - draw;
                    CHECK(draw_gumbel(distribution, seed, draw) == draw_by_formula(distribution, seed, draw));
                }
            }
        }
    }
    // A weight that the noise cannot make up for loses, next to the heaviest of all it wins sometimes.
    Distribution pair{{4, 9}, {1, 1e-30f}, 1, {}};
    for (uint64_t position = 0; position < 1000; position++) CHECK(draw_gumbel(pair, 1, position) == 4);
    pair.weights = {1e-30f, 1e-30f};
    int second = 0;
    for (uint64_t position = 0; position < 1000; position++) second += draw_gumbel(pair, 1, position) == 9;
    CHECK(second > 400 && second < 600);
}

void test_draw_ties() {
    // Of 200,000 tokens, some have the same 32 bits of noise as another one.
    std::vector<int32_t> ids(200000);
    std::iota(ids.begin(), ids.end(), 0);
    std::vector<double> noise;
    for (const int32_t id : ids) noise.push_back(uniform_noise(1, 0, id));
    std::sort(ids.begin(), ids.end(),
              [&](int32_t a, int32_t b) { return noise[a] != noise[b] ? noise[a] < noise[b] : a < b; });
    int ties = 0;
    for (size_t i = 1; i < ids.size(); i++) {
        if (noise[ids[i - 1]] != noise[ids[i]]) continue;
        ties++;
        CHECK(draw_gumbel({{ids[i - 1], ids[i]}, {0.5f, 0.5f}, 1, {}}, 1, 0) == ids[i - 1]);
    }
    CHECK(ties > 0);
}

std::vector<int32_t> kept(const std::vector<float> & row, const SamplingParameters & parameters) {
    Distribution out;
    CHECK(shape_distribution(row.data(), row.size(), parameters, out));
    CHECK(out.tokens.size() == out.weights.size());
    double total = 0;
    for (const float weight : out.weights) {
        CHECK(weight > 0 && weight <= 1);
        total += weight;
    }
    CHECK_NEAR(out.total, total, 1e-9 * total);
    CHECK(std::is_sorted(out.tokens.begin(), out.tokens.end()));
    return out.tokens;
}

using Ids = std::vector<int32_t>;

void test_shape() {
    const std::vector<float> row = logs({0.1, 0.4, 0.1, 0.3, 0.1});
    SamplingParameters p;
    CHECK((kept(row, p) == Ids{0, 1, 2, 3, 4}));
    p.top_k = 3;  // a tie of three: the lower id
    CHECK((kept(row, p) == Ids{0, 1, 3}));
    p.top_k = 5;
    CHECK((kept(row, p) == Ids{0, 1, 2, 3, 4}));
    p = {};
    p.top_p = 0.75;
    CHECK((kept(row, p) == Ids{0, 1, 3}));
    p.top_p = 0.55;  // of the renormalised rest: .4 / .7 = .571
    p.top_k = 2;
    CHECK((kept(row, p) == Ids{1}));
    p = {};
    p.min_p = 0.5;
    CHECK((kept(row, p) == Ids{1, 3}));
    p.min_p = 1;
    CHECK((kept(row, p) == Ids{1}));
    p = {};
    p.temperature = 2;  // weights ~ sqrt(p): .632 .548 .316 x 3, sum 2.129
    p.top_p = 0.55;
    CHECK((kept(row, p) == Ids{1, 3}));
    p.temperature = 0.5;  // weights ~ p^2: .16 .09 .01 x 3, sum .28
    CHECK((kept(row, p) == Ids{1}));

    Distribution out;
    p = {};
    p.temperature = 0.5;
    shape_distribution(row.data(), row.size(), p, out);
    CHECK_NEAR(out.weights[3], 9.0 / 16, 1e-6);
    CHECK_NEAR(out.weights[0], 1.0 / 16, 1e-6);
}

void test_extremes() {
    SamplingParameters p;
    const std::vector<float> row = {-3.0f, -0.5f, -INF, -0.5f, -1000.0f};
    p.temperature = 0;
    CHECK((kept(row, p) == Ids{1}));
    for (const double temperature : {1e-3, 1e-30, 1e-300}) {
        p.temperature = temperature;
        CHECK((kept(row, p) == Ids{1, 3}));
    }
    p.temperature = 100;
    CHECK((kept(row, p) == Ids{0, 1, 3, 4}));
    p.temperature = 1;
    CHECK((kept(row, p) == Ids{0, 1, 3}));
    p.top_k = 4;
    p.top_p = 1 - 1e-12;
    CHECK((kept(row, p) == Ids{0, 1, 3}));

    Distribution out;
    const std::vector<float> masked(5, -INF);
    for (const double temperature : {0.0, 1.0}) {
        p.temperature = temperature;
        CHECK(!shape_distribution(masked.data(), masked.size(), p, out));
    }
}

/// draw_row() against all that it leaves out.
void check_draw_row(const std::vector<float> & row, const SamplingParameters & parameters, uint64_t seed,
                    uint64_t position, Distribution & scratch) {
    const bool is_possible = shape_distribution(row.data(), row.size(), parameters, scratch);
    for (const NoiseStream stream : {NoiseStream::target, NoiseStream::drafter}) {
        const int32_t expected = is_possible ? draw_gumbel(scratch, seed, position, stream) : -1;
        CHECK(draw_row(row.data(), row.size(), parameters, seed, position, stream) == expected);
    }
}

void test_draw_row() {
    std::mt19937 random(6);
    Distribution scratch;
    SamplingParameters p;
    uint64_t position = 0;
    for (const int32_t n : {1, 2, 3, 5, 63, 255, 256, 257, 511, 700, 5000, 70000}) {
        for (const float deviation : {0.0f, 0.5f, 3.0f, 10.0f, 1e3f, 1e38f}) {
            std::normal_distribution<float> normal(0, deviation);
            std::vector<float> row(n);
            for (int kind = 0; kind < 4; kind++) {
                for (float & x : row) x = std::max(-3e38f, std::min(normal(random), 3e38f));
                if (kind == 1) {
                    for (float & x : row) x = std::round(x);  // ties
                }
                if (kind == 2) {
                    for (float & x : row) x = random() % 8 == 0 ? x : -INF;
                }
                if (kind == 3) row[random() % row.size()] = std::min(4 * deviation + 15, 3e38f);  // far ahead of all
                for (const double temperature : {0.0, 1e-30, 0.3, 1.0, 5.0, 1e3}) {
                    for (const double min_p : {0.0, 1e-6, 0.05, 1.0}) {
                        p.temperature = temperature;
                        p.min_p = min_p;
                        const int draws = n > 10000 ? 1 : n > 1000 ? 3 : 40;
                        for (int i = 0; i < draws; i++) check_draw_row(row, p, random(), position++, scratch);
                    }
                }
            }
        }
    }
    check_draw_row(std::vector<float>(300, -INF), {}, 1, 0, scratch);
}

/// Where the noise is about as large as it can be, tokens win that are nearly too light to make noise for.
void test_draw_row_at_the_bound() {
    Distribution scratch;
    int found = 0, wins = 0;
    for (uint64_t position = 0; found < 4; position++) {
        for (int32_t token = 0; token < 4096; token++) {
            if (uniform_noise(7, position, token) < 1 - 0x1p-21) continue;
            found++;
            for (float logit = -25; logit < -10; logit += 0.01f) {
                std::vector<float> row(4096, -100);
                row[(token + 2048) % 4096] = 0;
                row[token] = logit;
                check_draw_row(row, {}, 7, position, scratch);
                wins += draw_row(row.data(), row.size(), {}, 7, position) == token;
            }
        }
    }
    CHECK(wins > 100);
}

void test_penalties_and_bias() {
    SamplingParameters p;
    p.repeat_penalty = 2;
    p.frequency_penalty = 0.5;
    p.presence_penalty = 0.25;
    std::vector<float> row = {-1, -2, -3, -INF};
    const Ids history = {2, 0, 2, 3, -1, 99};  // ids outside the row do not count
    apply_penalties_and_bias(row.data(), row.size(), p, history.data(), history.size(),
                             {{1, 1.5f}, {0, -INF}, {77, 1}});
    CHECK(row[0] == -INF);
    CHECK_NEAR(row[1], -0.5, 1e-6);
    CHECK_NEAR(row[2], 2 * -3 - 2 * 0.5 - 0.25, 1e-6);
    CHECK(row[3] == -INF);

    DrawScratch scratch;
    DrawRequest request;
    request.sampling.temperature = 0;
    const std::vector<float> two = logs({0.6, 0.4});
    CHECK(draw_token(two.data(), 2, request, scratch) == 0);
    request.bias = {{0, -1}};
    CHECK(draw_token(two.data(), 2, request, scratch) == 1);
    CHECK(two == logs({0.6, 0.4}));  // the caller's row stays
    request.bias = {{0, -INF}, {1, -INF}};
    CHECK(draw_token(two.data(), 2, request, scratch) == -1);
}

}  // namespace

int main() {
    test_philox();
    test_noise();
    test_draw();
    test_draw_ties();
    test_shape();
    test_extremes();
    test_draw_row();
    test_draw_row_at_the_bound();
    test_penalties_and_bias();
    return test::failures() == 0 ? 0 : 1;
}
