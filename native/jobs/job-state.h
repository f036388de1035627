// What the jobs of an engine share: the contexts, the targets that are made of them, the buffers of the one worker
// thread, and the ways from batches to rows to a fused row.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

#include "failure.h"
#include "llama/member.h"
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
    uint32_t context;
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

/// What a recipe is to the jobs: which contexts are its members, and the tokens that they have in common. Not changed
/// while jobs of it exist; see `NativeTargetOptions` of src/native/binding.ts.
struct Target {
    std::vector<uint32_t> contexts;  // one per member, each at most once
    TokenGroups groups;
    std::vector<uint8_t> is_common;             // one per token: whether all members have it
    std::vector<uint8_t> end_of_generation;     // one per token
    std::vector<std::vector<int32_t>> lacking;  // one per member: ids that are no tokens of it, although it may have
                                                // rows for them
    size_t size() const { return contexts.size(); }
    uint32_t vocabulary_size() const { return static_cast<uint32_t>(end_of_generation.size()); }
};

/// `kinds`: one for each token of the target. Throws Failure OPTION_INVALID where the parts do not fit each other.
std::shared_ptr<const Target> make_target(std::vector<uint32_t> contexts, const std::vector<uint8_t> & kinds,
                                          std::vector<uint8_t> end_of_generation,
                                          std::vector<std::vector<int32_t>> lacking);

struct Continuation;

struct JobState {
    std::vector<std::unique_ptr<Member>> contexts;  // by their ids; null for one that has been removed
    std::vector<KeptRows> kept;                     // one per sequence
    /// Per sequence: where its last job has left it, for one that follows.
    std::vector<std::shared_ptr<Continuation>> continuations;
    Cancelled cancelled = nullptr;
    FuseScratch fuse, drafter_fuse;
    SpeculationScratch draw;

    /// Null for a context that has been removed.
    Member * find_member(const Target & target, size_t m) const;
    /// Throws Failure DISPOSED for a context that has been removed.
    Member & member(const Target & target, size_t m) const;
};

/// Forgets the batches of all contexts.
void clear_batches(JobState & state);

/// Decodes the batches of all contexts that have one, and adds what it cost to `costs`.
void decode_batches(JobState & state, std::vector<DecodeCost> & costs);

/// The row of a member at an index of its batch, without the tokens that it lacks.
MemberRow read_row(const JobState & state, const Target & target, size_t m, int32_t index);

/// Too little is known of a row that is not whole.
struct RowUncovered : Failure {
    std::vector<Uncovered> members;
    explicit RowUncovered(std::vector<Uncovered> members_);
};

/// Fuses one position; `rows` has a row for each member that `fusion` reads. Throws Failure NON_FINITE_LOGITS,
/// NO_TOKEN_LEFT or DECODE_FAILED, and RowUncovered. The result lies in `scratch`.
FuseResult fuse_position(const JobState & state, const Target & target, const std::vector<MemberRow> & rows,
                         const Fusion & fusion, FuseScratch & scratch);

/// Turns the request of one draw into that of the next position, which follows `token`.
void advance_request(DrawRequest & request, int32_t token, uint32_t history_limit);

/// After a failure: cuts a sequence down to `keep`, one number per member. Members that cannot go back hold nothing.
void restore_sequence(JobState & state, const Target & target, uint32_t sequence, const std::vector<uint32_t> & keep);

/// Appends how many tokens of a sequence each member of a target holds.
void append_lengths(const JobState & state, const Target & target, uint32_t sequence, std::vector<int32_t> & lengths);

}  // namespace eft
