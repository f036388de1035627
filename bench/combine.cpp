// Microseconds of the native arithmetic, phase by phase, beside the time that its memory traffic alone would take:
// bytes moved / the bandwidth of memcpy on the same rows, measured in the same run. Best of many repetitions each.
// Prints a table, then the same numbers as JSON.
//
//   g++ -std=c++17 -O3 -fopenmp-simd -fno-math-errno -fno-trapping-math -Inative
//       bench/combine.cpp native/math/combine.cpp native/math/fuse.cpp native/math/sample.cpp -o build/bench-combine &&
//       build/bench-combine

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "math/fuse.h"
#include "math/sample.h"

using namespace eft;

namespace {

constexpr size_t MEMBERS = 3;
constexpr int REPETITIONS = 500;

struct Phase {
    std::string name;
    double bytes_per_token;  // that have to move at least: each buffer read or written once where it must be
    std::function<void()> run;
};

double microseconds(const std::function<void()> & run) {
    using Clock = std::chrono::steady_clock;
    double best = 1e9;
    for (int i = 0; i < REPETITIONS; i++) {
        const auto start = Clock::now();
        run();
        best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
    }
    return best;
}

/// Logits whose softmax is about as flat as that of a language model in the middle of a sentence.
std::vector<float> random_row(std::mt19937 & random, size_t n) {
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> row(n);
    for (float & logit : row) logit = normal(random);
    return row;
}

void bench(size_t n, std::string & json) {
    std::mt19937 random(1);
    std::vector<std::vector<float>> rows;
    for (size_t m = 0; m < MEMBERS; m++) rows.push_back(random_row(random, n));
    std::vector<MemberRow> pointers;
    for (const auto & row : rows) pointers.push_back({row.data(), n});
    // As many control tokens as Llama 3 has, at the end of the vocabulary.
    TokenGroups groups;
    for (size_t token = n - 256; token < n; token++) groups.control_and_added.push_back(static_cast<int32_t>(token));
    const Fusion fusion{{1, 1, -1}, {}, false, 1, false};
    const Fusion conservative{{1, 1, -1}, {0, 1, 0}, true, 0.95, false};
    const Fusion control{{1, 1, -1}, {0, 1, 0}, true, 1, true};
    FuseScratch scratch, conservative_scratch;
    DrawScratch draw_scratch;
    const FuseResult fused = fuse_rows(pointers.data(), fusion, MEMBERS, n, groups, scratch);
    std::vector<float> target(fused.target, fused.target + n), copy(n * MEMBERS);
    std::vector<TokenLogprob> top;
    uint64_t position = 0;

    const auto copy_rows = [&] {
        for (size_t m = 0; m < MEMBERS; m++) std::memcpy(copy.data() + m * n, rows[m].data(), n * sizeof(float));
    };
    const double bytes_per_microsecond =
        2.0 * sizeof(float) * MEMBERS * static_cast<double>(n) / microseconds(copy_rows);

    const auto draw = [&](double top_p, int32_t top_k) {
        return [&, top_p, top_k] {
            DrawRequest request;
            request.sampling.top_p = top_p;
            request.sampling.top_k = top_k;
            request.position = position++;
            draw_token(target.data(), n, request, draw_scratch);
        };
    };
    const std::vector<Phase> phases = {
        {"summarize, 3 rows", 4 * MEMBERS,
         [&] {
             for (const auto & row : rows) summarize_row(row.data(), n);
         }},
        {"combine", 4 * MEMBERS + 4,
         [&] {
             combine_rows(pointers.data(), fused.log_normalizers, fusion.weights.data(), MEMBERS, n, {}, target.data());
         }},
        {"normalize", 12, [&] { normalize_row(target.data(), n); }},
        {"fuse (all three)", 4 * (2 * MEMBERS + 6),
         [&] { fuse_rows(pointers.data(), fusion, MEMBERS, n, groups, scratch); }},
        {"fuse, conservative 0.95", 4 * (MEMBERS + 11),
         [&] { fuse_rows(pointers.data(), conservative, MEMBERS, n, groups, conservative_scratch); }},
        {"fuse, control tokens apart", 4 * (2 * MEMBERS + 4 + 3),
         [&] { fuse_rows(pointers.data(), control, MEMBERS, n, groups, conservative_scratch); }},
        {"draw", 20, draw(1, 0)},
        {"draw, top-p 0.95", 20, draw(0.95, 0)},
        {"draw, top-k 40, top-p 0.95", 20, draw(0.95, 40)},
        {"top 10 log-probabilities", 4, [&] { top_logprobs(target.data(), n, 10, top); }},
    };
    std::printf("\n%zu tokens, %zu members; memcpy moves %.1f GB/s\n", n, MEMBERS, bytes_per_microsecond / 1000);
    std::printf("%-28s %10s %12s\n", "", "us", "memory, us");
    for (const Phase & phase : phases) {
        const double us = microseconds(phase.run);
        const double bound = phase.bytes_per_token * static_cast<double>(n) / bytes_per_microsecond;
        std::printf("%-28s %10.1f %12.1f\n", phase.name.c_str(), us, bound);
        char line[200];
        std::snprintf(line, sizeof line, "%s\n  {\"tokens\": %zu, \"phase\": \"%s\", \"us\": %.2f, \"memoryUs\": %.2f}",
                      json.empty() ? "" : ",", n, phase.name.c_str(), us, bound);
        json += line;
    }
}

}  // namespace

int main() {
    std::string json;
    for (const size_t n : {32000, 128000, 262144}) bench(n, json);
    std::printf("\n[%s\n]\n", json.c_str());
}
