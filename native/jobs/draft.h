// The draft job: the members that a drafter reads decode token after token, for all entries side by side.
#pragma once

#include <memory>
#include <vector>

#include "jobs/job-state.h"
#include "llama/grammar.h"

namespace eft {

/// What one sequence drafts; see NativePlan in src/native/binding.ts.
struct DraftEntry {
    std::shared_ptr<const Target> target;
    uint32_t sequence = 0;
    std::vector<uint32_t> keep;                // one per member
    std::vector<std::vector<int32_t>> tokens;  // one per member; only those that the drafter reads have some
    Fusion drafter;
    DrawRequest draw;                  // of the first draft
    std::shared_ptr<Grammar> grammar;  // after the text before the first draft; null: none. Only read
    Coupling coupling = Coupling::gumbel;
    uint32_t history_limit = 0;
    uint32_t length = 1;        // most tokens to draft
    double min_confidence = 0;  // stop before a position where the drafter is less sure
    double selective = 0;       // as in Speculation: stop before a position where the target is asked
};

/// What an entry has drafted.
struct Drafted {
    std::vector<int32_t> tokens;
    std::vector<float> confidences;  // of all rows that were evaluated and kept
    int32_t declined = -1;           // the token that was not sure enough, or -1
};

struct DraftResult {
    std::vector<Drafted> entries;
    std::vector<DecodeCost> decodes;
    double fuse_ms = 0;
};

/// Throws Failure; then every sequence of the entries holds what its `keep` says.
DraftResult run_draft(JobState & state, const std::vector<DraftEntry> & entries);

}  // namespace eft
