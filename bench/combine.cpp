// Microseconds of fusing three members and drawing a token, on one core, for rows that are in memory, as a decode of
// large models leaves them: as many sets of rows take turns as no cache holds. Medians. Beside them the bound: to read
// these rows once, at the rate at which they are searched for their maximum, measured in the same run, and one
// exponential a token, at the rate at which a block in the nearest cache is made exponentials. Prints a table, then the
// same numbers as JSON.
//
//   g++ -std=c++17 -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math -Inative bench/combine.cpp
//       native/math/{combine,constrain,fuse,known-ids,sample}.cpp -o build/bench-combine && build/bench-combine
//
// Two versions are compared by running the programs of both in turn: a virtual machine's speed changes from minute to
// minute.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "math/fuse.h"
#include "math/sample.h"

using namespace eft;

namespace {

constexpr size_t MEMBERS = 3;
constexpr size_t REPETITIONS = 61;
/// Tokens of a peaked row that have nearly all of the mass, about.
constexpr size_t LIKELY = 128;
constexpr size_t ROTATED_BYTES = size_t{96} << 20;

/// What distributions look like: most of the mass on a few tokens; or on thousands, as at the beginning of a text.
enum class Shape { peaked, flat };

struct Phase {
    const char * name;
    Fusion fusion;
    SamplingParameters sampling;
};

/// Of processor time, so that other programs count little.
double median_microseconds(const std::function<void(size_t)> & run) {
    std::vector<double> times;
    for (size_t i = 0; i < REPETITIONS; i++) {
        const std::clock_t start = std::clock();
        run(i);
        times.push_back(1e6 * static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC);
    }
    std::nth_element(times.begin(), times.begin() + REPETITIONS / 2, times.end());
    return times[REPETITIONS / 2];
}

using Rows = std::vector<std::vector<float>>;

/// Logits of members that differ a little from each other.
Rows random_rows(std::mt19937 & random, size_t n, Shape shape) {
    std::normal_distribution<float> tail(0, shape == Shape::flat ? 3 : 1.5f), own(0, 0.5f);
    std::exponential_distribution<float> above(0.4f);
    Rows rows(MEMBERS, std::vector<float>(n));
    for (size_t i = 0; i < n; i++) {
        const bool is_likely = shape == Shape::peaked && random() % (n / LIKELY) == 0;
        const float common = is_likely ? 5 + above(random) : tail(random);
        for (auto & row : rows) row[i] = common + own(random);
    }
    return rows;
}

std::vector<Phase> phases() {
    const Fusion plain{{1, 1, -1}, {}, false, 1, false};
    const auto with = [](double temperature, int32_t top_k, double top_p, double min_p) {
        SamplingParameters sampling;
        sampling.temperature = temperature;
        sampling.top_k = top_k;
        sampling.top_p = top_p;
        sampling.min_p = min_p;
        return sampling;
    };
    return {
        {"temperature 0", plain, with(0, 0, 1, 0)},
        {"temperature 1", plain, with(1, 0, 1, 0)},
        {"top-k 40", plain, with(1, 40, 1, 0)},
        {"top-p 0.95", plain, with(1, 0, 0.95, 0)},
        {"min-p 0.05", plain, with(1, 0, 1, 0.05)},
        {"top-k 40, top-p 0.95", plain, with(1, 40, 0.95, 0)},
        {"control tokens apart", {{1, 1, -1}, {0, 1, 0}, true, 1, true}, with(1, 0, 1, 0)},
        {"conservative 0.95", {{1, 1, -1}, {0, 1, 0}, true, 0.95, true}, with(1, 0, 1, 0)},
    };
}

void bench(size_t n, Shape shape, std::string & json) {
    std::mt19937 random(1);
    std::vector<Rows> sets;
    for (size_t bytes = 0; bytes < ROTATED_BYTES; bytes += MEMBERS * n * sizeof(float)) {
        sets.push_back(random_rows(random, n, shape));
    }
    std::vector<std::vector<MemberRow>> views(sets.size());
    for (size_t s = 0; s < sets.size(); s++) {
        for (const auto & row : sets[s]) views[s].push_back({row.data(), n});
    }
    // As many control tokens as Llama 3 has, at the end of the vocabulary.
    TokenGroups groups;
    for (size_t token = n - 256; token < n; token++) groups.control_and_added.push_back(static_cast<int32_t>(token));

    float found = 0;  // so that nothing is optimised away
    const double read = median_microseconds([&](size_t i) {
        for (const auto & row : sets[i % sets.size()]) found += max_of(row.data(), n);
    });
    constexpr size_t BLOCK = 1024;
    std::vector<float> block(BLOCK);
    const double exponential = median_microseconds([&](size_t i) {
        for (size_t begin = 0; begin + BLOCK <= n; begin += BLOCK) {
            found += static_cast<float>(exponentials(sets[i % 2][0].data(), BLOCK, 30, 1, block.data()));
        }
    });
    const char * shape_name = shape == Shape::peaked ? "peaked" : "flat";
    std::printf("\n%zu tokens, %zu members, %s rows; bound: rows are read in %.0f us, exponentials take %.0f us%s\n", n,
                MEMBERS, shape_name, read, exponential, std::isnan(found) ? "!" : "");
    std::printf("%-22s %10s %10s %10s\n", "us", "fuse", "draw", "together");
    FuseScratch fuse_scratch;
    DrawScratch draw_scratch;
    for (const Phase & phase : phases()) {
        const auto fuse = [&](size_t i) {
            return fuse_rows(views[i % sets.size()].data(), phase.fusion, MEMBERS, n, groups, fuse_scratch);
        };
        const double fused = median_microseconds(fuse);
        const double together = median_microseconds([&](size_t i) {
            DrawRequest request;
            request.sampling = phase.sampling;
            request.position = i;
            draw_token(fuse(i).target, n, request, draw_scratch);
        });
        std::printf("%-22s %10.0f %10.0f %10.0f\n", phase.name, fused, together - fused, together);
        char line[240];
        std::snprintf(
            line, sizeof line,
            "%s\n  {\"tokens\": %zu, \"rows\": \"%s\", \"phase\": \"%s\", \"fuseUs\": %.1f, \"togetherUs\": %.1f, "
            "\"boundUs\": %.1f}",
            json.empty() ? "" : ",", n, shape_name, phase.name, fused, together, read + exponential);
        json += line;
    }
}

}  // namespace

int main() {
    std::string json;
    for (const size_t n : {32000, 128256, 151936, 262144}) {
        for (const Shape shape : {Shape::peaked, Shape::flat}) bench(n, shape, json);
    }
    std::printf("\n[%s\n]\n", json.c_str());
}
