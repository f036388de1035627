#include "jobs/advance.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "failure.h"

namespace eft {

/// Where a sequence is after a job, and how it goes on.
struct Continuation {
    uint32_t id;
    StepEntry entry;  // `draw`: of the next token; `tokens`: what a member's cache lacks of the text
    /// One per member: whether what its cache lacks is known. It is not where a member has not been read for long.
    std::vector<uint8_t> is_known;
};

namespace {

/// A member that lacks more than this is told what it lacks when it is read again.
constexpr size_t kMostLacking = 64;

/// An entry in the course of a job.
struct Advance {
    size_t place;  // among the entries of the job
    bool is_follower;
    std::optional<uint32_t> id;
    uint32_t length;
    double min_confidence;
    uint32_t forced, least_forced;
    std::vector<uint32_t> keep;                // as at the beginning
    std::vector<std::vector<int32_t>> tokens;  // of the text, that are evaluated; none for a member that is not read
    /// What members lack that are not read, where that is known.
    std::vector<std::optional<std::vector<int32_t>>> lacking;
};

bool reads(const StepEntry & entry, uint32_t length, size_t m) {
    const Speculation & speculation = entry.speculation;
    const bool reads_drafter = length > 0 || speculation.selective > 0;
    const bool drafts = reads_drafter && speculation.drafter && is_read(*speculation.drafter, m);
    return drafts || is_read(entry.fusion, m) || (entry.draw && entry.draw->members);
}

/// Turns the entry into what its predecessor has left. False: there is none, or it does not know enough.
bool follow(const JobState & state, AdvanceEntry & entry, const std::shared_ptr<Continuation> & before,
            Advance & advance) {
    if (!before || before->id != *entry.follows || before->entry.target != entry.step.target) return false;
    const Target & target = *before->entry.target;
    for (size_t m = 0; m < target.size(); ++m) {
        if (!state.find_member(target, m)) return false;
        if (reads(before->entry, entry.length, m) && before->is_known[m] == 0) return false;
    }
    const bool compare = entry.step.speculation.compare;
    entry.step = std::move(before->entry);
    entry.step.speculation.compare = compare;
    entry.step.keep.assign(target.size(), 0);
    for (size_t m = 0; m < target.size(); ++m) {
        entry.step.keep[m] = state.member(target, m).length(entry.step.sequence);
        if (reads(entry.step, entry.length, m)) continue;
        if (before->is_known[m] != 0) advance.lacking[m] = std::move(entry.step.tokens[m]);
        entry.step.tokens[m].clear();
    }
    return true;
}

DraftEntry to_draft_entry(const StepEntry & step, const Advance & advance) {
    DraftEntry draft;
    draft.target = step.target;
    draft.sequence = step.sequence;
    draft.keep = step.keep;
    draft.drafter = *step.speculation.drafter;
    draft.tokens.resize(step.tokens.size());
    for (size_t m = 0; m < draft.tokens.size(); ++m) {
        if (is_read(draft.drafter, m)) draft.tokens[m] = step.tokens[m];
    }
    draft.draw = *step.draw;
    if (step.speculation.drafter_sampling) draft.draw.sampling = *step.speculation.drafter_sampling;
    draft.grammar = step.grammar;
    draft.coupling = step.speculation.coupling;
    draft.history_limit = step.speculation.history_limit;
    draft.length = advance.length;
    draft.min_confidence = advance.min_confidence;
    draft.selective = step.speculation.selective;
    return draft;
}

/// What a grammar leaves no choice about need not be drafted by anybody.
void draft_forced(JobState & state, const std::vector<Advance> & advances, std::vector<StepEntry> & steps,
                  AdvanceResult & result) {
    for (size_t i = 0; i < steps.size(); ++i) {
        StepEntry & step = steps[i];
        // Rows that somebody has handed over are as many as he has counted.
        if (advances[i].forced == 0 || !step.draw || !step.grammar || !step.external_rows.empty()) continue;
        std::vector<int32_t> drafts = step.grammar->forced(advances[i].forced, state.cancelled);
        const auto & is_common = step.target->is_common;
        drafts.erase(std::find_if(drafts.begin(), drafts.end(),
                                  [&](int32_t token) { return is_common[static_cast<size_t>(token)] == 0; }),
                     drafts.end());
        AdvanceOutcome & outcome = result.entries[advances[i].place];
        outcome.has_verified_forced = !drafts.empty() && drafts.size() >= advances[i].least_forced;
        if (outcome.has_verified_forced) {
            step.speculation.drafts = drafts;
            step.speculation.are_forced = true;
        }
        outcome.forced = std::move(drafts);
    }
}

/// Entries that draft do so side by side, and become entries that verify.
void draft_first(JobState & state, const std::vector<Advance> & advances, std::vector<StepEntry> & steps,
                 AdvanceResult & result) {
    const auto start = Clock::now();
    std::vector<DraftEntry> drafts;
    std::vector<size_t> drafting;
    for (size_t i = 0; i < steps.size(); ++i) {
        if (advances[i].length == 0 || !steps[i].draw || !steps[i].speculation.drafter) continue;
        if (steps[i].speculation.are_forced) continue;
        drafts.push_back(to_draft_entry(steps[i], advances[i]));
        drafting.push_back(i);
    }
    if (drafting.empty()) return;
    DraftResult drafted = run_draft(state, drafts);
    for (size_t k = 0; k < drafting.size(); ++k) {
        StepEntry & step = steps[drafting[k]];
        step.speculation.kept_rows = state.kept[step.sequence].rows;
        step.speculation.drafts = drafted.entries[k].tokens;
        for (size_t m = 0; m < step.tokens.size(); ++m) {
            if (!is_read(*step.speculation.drafter, m)) continue;
            step.keep[m] = state.member(*step.target, m).length(step.sequence);
            step.tokens[m].clear();
        }
        result.entries[advances[drafting[k]].place].drafted = std::move(drafted.entries[k]);
    }
    result.draft_decodes = std::move(drafted.decodes);
    result.draft_fuse_ms = drafted.fuse_ms;
    result.draft_ms = milliseconds_since(start);
}

/// Members that cannot go back step by step can afterwards go back to here, since drafts may be rejected.
void mark_before_drafts(JobState & state, const Advance & advance, const StepEntry & step) {
    if (advance.length == 0 && advance.forced == 0 && step.speculation.drafts.empty()) return;
    for (size_t m = 0; m < step.tokens.size(); ++m) {
        if (step.tokens[m].empty()) continue;
        Member & member = state.member(*step.target, m);
        member.rewind(step.sequence, step.keep[m]);
        member.mark(step.sequence);
    }
}

void release_marks(JobState & state, const StepEntry & step) {
    for (size_t m = 0; m < step.target->size(); ++m) state.member(*step.target, m).release(step.sequence);
}

/// Cuts off what was rejected: who follows begins where the text ends, and so does anybody else.
void forget_rejected(JobState & state, const Advance & advance, const StepEntry & step, const EntryResult & result) {
    if (step.speculation.drafts.empty()) return;
    for (size_t m = 0; m < advance.tokens.size(); ++m) {
        if (advance.tokens[m].empty()) continue;
        Member & member = state.member(*step.target, m);
        const auto end = advance.keep[m] +
                         static_cast<uint32_t>(advance.tokens[m].size() + std::max<size_t>(result.draws.size(), 1)) - 1;
        if (member.length(step.sequence) > end) member.rewind(step.sequence, end);
    }
}

/// How the sequence goes on; null where it does not by itself.
std::shared_ptr<Continuation> leave(const JobState & state, Advance & advance, StepEntry & step,
                                    const EntryResult & result) {
    const Target & target = *step.target;
    // Rows that somebody has handed over are those of one step.
    if (!advance.id || !step.draw || !step.external_rows.empty() || result.draws.empty()) return nullptr;
    std::vector<int32_t> drawn;
    for (const auto & draw : result.draws) drawn.push_back(draw.token);
    if (target.end_of_generation[static_cast<size_t>(drawn.back())] != 0) return nullptr;
    for (const int32_t token : drawn) {
        if (target.is_common[static_cast<size_t>(token)] == 0) return nullptr;
    }
    std::vector<uint8_t> is_known(target.size(), 0);
    for (size_t m = 0; m < target.size(); ++m) {
        auto & tokens = step.tokens[m];
        size_t evaluated = 0;
        if (!advance.tokens[m].empty()) {
            tokens = std::move(advance.tokens[m]);
            evaluated = state.member(target, m).length(step.sequence) - advance.keep[m];
        } else if (advance.lacking[m]) {
            tokens = std::move(*advance.lacking[m]);
        } else {
            continue;
        }
        tokens.insert(tokens.end(), drawn.begin(), drawn.end());
        tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(evaluated));
        is_known[m] = tokens.size() <= kMostLacking ? 1 : 0;
    }
    for (const int32_t token : drawn) advance_request(*step.draw, token, step.speculation.history_limit);
    if (step.grammar) {
        // The grammar that somebody has handed over is moved when he has seen the tokens.
        if (!advance.is_follower) step.grammar = std::make_shared<Grammar>(*step.grammar);
        for (const int32_t token : drawn) step.grammar->accept(token);
    }
    step.copy_from.reset();
    step.bookmarks.clear();
    step.speculation.drafts.clear();
    step.speculation.are_forced = false;
    step.speculation.kept_rows = 0;
    return std::make_shared<Continuation>(Continuation{*advance.id, std::move(step), std::move(is_known)});
}

}  // namespace

