// combine.h against plain double arithmetic on random rows.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "math/combine.h"
#include "math/vector-math.h"

using namespace eft;

namespace {

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr float NOT_A_NUMBER = std::numeric_limits<float>::quiet_NaN();
/// What is promised for a log-probability; float itself resolves 4e-6 at -64.
constexpr double TOLERANCE = 1e-5;
/// Around every vector and block width in use, and up to the largest vocabularies.
const std::vector<size_t> SIZES = {1,    2,    3,    7,    8,    15,   16,   17,   31,    33,    127,    128,   129,
                                   1023, 1024, 1025, 2047, 2048, 2049, 4099, 4111, 32000, 50257, 128256, 200000};

std::vector<float> logs(const std::vector<double> & probabilities) {
    std::vector<float> row;
    for (const double p : probabilities) row.push_back(static_cast<float>(std::log(p)));
    return row;
}

std::vector<float> random_row(std::mt19937 & random, size_t n, float deviation, float mean = 0) {
    std::normal_distribution<float> normal(mean, deviation);
    std::vector<float> row(n);
    for (float & value : row) value = normal(random);
    return row;
}

double log_sum_exp(const std::vector<double> & values) {
    const double max = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const double value : values) sum += std::exp(value - max);
    return max + std::log(sum);
}

void test_exponential() {
    CHECK(exp_nonpositive(0) == 1);
    CHECK(exp_nonpositive(-88) == 0);
    CHECK(exp_nonpositive(-INF) == 0);
    CHECK(exp_nonpositive(NOT_A_NUMBER) == 0);
    double worst = 0;
    for (float x = 0; x > -87; x -= 0.00137f) {
        worst = std::max(worst, std::abs(exp_nonpositive(x) / std::exp(static_cast<double>(x)) - 1));
    }
    CHECK(worst < 2e-7);
}

/// A weight is the same to the bit wherever its token lies in a row: winners of races depend on it.
void test_weights() {
    std::mt19937 random(7);
    const auto row = random_row(random, 1000, 30);
    const float max = max_of(row.data(), row.size());
    std::vector<float> weights(row.size()), shifted(row.size()), alone;
    for (const float scale : {1.0f, 1.4f, 0.03f}) {
        exponentials(row.data(), row.size(), max, scale, weights.data());
        for (size_t begin = 0; begin < 70; begin++) {
            exponentials(row.data() + begin, row.size() - begin, max, scale, shifted.data());
            for (size_t i = begin; i < row.size(); i++) CHECK(shifted[i - begin] == weights[i]);
        }
        for (size_t i = 0; i < row.size(); i++) {
            weigh({{static_cast<int32_t>(i), row[i]}}, max, scale, alone);
            CHECK(alone[0] == weights[i]);
        }
    }
}

void test_log_normalizer() {
    const std::vector<float> row = logs({1, 2, 3, 4});
    CHECK_NEAR(summarize_row(row.data(), 4).log_normalizer, std::log(10.0), 1e-7);
    CHECK(summarize_row(row.data(), 4).max == row[3]);

    std::mt19937 random(1);
    for (const size_t n : SIZES) {
        for (const float deviation : {0.0f, 1.0f, 20.0f}) {
            for (const float mean : {0.0f, -1000.0f, 30000.0f}) {
                const auto values = random_row(random, n, deviation, mean);
                CHECK_NEAR(summarize_row(values.data(), n).log_normalizer, log_sum_exp({values.begin(), values.end()}),
                           2e-7);
            }
        }
    }
    const std::vector<float> extreme = {-3e38f, 3e38f, 0, -INF};
    CHECK(summarize_row(extreme.data(), 4).log_normalizer == static_cast<double>(3e38f));
    // One likely token and many that are each below the resolution of a float sum.
    std::vector<float> tail(200000, std::log(2e-8f));
    tail[77777] = 0;
    CHECK_NEAR(summarize_row(tail.data(), tail.size()).log_normalizer, log_sum_exp({tail.begin(), tail.end()}), 1e-8);
}

void test_faults() {
    for (const size_t n : {1, 2, 16, 17, 100, 2049}) {
        for (size_t at = 0; at<n; at += n> 100 ? 256 : 1) {
            std::vector<float> row(n, 1.0f);
            row[at] = NOT_A_NUMBER;
            CHECK(summarize_row(row.data(), n).fault == RowFault::not_a_number);
            row[at] = -NOT_A_NUMBER;
            CHECK(summarize_row(row.data(), n).fault == RowFault::not_a_number);
            row[at] = INF;
            CHECK(summarize_row(row.data(), n).fault == RowFault::plus_infinity);
            row[at] = -INF;
            CHECK(summarize_row(row.data(), n).fault == (n == 1 ? RowFault::all_masked : RowFault::none));
            CHECK(normalize_row(row.data(), n).fault == (n == 1 ? RowFault::all_masked : RowFault::none));
            CHECK(row[at] == -INF);
        }
        std::vector<float> masked(n, -INF);
        CHECK(summarize_row(masked.data(), n).fault == RowFault::all_masked);
    }
}

