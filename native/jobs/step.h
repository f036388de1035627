// The fused step: all members decode (evaluate), their rows become target rows, tokens are drawn or looked up (decide).
// Only token ids and small numbers leave native memory.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "jobs/job-state.h"
#include "llama/grammar.h"

namespace eft {

/// Log-probabilities of given tokens at the last `rows` rows of an entry.
struct Queries {
    uint32_t rows = 0;
    std::vector<int32_t> row, token;
    uint32_t top = 0;     // how many of the most probable tokens of the target to report at each query
    bool scores = false;  // report the whole target at each query
};

/// Drafts to verify; see NativeSpeculation in src/native/binding.ts.
struct Speculation {
    std::vector<int32_t> drafts;  // which every member has behind its tokens, or has kept the rows of
    bool are_forced = false;      // by the grammar, and not drawn from a distribution
    uint32_t kept_rows = 0;       // as many as the confidences of Drafted
    Coupling coupling = Coupling::gumbel;
    uint32_t history_limit = 0;
    std::optional<Fusion> drafter;
    std::optional<SamplingParameters> drafter_sampling;  // empty: as the target
    /// Selective fusion: where the drafter's distribution has less entropy than this, in nats, its draw is the token.
    /// 0: nowhere.
    double selective = 0;
    bool compare = false;
};

/// What one sequence does in a step.
struct StepEntry {
    std::shared_ptr<const Target> target;
    uint32_t sequence = 0;
    std::optional<uint32_t> copy_from;
    std::vector<uint32_t> keep;                // one per member
    std::vector<uint32_t> bookmarks;           // members whose caches have one where the job ends
    std::vector<std::vector<int32_t>> tokens;  // one per member
    // One per member, of the last rows() of its tokens where it does not evaluate them itself; empty: of no member.
    std::vector<std::vector<ExternalRow>> external_rows;
    Fusion fusion;
    std::optional<DrawRequest> draw;
    std::shared_ptr<Grammar> grammar;  // after the text before the first draw; null: none. Only read
    Speculation speculation;
    std::optional<Queries> queries;

    uint32_t rows() const { return draw ? last_row() + 1 - taken() : queries ? queries->rows : 0; }
    /// How many of the first drafts are tokens already: the drafter was sure of them, and nobody asks for other rows
    /// there.
    uint32_t taken() const {
        const bool are_drawn = speculation.selective > 0 && speculation.kept_rows > 0;
        return are_drawn && !speculation.compare && !draw->members ? last_row() : 0;
    }
    /// The one after the last draft.
    uint32_t last_row() const { return static_cast<uint32_t>(speculation.drafts.size()); }
};

/// Target and drafter at one position.
struct Comparison {
    int32_t token = -1;  // what the drafter draws with the noise of the target
    double confidence = 0;
    double total_variation = 0;
    std::vector<double> member_logprobs;  // of that token
};

struct DrawResult {
    int32_t token = -1;
    float logprob = 0;
    std::vector<double> member_logprobs;
    std::vector<TokenLogprob> top;
    std::vector<float> top_member_logprobs;  // top x members
    std::vector<float> scores;
    std::optional<Comparison> drafter;
    bool is_unasked = false;  // drawn by the drafter alone: then all that is said of the token is its view
};

struct QueryResult {
    std::vector<double> logprobs;
    std::vector<double> member_logprobs;  // queries x members
    std::vector<uint8_t> is_argmax;
    std::vector<TokenLogprob> top;  // queries x top, descending; token -1 where fewer are possible
    std::vector<float> scores;      // queries x vocabulary
};

struct EntryResult {
    std::vector<DrawResult> draws;
    std::optional<QueryResult> queries;
    std::vector<Uncovered> uncovered;  // draws and queries end before the row of which too little is known
};

struct StepResult {
    std::vector<EntryResult> entries;
    std::vector<DecodeCost> decodes;
    double fuse_ms = 0;
};

/// Caches hold rejected drafts afterwards. Throws Failure; then every sequence of the entries holds what its `keep`
/// says.
StepResult run_step(JobState & state, const std::vector<StepEntry> & entries);

}  // namespace eft
