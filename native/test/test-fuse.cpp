// fuse.h against distributions worked out by hand, and against plain double arithmetic on random rows.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "math/fuse.h"

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

/// Of rows that outlive the result.
std::vector<MemberRow> rows_of(const std::vector<std::vector<float>> & rows) {
    std::vector<MemberRow> result;
    for (const auto & row : rows) result.push_back({row.data(), row.size()});
    return result;
}
std::vector<MemberRow> rows_of(std::vector<std::vector<float>> && rows) = delete;

double log_sum_exp(const std::vector<double> & values) {
    const double max = *std::max_element(values.begin(), values.end());
    double sum = 0;
    for (const double value : values) sum += std::exp(value - max);
    return max + std::log(sum);
}

void test_combination_by_hand() {
    // large * chat / small, with logits shifted per member: a shift must not matter.
    auto large = logs({0.5, 0.3, 0.2}), chat = logs({0.2, 0.5, 0.3}), small = logs({0.25, 0.25, 0.5});
    for (float & logit : large) logit += 11;
    for (float & logit : small) logit -= 7;
    const std::vector<std::vector<float>> vectors = {large, chat, small};
    const auto rows = rows_of(vectors);
    FuseScratch scratch;
    const Fusion fusion{{1, 1, -1}, {}, false, 1, false};
    const FuseResult result = fuse_rows(rows.data(), fusion, 3, 3, {}, scratch);
    CHECK(result.fault == RowFault::none && result.faulty_member == -1);
    CHECK_NEAR(result.target[0], std::log(0.4 / 1.12), TOLERANCE);
    CHECK_NEAR(result.target[1], std::log(0.6 / 1.12), TOLERANCE);
    CHECK_NEAR(result.target[2], std::log(0.12 / 1.12), TOLERANCE);
    // What a row is normalised by makes no difference, unless it is compared with another row's.
    for (size_t m = 0; m < 3; m++) CHECK(std::isnan(result.log_normalizers[m]));
    const Fusion filtered{{1, 1, -1}, {0, 1, 0}, true, 0.9, false};
    fuse_rows(rows.data(), filtered, 3, 3, {}, scratch);
    CHECK_NEAR(scratch.log_normalizers[0], 11, 1e-6);
    CHECK_NEAR(scratch.log_normalizers[2], -7, 1e-6);
}

