// The job of an engine: sequences draft, all members take one step, and what is drawn is left where the next job can go
// on from it, before anyone else has seen it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "jobs/draft.h"
#include "jobs/step.h"

namespace eft {

/// What one sequence does in a job; see NativeStepEntry in src/native/binding.ts.
struct AdvanceEntry {
    /// `tokens` are those of the text: drafts come behind them by themselves.
    StepEntry step;
    uint32_t length = 0;        // most tokens that the drafter of `step` drafts; 0: none
    double min_confidence = 0;  // as in DraftEntry
    /// Most tokens of text that its grammar forces. Where there are some they are verified instead of other drafts.
    uint32_t forced = 0;
    uint32_t least_forced = 0;  // fewer of them are not verified
    /// Under which number later jobs can go on from here, without being told anything again.
    std::optional<uint32_t> begins;
    /// The number from which it goes on. Then only target, sequence and `speculation.compare` of `step` count.
    std::optional<uint32_t> follows;
};

/// What became of an entry.
struct AdvanceOutcome {
    EntryResult step;
    std::optional<Drafted> drafted;
    /// Tokens of text that the grammar forces; where they were verified, there were no other drafts.
    std::vector<int32_t> forced;
    bool has_verified_forced = false;
    /// There is nothing to follow: the text has ended, the job before has failed, or a member has to read the last
    /// token otherwise. Nothing has happened.
    bool is_void = false;
};

struct AdvanceResult {
    std::vector<AdvanceOutcome> entries;
    /// Entry after entry: what each member holds afterwards, which is nothing but the text. 0 for a void entry.
    std::vector<int32_t> lengths;
    std::vector<DecodeCost> draft_decodes, decodes;
    double draft_fuse_ms = 0, fuse_ms = 0;
    double draft_ms = 0;  // all of drafting
};

/// Throws Failure; then every sequence of the entries holds what its `keep` says, or what it held if it follows.
AdvanceResult run_advance(JobState & state, std::vector<AdvanceEntry> entries);

}  // namespace eft
