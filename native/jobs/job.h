// What the jobs of an engine share: the members' contexts, the buffers of the one worker thread, and the ways from
// batches to rows to a fused row.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "llama/context.h"
#include "math/automaton.h"
#include "math/fuse.h"
#include "math/speculate.h"

namespace eft {

using Clock = std::chrono::steady_clock;

inline double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

/// What one llama_decode cost: until it returned, and then waiting for its rows. Members on a GPU overlap, and who is
/// waited for first pays for all of them; only the sum over the members of a job is the time that went by.
struct DecodeCost {
    uint32_t member;
    uint32_t tokens;
    double ms;
};

/// Rows that drafting leaves for the step that verifies the drafts, so that no member evaluates a token twice.
struct KeptRows {
    std::vector<std::vector<float>> members;  // row after row; nothing for a member that the drafter does not read
    uint32_t rows = 0;

    void clear() {
        for (auto & row : members) row.clear();
        rows = 0;
    }
};

struct JobContext {
    std::vector<std::unique_ptr<Context>> members;
    uint32_t vocabulary_size = 0;
    TokenGroups groups;
    std::vector<uint8_t> end_of_generation;
    std::vector<KeptRows> kept;  // one per sequence
    Cancelled cancelled = nullptr;
    FuseScratch fuse, drafter_fuse;
    SpeculationScratch draw;
};

/// The tokens of a target; see `NativeVocabulary` of src/native/binding.ts.
struct Vocabulary {
    std::vector<uint8_t> kinds;
    std::vector<uint8_t> end_of_generation;
    std::vector<std::vector<int32_t>> lacking;  // one per member
};

/// The vocabulary of the target, and place for what drafting keeps. Call once, when all members are there. Throws
/// Failure OPTION_INVALID.
void prepare_jobs(JobContext & context, Vocabulary vocabulary, uint32_t sequences);

/// Decodes the batches of all members that have one, and adds what it cost to `costs`.
void decode_batches(JobContext & context, std::vector<DecodeCost> & costs);

/// Fuses one position; `rows` has a row for each member that `fusion` reads. Throws Failure NON_FINITE_LOGITS,
/// NO_TOKEN_LEFT or DECODE_FAILED. The result lies in `scratch`.
FuseResult fuse_position(const JobContext & context, const std::vector<MemberRow> & rows, const Fusion & fusion,
                         FuseScratch & scratch);

/// Turns the request of one draw into that of the next position, which follows `token`.
void advance_request(DrawRequest & request, int32_t token, uint32_t history_limit);

/// After a failure: cuts a sequence down to `keep`, one number per member.
void restore_sequence(JobContext & context, uint32_t sequence, const std::vector<uint32_t> & keep);

}  // namespace eft