/// Sorted ranking of a row, without what is masked.
std::vector<TokenLogprob> ranking(const std::vector<float> & row) {
    std::vector<TokenLogprob> result;
    for (size_t i = 0; i < row.size(); i++) {
        if (row[i] > -INF) result.push_back({static_cast<int32_t>(i), row[i]});
    }
    std::sort(result.begin(), result.end(), ranks_before);
    return result;
}

void test_top_logprobs() {
    std::mt19937 random(3);
    for (const size_t n : SIZES) {
        auto row = random_row(random, n, 3);
        for (size_t i = 0; i < n; i += 3) row[i] = std::round(row[i]);  // many ties
        for (size_t i = 1; i < n; i += 7) row[i] = -INF;
        const auto expected = ranking(row);
        for (const size_t count : {size_t{0}, size_t{1}, size_t{5}, size_t{40}, size_t{1000}, n / 2, n, n + 10}) {
            std::vector<TokenLogprob> top;
            top_logprobs(row.data(), n, count, top);
            CHECK(top.size() == std::min(count, expected.size()));
            for (size_t i = 0; i < top.size(); i++) CHECK(top[i].token == expected[i].token);
        }
    }
}

void test_top_p() {
    std::mt19937 random(4);
    for (const size_t n : SIZES) {
        for (const float deviation : {0.0f, 1.0f, 6.0f}) {
            auto row = random_row(random, n, deviation);
            for (size_t i = 0; i < n; i += 2) row[i] = std::round(2 * row[i]) / 2;
            std::vector<float> weights(n), buffer;
            const float max = max_of(row.data(), n);
            const double total = exponentials(row.data(), n, max, 1, weights.data());
            const auto ranks = ranking(row);
            for (const double top_p : {1e-6, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 1e-9}) {
                std::vector<TokenLogprob> kept;
                collect_top_p(row.data(), weights.data(), n, total, top_p, kept);
                for (size_t i = 1; i < kept.size(); i++) CHECK(kept[i - 1].token < kept[i].token);
                // All of the ranking up to the last that was kept; enough of it, and not one too many.
                std::sort(kept.begin(), kept.end(), ranks_before);
                double mass = 0;
                for (size_t i = 0; i < kept.size(); i++) {
                    CHECK(kept[i].token == ranks[i].token);
                    mass += weights[kept[i].token];
                }
                constexpr double ROUNDING = 1e-12;
                CHECK(mass >= top_p * total * (1 - ROUNDING));
                CHECK(mass - weights[kept.back().token] <= top_p * total * (1 + ROUNDING));
            }
        }
    }
}

/// What is found among few tokens is what is found among all, and ids that stand apart are as if they were not there.
void test_few_of_top_p() {
    std::mt19937 random(8);
    int found = 0;
    for (const size_t n : SIZES) {
        for (const float deviation : {1.0f, 6.0f}) {
            const auto row = random_row(random, n, deviation);
            std::vector<int32_t> apart;
            auto others = row;
            for (size_t i = 0; i < n; i += 1 + random() % 50) {
                if (n > 1 && i + 1 < n) apart.push_back(static_cast<int32_t>(i)), others[i] = -INF;
            }
            std::vector<float> weights(n), buffer;
            const float max = max_of(others.data(), n);
            const double total = exponentials(others.data(), n, max, 1, weights.data());
            for (const double top_p : {1e-6, 0.1, 0.5, 0.9, 0.95, 1 - 1e-9}) {
                std::vector<TokenLogprob> few, all;
                if (!collect_few_of_top_p(row.data(), n, apart, max, 1, top_p * total, buffer, few)) continue;
                found++;
                collect_top_p(row.data(), weights.data(), n, total, top_p, all);
                CHECK(few.size() == all.size());
                for (size_t i = 0; i < std::min(few.size(), all.size()); i++) CHECK(few[i].token == all[i].token);
            }
        }
    }
    CHECK(found > 100);
}

void test_first_largest() {
    std::vector<float> row(5000, -INF);
    CHECK(first_largest(row.data(), row.size()) == 0);
    for (const size_t at : {4999, 2048, 2047, 1, 0}) {
        row[at] = 3;  // a tie with those behind it
        CHECK(first_largest(row.data(), row.size()) == at);
    }
}

}  // namespace

int main() {
    test_exponential();
    test_weights();
    test_log_normalizer();
    test_faults();
    test_top_logprobs();
    test_top_p();
    test_few_of_top_p();
    test_first_largest();
    return test::failures() == 0 ? 0 : 1;
}
