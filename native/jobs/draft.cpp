#include "jobs/draft.h"

#include <utility>

#include "failure.h"

namespace eft {
namespace {

/// An entry in the course of drafting.
struct Drafting {
    const DraftEntry & entry;
    DrawRequest request;  // of the next draft
    GrammarCursor grammar;
    std::vector<int32_t> batch_rows;  // batch index of each member's row; -1 where it has none
    Drafted drafted;
    bool done = false;
};

void start(JobState & state, Drafting & drafting) {
    const DraftEntry & entry = drafting.entry;
    for (size_t m = 0; m < entry.target->size(); ++m) {
        Member & member = state.member(*entry.target, m);
        if (entry.tokens[m].empty()) continue;
        member.rewind(entry.sequence, entry.keep[m]);
        drafting.batch_rows[m] = member.enqueue(entry.sequence, entry.tokens[m], 1);
    }
}

void go_on(JobState & state, Drafting & drafting) {
    const DraftEntry & entry = drafting.entry;
    for (size_t m = 0; m < entry.target->size(); ++m) {
        if (drafting.batch_rows[m] < 0) continue;
        drafting.batch_rows[m] =
            state.member(*entry.target, m).enqueue(entry.sequence, {drafting.drafted.tokens.back()}, 1);
    }
}

/// Keeps the rows, and draws a draft from them unless the drafter is unsure.
void draw(JobState & state, Drafting & drafting) {
    const DraftEntry & entry = drafting.entry;
    const Target & target = *entry.target;
    const size_t n = target.vocabulary_size();
    KeptRows & kept = state.kept[entry.sequence];
    std::vector<MemberRow> rows(target.size());
    for (size_t m = 0; m < rows.size(); ++m) {
        if (drafting.batch_rows[m] < 0) continue;
        rows[m] = read_row(state, target, m, drafting.batch_rows[m]);
        kept.members[m].insert(kept.members[m].end(), rows[m].data, rows[m].data + rows[m].size);
    }
    kept.rows++;

    const FuseResult fused = fuse_position(state, target, rows, entry.drafter, state.drafter_fuse);
    drafting.request.constraint = drafting.grammar.get();
    const Draft draft = draw_draft(fused.target, n, drafting.request, entry.coupling, state.draw);
    drafting.drafted.confidences.push_back(static_cast<float>(draft.confidence));
    // A drafter that decides alone may draw a token that others lack, and they could not go on with it.
    const bool asks =
        draft.token >= 0 && entry.selective > 0 &&
        (entropy(fused.target, n) >= entry.selective || target.is_common[static_cast<size_t>(draft.token)] == 0);
    drafting.done = draft.token < 0 || asks || draft.confidence < entry.min_confidence;
    if (drafting.done) {
        drafting.drafted.declined = draft.token;
        return;
    }
    drafting.drafted.tokens.push_back(draft.token);
    advance_request(drafting.request, draft.token, entry.history_limit);
    drafting.done = drafting.drafted.tokens.size() == entry.length ||
                    target.end_of_generation[static_cast<size_t>(draft.token)] != 0;
    if (!drafting.done) drafting.grammar.accept(draft.token);
}

}  // namespace

DraftResult run_draft(JobState & state, const std::vector<DraftEntry> & entries) {
    DraftResult result;
    std::vector<Drafting> draftings;
    for (const auto & entry : entries) {
        KeptRows & kept = state.kept[entry.sequence];
        kept.clear();
        kept.members.resize(entry.target->size());
        draftings.push_back({entry,
                             entry.draw,
                             GrammarCursor(entry.grammar, state.cancelled),
                             std::vector<int32_t>(entry.target->size(), -1),
                             {},
                             false});
    }
    try {
        clear_batches(state);
        for (auto & drafting : draftings) start(state, drafting);
        for (bool active = true; active;) {
            decode_batches(state, result.decodes);
            const auto begin = Clock::now();
            clear_batches(state);
            active = false;
            for (auto & drafting : draftings) {
                if (drafting.done) continue;
                draw(state, drafting);
                if (drafting.done) continue;
                go_on(state, drafting);
                active = true;
            }
            result.fuse_ms += milliseconds_since(begin);
        }
    } catch (const Failure &) {
        // Other exceptions are internal failures of llama.cpp, after which nothing may be touched any more.
        for (const auto & entry : entries) {
            state.kept[entry.sequence].clear();
            restore_sequence(state, *entry.target, entry.sequence, entry.keep);
        }
        throw;
    }
    for (auto & drafting : draftings) result.entries.push_back(std::move(drafting.drafted));
    return result;
}

}  // namespace eft