void test_combination_at_random() {
    std::mt19937 random(2);
    FuseScratch scratch;
    for (const size_t n : SIZES) {
        const auto large = random_row(random, n, 3), chat = random_row(random, n, 5, 40);
        const auto small = random_row(random, n, 2, -9);
        const std::vector<std::vector<float>> vectors = {large, chat, small};
        const auto rows = rows_of(vectors);
        for (const std::vector<double> & weights :
             {std::vector<double>{1, 1, -1}, {0.3, 1.7, -1.5}, {0, 1, 0}, {-2, 0, 2.5}}) {
            std::vector<double> expected(n, 0);
            for (size_t m = 0; m < 3; m++) {
                const double log_normalizer = log_sum_exp({vectors[m].begin(), vectors[m].end()});
                for (size_t i = 0; i < n; i++) expected[i] += weights[m] * (vectors[m][i] - log_normalizer);
            }
            const double log_normalizer = log_sum_exp(expected);
            const Fusion fusion{weights, {}, false, 1, false};
            const FuseResult result = fuse_rows(rows.data(), fusion, 3, n, {}, scratch);
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
    const auto fuse = [&](const std::vector<const float *> & pointers, std::vector<double> weights) {
        const Fusion fusion{std::move(weights), {}, false, 1, false};
        std::vector<MemberRow> rows;
        for (const float * row : pointers) rows.push_back({row, 3});
        return fuse_rows(rows.data(), fusion, rows.size(), 3, {}, scratch);
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

/// Any number of members, rows whose largest entries come last, and what is broken in any of them, wherever it is.
void test_many_members() {
    std::mt19937 random(9);
    FuseScratch scratch;
    for (size_t members = 1; members <= 8; members++) {
        const size_t n = 3000;
        std::vector<std::vector<float>> vectors;
        std::vector<double> weights, expected(n, 0);
        for (size_t m = 0; m < members; m++) {
            vectors.push_back(random_row(random, n, 2));
            weights.push_back(m == 2 ? 0 : m % 2 == 0 ? 1.25 : -0.5);
            for (size_t i = 0; i < n; i++) {
                vectors[m][i] += static_cast<float>(i) * (m == 0 ? 0.3f : 0.01f);
                expected[i] += weights[m] * static_cast<double>(vectors[m][i]);
            }
        }
        const double log_normalizer = log_sum_exp(expected);
        const auto rows = rows_of(vectors);
        Fusion fusion{weights, {}, false, 1, false};
        const FuseResult result = fuse_rows(rows.data(), fusion, members, n, {}, scratch);
        CHECK(result.fault == RowFault::none);
        for (size_t i = 0; i < n; i++) {
            CHECK_NEAR(result.target[i], expected[i] - log_normalizer,
                       3e-7 * std::abs(expected[i] - log_normalizer) + TOLERANCE);
        }
        for (size_t m = 0; m < members; m++) {
            for (const size_t at : {size_t{0}, size_t{511}, size_t{512}, n - 1}) {
                for (const float broken : {NOT_A_NUMBER, -NOT_A_NUMBER, INF}) {
                    auto damaged = vectors;
                    damaged[m][at] = broken;
                    damaged[(m + 1) % members][at] = members > 1 ? -INF : broken;  // hides nothing
                    const auto damaged_rows = rows_of(damaged);
                    for (const bool has_fallback : {false, true}) {
                        fusion = {weights, std::vector<double>(members, 0), has_fallback, 1, has_fallback};
                        fusion.fallback[0] = 1;
                        const TokenGroups groups{{}, {static_cast<int32_t>(n - 1)}};
                        const FuseResult found = fuse_rows(damaged_rows.data(), fusion, members, n, groups, scratch);
                        CHECK((found.fault != RowFault::none) == (m != 2));
                        if (m != 2) CHECK(found.faulty_member == static_cast<int32_t>(m));
                    }
                }
            }
        }
    }
}

void test_conservative_filter() {
    FuseScratch scratch;
    const std::vector<float> fallback = logs({0.1, 0.4, 0.1, 0.3, 0.1});
    const auto inside = [&](const std::vector<float> & row, double top_p) {
        const Fusion itself{{1}, {1}, true, top_p, false};
        const MemberRow member{row.data(), row.size()};
        fuse_rows(&member, itself, 1, row.size(), {}, scratch);
        std::vector<int32_t> kept;
        for (const TokenLogprob & candidate : scratch.candidates) kept.push_back(candidate.token);
        return kept;
    };
    CHECK((inside(fallback, 1e-9) == std::vector<int32_t>{1}));
    CHECK((inside(fallback, 0.39) == std::vector<int32_t>{1}));
    CHECK((inside(fallback, 0.41) == std::vector<int32_t>{1, 3}));
    CHECK((inside(fallback, 0.75) == std::vector<int32_t>{0, 1, 3}));  // a tie of three: the lower id
    CHECK((inside(fallback, 0.85) == std::vector<int32_t>{0, 1, 2, 3}));
    CHECK((inside(fallback, 0.95) == std::vector<int32_t>{0, 1, 2, 3, 4}));

    // What the fallback masks is not in the target, whatever the mass, and whether the combination reads it or not.
    const std::vector<std::vector<float>> half_masked = {{-INF, 0, -1}, {0, 0, 0}};
    for (const double top_p : {0.5, 0.99, 1.0}) {
        for (const double weight : {0.0, 1.0}) {
            const Fusion masked{{weight, 1}, {1, 0}, true, top_p, false};
            const FuseResult result = fuse_rows(rows_of(half_masked).data(), masked, 2, 3, {}, scratch);
            CHECK(result.fault == RowFault::none && result.target[0] == -INF && result.target[1] > -INF);
        }
    }

    // V = {1}; token 1 gets 0.4 * (0.2 / 0.1), the others the fallback's probability.
    const std::vector<std::vector<float>> vectors = {logs({0.2, 0.2, 0.2, 0.2, 0.2}), fallback,
                                                     logs({0.3, 0.1, 0.3, 0.1, 0.2})};
    const Fusion fusion{{1, 1, -1}, {0, 1, 0}, true, 0.39, false};
    const FuseResult result = fuse_rows(rows_of(vectors).data(), fusion, 3, 5, {}, scratch);
    CHECK_NEAR(result.target[1], std::log(0.8 / 1.4), TOLERANCE);
    CHECK_NEAR(result.target[3], std::log(0.3 / 1.4), TOLERANCE);
}

void test_tokens_apart() {
    FuseScratch scratch;
    // Large is mad about token 1, a control token. Chat gives it 0.4, and that is what it gets: the rest has
    // large * chat / small among themselves, 0.2, 0.6, 0.12 and 0.2 times 0.1, 0.1, 0.3 and 0.1 / 0.05.
    const std::vector<std::vector<float>> vectors = {logs({0.02, 0.9, 0.02, 0.03, 0.03}),
                                                     logs({0.1, 0.4, 0.1, 0.3, 0.1}), logs({0.2, 0.1, 0.2, 0.4, 0.1})};
    const auto rows = rows_of(vectors);
    const TokenGroups groups{{}, {1}};
    Fusion fusion{{1, 1, -1}, {0, 1, 0}, true, 1, true};
    FuseResult result = fuse_rows(rows.data(), fusion, 3, 5, groups, scratch);
    const double total = 0.01 + 0.01 + 0.0225 + 0.03;
    CHECK_NEAR(result.target[1], std::log(0.4), TOLERANCE);
    CHECK_NEAR(result.target[0], std::log(0.6 * 0.01 / total), TOLERANCE);
    CHECK_NEAR(result.target[3], std::log(0.6 * 0.0225 / total), TOLERANCE);
    CHECK_NEAR(result.target[4], std::log(0.6 * 0.03 / total), TOLERANCE);
    // Only if that was asked for.
    fusion.control_tokens_fallback = false;
    CHECK(fuse_rows(rows.data(), fusion, 3, 5, groups, scratch).target[1] > std::log(0.9));

    // With the conservative filter: among the other tokens, chat's top is token 3 alone.
    fusion = {{1, 1, -1}, {0, 1, 0}, true, 0.45, true};
    result = fuse_rows(rows.data(), fusion, 3, 5, groups, scratch);
    // Conditional on not being token 1: large 0.3, chat 0.5, small 4 / 9 for token 3; chat 1 / 6 for the others.
    const double inside = 0.3 * 0.5 / (4.0 / 9), outside = 1.0 / 6;
    CHECK_NEAR(result.target[1], std::log(0.4), TOLERANCE);
    CHECK_NEAR(result.target[3], std::log(0.6 * inside / (inside + 3 * outside)), TOLERANCE);
    CHECK_NEAR(result.target[0], std::log(0.6 * outside / (inside + 3 * outside)), TOLERANCE);

    // Chat has two tokens more than the others: they stand apart without being asked for.
    const std::vector<std::vector<float>> wider = {logs({0.5, 0.5}), logs({0.1, 0.2, 0.4, 0.3}), logs({0.25, 0.75})};
    const TokenGroups added{{2, 3}, {2, 3}};
    fusion = {{1, 1, -1}, {0, 1, 0}, true, 1, false};
    result = fuse_rows(rows_of(wider).data(), fusion, 3, 4, added, scratch);
    CHECK_NEAR(result.target[2], std::log(0.4), TOLERANCE);
    CHECK_NEAR(result.target[3], std::log(0.3), TOLERANCE);
    CHECK_NEAR(result.target[0], std::log(0.3 * 0.6), TOLERANCE);  // 0.5 / 3 / 0.25 against 0.5 * 2 / 3 / 0.75
    CHECK_NEAR(result.log_normalizers[1], 0, 1e-6);
    // Without a fallback nobody speaks for them, even where all that are read have them.
    const Fusion alone{{0, 1, 0}, {}, false, 1, false};
    result = fuse_rows(rows_of(wider).data(), alone, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::none && result.target[2] == -INF && result.target[3] == -INF);
    CHECK_NEAR(result.target[1], std::log(2.0 / 3), TOLERANCE);
    // A fallback that does not have them either.
    const Fusion other{{1, 1, -1}, {1, 0, 0}, true, 1, false};
    result = fuse_rows(rows_of(wider).data(), other, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::none && result.target[2] == -INF);
    CHECK_NEAR(result.target[0], std::log(0.6), TOLERANCE);

    // Nothing else is possible: they share everything. Nothing at all: nobody's fault.
    const std::vector<std::vector<float>> only = {{-INF, -INF}, {0, -INF, 1, 1}, {0, 0}};
    result = fuse_rows(rows_of(only).data(), fusion, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::all_masked && result.faulty_member == 0);
    const std::vector<std::vector<float>> disjoint = {{-INF, 0}, {0, -INF, 1, 1}, {0, 0}};
    result = fuse_rows(rows_of(disjoint).data(), fusion, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::none && result.target[0] == -INF);
    CHECK_NEAR(result.target[2], std::log(0.5), TOLERANCE);
    const std::vector<std::vector<float>> nothing = {{-INF, 0}, {0, -INF, -INF, -INF}, {0, 0}};
    result = fuse_rows(rows_of(nothing).data(), fusion, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::all_masked && result.faulty_member == -1);
    // What is broken is found among them too.
    const std::vector<std::vector<float>> broken = {{0, 0}, {0, 0, NOT_A_NUMBER, 0}, {0, 0}};
    result = fuse_rows(rows_of(broken).data(), fusion, 3, 4, added, scratch);
    CHECK(result.fault == RowFault::not_a_number && result.faulty_member == 1);

    // The same wherever they lie among the blocks that are scanned.
    std::mt19937 random(5);
    for (const size_t n : SIZES) {
        if (n < 3) continue;
        const auto large = random_row(random, n, 3), chat = random_row(random, n, 4, 9);
        const std::vector<int32_t> ids = {0, static_cast<int32_t>(n / 2), static_cast<int32_t>(n - 1)};
        const Fusion plain{{1, 0.5}, {0, 1}, true, 1, true};
        const std::vector<MemberRow> rows = {{large.data(), n}, {chat.data(), n}};
        result = fuse_rows(rows.data(), plain, 2, n, {}, scratch);
        const std::vector<float> target(result.target, result.target + n);
        result = fuse_rows(rows.data(), plain, 2, n, {{}, ids}, scratch);
        const double normalizer = log_sum_exp({chat.begin(), chat.end()});
        double apart = 0, others = 1;
        for (const int32_t id : ids) {
            CHECK_NEAR(result.target[id], chat[id] - normalizer, TOLERANCE);
            apart += std::exp(chat[id] - normalizer);
            others -= std::exp(static_cast<double>(target[id]));
        }
        for (size_t i = 1; i < n - 1; i++) {
            if (i == n / 2) continue;
            CHECK_NEAR(result.target[i], target[i] + std::log((1 - apart) / others), 2 * TOLERANCE);
        }
    }
}

/// Nothing finite overflows: neither huge weights nor huge logits, alone or together, with and without a fallback.
void test_extremes() {
    FuseScratch scratch;
    constexpr float MOST = std::numeric_limits<float>::max();
    const std::vector<std::vector<float>> ordinary = {logs({0.5, 0.3, 0.2}), logs({0.2, 0.5, 0.3}),
                                                      logs({0.25, 0.25, 0.5})};
    const std::vector<std::vector<float>> huge = {{MOST, -MOST, 0}, {-MOST, MOST, 1e38f}, {-MOST, -MOST, MOST}};
    for (const auto & vectors : {ordinary, huge}) {
        for (const double weight : {1.0, -1.0, 1e6, -1e6, 1e38, -1e38, 1e150}) {
            for (const double top_p : {0.4, 0.95, 1.0}) {
                for (const bool has_fallback : {false, true}) {
                    const Fusion fusion{{weight, 1, -weight}, {0, 1, 0}, has_fallback, top_p, has_fallback};
                    const FuseResult result = fuse_rows(rows_of(vectors).data(), fusion, 3, 3, {{}, {2}}, scratch);
                    CHECK(result.fault == RowFault::none);
                    double mass = 0;
                    for (size_t i = 0; i < 3; i++) {
                        // What is possible stays possible, however improbable.
                        CHECK(result.target[i] <= 1e-6f && result.target[i] >= -MOST);
                        mass += std::exp(static_cast<double>(result.target[i]));
                    }
                    CHECK_NEAR(mass, 1, 1e-5);
                }
            }
        }
    }
    // Likely tokens keep their distances, whatever the size of what they have in common.
    const std::vector<std::vector<float>> shared = {{0, 0, -9}, {3, 2, 0}};
    const FuseResult result = fuse_rows(rows_of(shared).data(), {{1e6, 1}, {}, false, 1, false}, 2, 3, {}, scratch);
    CHECK_NEAR(result.target[0] - result.target[1], 1, TOLERANCE);
    // Beyond all reason, the fault has no culprit.
    const FuseResult absurd =
        fuse_rows(rows_of(huge).data(), {{1e300, 1, -1e300}, {}, false, 1, false}, 3, 3, {}, scratch);
    CHECK(absurd.fault == RowFault::not_a_number && absurd.faulty_member == -1);
}

}  // namespace

int main() {
    test_combination_by_hand();
    test_combination_at_random();
    test_members_and_masks();
    test_many_members();
    test_conservative_filter();
    test_tokens_apart();
    test_extremes();
    return test::failures() == 0 ? 0 : 1;
}
