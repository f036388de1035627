// constrain.h: a constrained draw is the draw from the masked row, however few tokens were asked about.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "allow-list.h"
#include "check.h"
#include "math/constrain.h"

using namespace eft;

namespace {

using Row = std::vector<float>;

constexpr float INF = std::numeric_limits<float>::infinity();

std::vector<SamplingParameters> all_samplings() {
    std::vector<SamplingParameters> all;
    for (const double temperature : {0.0, 0.3, 1.0, 2.5}) {
        for (const int32_t top_k : {0, 1, 5, 40, 3000}) {
            for (const double top_p : {1.0, 0.95, 0.5, 0.05}) {
                for (const double min_p : {0.0, 0.02, 1.0}) {
                    if (temperature == 0 && (top_k > 0 || top_p < 1 || min_p > 0)) continue;
                    SamplingParameters sampling;
                    sampling.temperature = temperature;
                    sampling.top_k = top_k;
                    sampling.top_p = top_p;
                    sampling.min_p = min_p;
                    all.push_back(sampling);
                }
            }
        }
    }
    return all;
}

/// From flat to peaked; some with many ties, some with tokens that a member has masked.
Row random_row(std::mt19937 & random, size_t n) {
    const float deviations[] = {0, 0.5, 2, 4, 12};
    std::normal_distribution<float> normal(0, deviations[random() % 5]);
    Row row(n);
    for (auto & value : row) value = normal(random);
    if (random() % 3 == 0) {
        for (auto & value : row) value = std::round(value * 2) / 2;
    }
    if (random() % 4 == 0) {
        for (auto & value : row) value = random() % 5 == 0 ? -INF : value;
    }
    return row;
}

/// Independent of the row, or the heaviest or the lightest tokens of it.
std::vector<uint8_t> random_flags(std::mt19937 & random, const Row & row) {
    const double shares[] = {1, 0.98, 0.5, 0.05, 0.002};
    std::bernoulli_distribution lot(shares[random() % 5]);
    std::vector<uint8_t> flags(row.size());
    for (auto & flag : flags) flag = lot(random) ? 1 : 0;
    const float threshold = row[random() % row.size()];
    const uint32_t side = random() % 3;
    for (size_t i = 0; i < row.size() && side < 2; i++) {
        if ((row[i] > threshold) == (side == 0)) flags[i] = 0;
    }
    return flags;
}

void test_draws() {
    std::mt19937 random(11);
    const auto samplings = all_samplings();
    DrawScratch scratch;
    int asked_for_all = 0, draws = 0, without_token = 0;
    for (const size_t n : {1, 2, 7, 33, 500, 4000}) {
        for (const SamplingParameters & sampling : samplings) {
            for (int round = 0; round < (n > 1000 ? 3 : 15); round++) {
                const Row row = random_row(random, n);
                if (max_of(row.data(), n) == -INF) continue;
                test::AllowList list(random_flags(random, row));
                const Row masked = list.masked(row);
                DrawRequest request, free;
                request.sampling = free.sampling = sampling;
                if (random() % 2 == 0) request.bias = free.bias = {{static_cast<int32_t>(random() % n), 3}};
                request.constraint = &list;
                for (int seed = 0; seed < 4; seed++) {
                    request.seed = free.seed = random();
                    request.position = free.position = random() % 100;
                    const int32_t token = draw_token(row.data(), n, request, scratch);
                    const int32_t expected = draw_token(masked.data(), n, free, scratch);
                    CHECK(token == expected);
                    without_token += expected < 0;
                    draws++;
                }
                asked_for_all += list.asked_for_all;
            }
        }
    }
    // Both ways have been taken, and often.
    CHECK(asked_for_all > draws / 20 && asked_for_all < draws * 3 / 4);
    CHECK(without_token > 0);
}

/// Rows of a large vocabulary, peaked as those of models are, in places where most tokens may come.
void test_questions() {
    std::mt19937 random(5);
    const size_t n = 150'000;
    DrawScratch scratch;
    int draws = 0, asked_for_all = 0;
    for (const double share : {1.0, 0.9, 0.5}) {
        for (const SamplingParameters & sampling : all_samplings()) {
            if (sampling.top_k > 1000 || sampling.temperature > 1) continue;
            std::normal_distribution<float> normal(0, 2);
            Row row(n);
            for (auto & value : row) value = normal(random);
            for (const float peak : {14.0f, 13.0f, 12.5f, 11.0f, 10.0f}) row[random() % n] = peak;
            std::vector<uint8_t> flags(n);
            for (auto & flag : flags) flag = std::bernoulli_distribution(share)(random) ? 1 : 0;
            test::AllowList list(flags);
            DrawRequest request, free;
            request.sampling = free.sampling = sampling;
            request.constraint = &list;
            request.seed = free.seed = random();
            const int32_t token = draw_token(row.data(), n, request, scratch);
            CHECK(token == draw_token(list.masked(row).data(), n, free, scratch));
            CHECK(list.asked_for_one < 5000);
            // Top-p has to know the whole where a token is at its edge; the others do not.
            const bool is_plain = sampling.top_p >= 1 && sampling.top_k == 0;
            if (is_plain) CHECK(list.asked_for_all == 0);
            asked_for_all += list.asked_for_all;
            draws++;
        }
    }
    CHECK(asked_for_all < draws / 10);
}

}  // namespace

int main() {
    test_draws();
    test_questions();
    return test::failures() == 0 ? 0 : 1;
}
