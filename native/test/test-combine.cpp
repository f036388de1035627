// combine.h against distributions worked out by hand, and against plain double arithmetic on random rows.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "combine.h"
#include "vector-math.h"

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

void test_combination_by_hand() {
    // large * chat / small, with logits shifted per member: a shift must not matter.
    auto large = logs({0.5, 0.3, 0.2}), chat = logs({0.2, 0.5, 0.3}), small = logs({0.25, 0.25, 0.5});
    for (float & logit : large) logit += 11;
    for (float & logit : small) logit -= 7;
    const float * const rows[] = {large.data(), chat.data(), small.data()};
    FuseScratch scratch;
    const Fusion fusion{{1, 1, -1}, {}, false, 1, false};
    const FuseResult result = fuse_rows(rows, fusion, 3, 3, nullptr, scratch);
    CHECK(result.fault == RowFault::none && result.faulty_member == -1);
    CHECK_NEAR(result.target[0], std::log(0.4 / 1.12), TOLERANCE);
    CHECK_NEAR(result.target[1], std::log(0.6 / 1.12), TOLERANCE);
    CHECK_NEAR(result.target[2], std::log(0.12 / 1.12), TOLERANCE);
    CHECK_NEAR(result.log_normalizers[0], 11, 1e-6);
    CHECK_NEAR(result.log_normalizers[2], -7, 1e-6);
}

void test_combination_at_random() {
    std::mt19937 random(2);
    FuseScratch scratch;
    for (const size_t n : SIZES) {
        const auto large = random_row(random, n, 3), chat = random_row(random, n, 5, 40);
        const auto small = random_row(random, n, 2, -9);
        const float * const rows[] = {large.data(), chat.data(), small.data()};
        for (const std::vector<double> & weights :
             {std::vector<double>{1, 1, -1}, {0.3, 1.7, -1.5}, {0, 1, 0}, {-2, 0, 2.5}}) {
            std::vector<double> expected(n, 0);
            for (size_t m = 0; m < 3; m++) {
                const double log_normalizer = log_sum_exp({rows[m], rows[m] + n});
                for (size_t i = 0; i < n; i++) expected[i] += weights[m] * (rows[m][i] - log_normalizer);
            }
            const double log_normalizer = log_sum_exp(expected);
            const Fusion fusion{weights, {}, false, 1, false};
            const FuseResult result = fuse_rows(rows, fusion, 3, n, nullptr, scratch);
            CHECK(result.fault == RowFault::none);
            for (size_t i = 0; i < n; i++) CHECK_NEAR(result.target[i], expected[i] - log_normalizer, TOLERANCE);
            CHECK(std::max_element(result.target, result.target + n) - result.target ==
                  std::max_element(expected.begin(), expected.end()) - expected.begin());
        }
    }
}

void test_members_and_masks() {
    FuseScratch scratch;
    const std::vector<float> good = logs({0.5, 0.3, 0.2}), broken = {0, NOT_A_NUMBER, 0}, masked(3, -INF);
    const std::vector<float> infinite = {0, INF, 0}, half = {0, -INF, 0};
    const auto fuse = [&](const std::vector<const float *> & rows, std::vector<double> weights) {
        const Fusion fusion{std::move(weights), {}, false, 1, false};
        return fuse_rows(rows.data(), fusion, rows.size(), 3, nullptr, scratch);
    };
    // A member of weight 0 is not read.
    FuseResult result = fuse({good.data(), broken.data(), nullptr}, {1, 0, 0});
    CHECK(result.fault == RowFault::none);
    for (size_t i = 0; i < 3; i++) CHECK_NEAR(result.target[i], good[i], TOLERANCE);
    CHECK(std::isnan(result.log_normalizers[1]) && std::isnan(result.log_normalizers[2]));
    // A broken one is named.
    result = fuse({good.data(), broken.data()}, {1, 1});
    CHECK(result.fault == RowFault::not_a_number && result.faulty_member == 1);
    result = fuse({infinite.data(), good.data()}, {-1, 1});
    CHECK(result.fault == RowFault::plus_infinity && result.faulty_member == 0);
    result = fuse({good.data(), masked.data()}, {1, 1});
    CHECK(result.fault == RowFault::all_masked && result.faulty_member == 1);
    // A token that a member masks is not in the target, whatever the sign of the weight.
    for (const double weight : {1.0, -1.0}) {
        result = fuse({good.data(), half.data()}, {1, weight});
        CHECK(result.fault == RowFault::none && result.target[1] == -INF);
        CHECK_NEAR(result.target[0], std::log(0.5 / 0.7), TOLERANCE);
    }
    // Members that together mask everything leave no token; that is nobody's fault in particular.
    const std::vector<float> other_half = {-INF, 0, -INF};
    result = fuse({half.data(), other_half.data()}, {1, 1});
    CHECK(result.fault == RowFault::all_masked && result.faulty_member == -1);
    // All weights 0: nothing is known about any token.
    result = fuse({broken.data(), nullptr}, {0, 0});
    CHECK_NEAR(result.target[2], -std::log(3.0), TOLERANCE);
}