AdvanceResult run_advance(JobState & state, std::vector<AdvanceEntry> entries) {
    AdvanceResult result;
    result.entries.resize(entries.size());
    std::vector<Advance> advances;
    std::vector<StepEntry> steps;
    std::vector<std::shared_ptr<const Target>> targets;
    std::vector<uint32_t> sequences;
    for (size_t i = 0; i < entries.size(); ++i) {
        AdvanceEntry & entry = entries[i];
        targets.push_back(entry.step.target);
        sequences.push_back(entry.step.sequence);
        const size_t members = entry.step.target->size();
        Advance advance{i,
                        entry.follows.has_value(),
                        entry.begins,
                        entry.length,
                        entry.min_confidence,
                        entry.forced,
                        entry.least_forced,
                        {},
                        {},
                        {}};
        advance.lacking.resize(members);
        // Whatever happens now, nobody goes on from there any more.
        const auto before = std::move(state.continuations[entry.step.sequence]);
        if (entry.follows) {
            advance.id = entry.follows;
            result.entries[i].is_void = !follow(state, entry, before, advance);
            if (result.entries[i].is_void) continue;
        }
        advance.keep = entry.step.keep;
        advance.tokens = entry.step.tokens;
        advances.push_back(std::move(advance));
        steps.push_back(std::move(entry.step));
    }
    try {
        for (size_t i = 0; i < steps.size(); ++i) mark_before_drafts(state, advances[i], steps[i]);
        draft_forced(state, advances, steps, result);
        draft_first(state, advances, steps, result);
        for (StepEntry & step : steps) {
            for (auto & tokens : step.tokens) {
                const auto & drafts = step.speculation.drafts;
                if (!tokens.empty()) tokens.insert(tokens.end(), drafts.begin(), drafts.end());
            }
        }
        StepResult step = run_step(state, steps);
        for (size_t i = 0; i < steps.size(); ++i) {
            forget_rejected(state, advances[i], steps[i], step.entries[i]);
            release_marks(state, steps[i]);
            for (const uint32_t m : steps[i].bookmarks) state.member(*steps[i].target, m).bookmark(steps[i].sequence);
        }
        for (size_t i = 0; i < steps.size(); ++i) {
            state.continuations[steps[i].sequence] = leave(state, advances[i], steps[i], step.entries[i]);
            result.entries[advances[i].place].step = std::move(step.entries[i]);
        }
        result.decodes = std::move(step.decodes);
        result.fuse_ms = step.fuse_ms;
    } catch (const Failure &) {
        // Other exceptions are internal failures of llama.cpp, after which nothing may be touched any more.
        for (size_t i = 0; i < steps.size(); ++i) {
            state.kept[steps[i].sequence].clear();
            restore_sequence(state, *steps[i].target, steps[i].sequence, advances[i].keep);
        }
        throw;
    }
    for (size_t i = 0; i < entries.size(); ++i) {
        if (result.entries[i].is_void) {
            result.lengths.insert(result.lengths.end(), targets[i]->size(), 0);
        } else {
            append_lengths(state, *targets[i], sequences[i], result.lengths);
        }
    }
    return result;
}

}  // namespace eft
