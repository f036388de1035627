// The fused job: all members decode, their rows become target rows, tokens are drawn or looked up. Only token ids and
// small numbers leave native memory.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "combine.h"
#include "context.h"
#include "sample.h"

namespace eft {

/// Log-probabilities of given tokens at the last `rows` rows of an entry.
struct Queries {
    uint32_t rows = 0;
    std::vector<int32_t> row, token;
};

/// What one sequence does in a step; see NativeStepEntry in src/native/binding.ts.
struct StepEntry {
    uint32_t sequence = 0;
    std::optional<uint32_t> copy_from;
    std::vector<uint32_t> keep;                // one per member
    std::vector<std::vector<int32_t>> tokens;  // one per member
    Fusion fusion;
    std::optional<DrawRequest> draw;
    std::optional<Queries> queries;

    uint32_t rows() const { return draw ? 1 : queries ? queries->rows : 0; }
};

struct DrawResult {
    int32_t token = -1;
    float logprob = 0;
    std::vector<double> member_logprobs;
    std::vector<TokenLogprob> top;
    std::vector<float> top_member_logprobs;  // top x members
    std::vector<float> scores;
};

struct QueryResult {
    std::vector<double> logprobs;
    std::vector<double> member_logprobs;  // queries x members
    std::vector<uint8_t> is_argmax;
};

struct EntryResult {
    std::optional<DrawResult> draw;
    std::optional<QueryResult> queries;
};

struct StepResult {
    std::vector<EntryResult> entries;
    std::vector<double> decode_ms;  // one per member
    double fuse_ms = 0;
};

/// What the members of an engine agree on, and the buffers of its one worker thread.
struct StepContext {
    std::vector<std::unique_ptr<Context>> members;
    uint32_t vocabulary_size = 0;
    std::vector<uint8_t> control_tokens;
    FuseScratch fuse;
    DrawScratch draw;
};

/// Throws Failure; then every sequence of the entries holds what its `keep` says.
StepResult run_step(StepContext & context, const std::vector<StepEntry> & entries);

}  // namespace eft