void test_conservative_filter() {
    FuseScratch scratch;
    const std::vector<float> fallback = logs({0.1, 0.4, 0.1, 0.3, 0.1});
    const auto filter = [&](double top_p, std::vector<uint8_t> excluded = {}) {
        std::vector<float> target = {10, 11, 12, 13, 14};
        const size_t inside = apply_conservative_filter(
            fallback.data(), 5, top_p, excluded.empty() ? nullptr : excluded.data(), target.data(), scratch);
        std::vector<int> kept;
        for (int i = 0; i < 5; i++) {
            if (target[i] == static_cast<float>(10 + i))
                kept.push_back(i);
            else
                CHECK(target[i] == fallback[i]);
        }
        CHECK(kept.size() == inside);
        return kept;
    };
    CHECK((filter(1e-9) == std::vector<int>{1}));
    CHECK((filter(0.39) == std::vector<int>{1}));
    CHECK((filter(0.41) == std::vector<int>{1, 3}));
    CHECK((filter(0.75) == std::vector<int>{0, 1, 3}));  // a tie of three: the lower id
    CHECK((filter(0.85) == std::vector<int>{0, 1, 2, 3}));
    CHECK((filter(0.95) == std::vector<int>{0, 1, 2, 3, 4}));
    CHECK((filter(1) == std::vector<int>{0, 1, 2, 3, 4}));
    CHECK((filter(0.75, {0, 1, 0, 0, 1}) == std::vector<int>{0, 3}));  // the excluded one still takes up its mass
    CHECK((filter(1, {1, 0, 0, 0, 1}) == std::vector<int>{1, 2, 3}));

    // What the fallback masks is not in the target, whatever the mass.
    const std::vector<float> half_masked = {-INF, 0};
    for (const double top_p : {0.5, 1.0}) {
        std::vector<float> target = {-1, -1};
        CHECK(apply_conservative_filter(half_masked.data(), 2, top_p, nullptr, target.data(), scratch) == 1);
        CHECK(target[0] == -INF && target[1] == -1);
    }

    // Through fuse_rows: V = {1}; token 1 gets 0.4 * (0.2 / 0.1), the others the fallback's probability.
    const auto large = logs({0.2, 0.2, 0.2, 0.2, 0.2}), small = logs({0.3, 0.1, 0.3, 0.1, 0.2});
    const float * const rows[] = {large.data(), fallback.data(), small.data()};
    Fusion fusion{{1, 1, -1}, {0, 1, 0}, true, 0.39, false};
    FuseResult result = fuse_rows(rows, fusion, 3, 5, nullptr, scratch);
    CHECK_NEAR(result.target[1], std::log(0.8 / 1.4), TOLERANCE);
    CHECK_NEAR(result.target[3], std::log(0.3 / 1.4), TOLERANCE);
    // Control tokens fall back only if that was asked for.
    const std::vector<uint8_t> control = {0, 1, 0, 0, 0};
    result = fuse_rows(rows, fusion, 3, 5, control.data(), scratch);
    CHECK_NEAR(result.target[1], std::log(0.8 / 1.4), TOLERANCE);
    fusion.control_tokens_fallback = true;
    result = fuse_rows(rows, fusion, 3, 5, control.data(), scratch);
    CHECK_NEAR(result.target[1], std::log(0.4), TOLERANCE);
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
            std::vector<float> weights(n);
            const double total = exponentials(row.data(), n, max_of(row.data(), n), 1, weights.data());
            const auto ranks = ranking(row);
            for (const double top_p : {1e-6, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 1e-9}) {
                std::vector<TokenLogprob> kept;
                collect_top_p_candidates(row.data(), weights.data(), n, top_p, total, kept);
                keep_top_p(kept, weights.data(), top_p * total);
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

}  // namespace

int main() {
    test_exponential();
    test_log_normalizer();
    test_faults();
    test_combination_by_hand();
    test_combination_at_random();
    test_members_and_masks();
    test_conservative_filter();
    test_top_logprobs();
    test_top_p();
    return test::failures() == 0 ? 0 : 1;
}
