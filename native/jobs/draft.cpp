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
    std::vector<int32_t> drafts;
    std::vector<float> confidences;
    int32_t declined = -1;
    bool done = false;
};

void start(JobContext & context, Drafting & drafting) {
    const DraftEntry & entry = drafting.entry;
    for (size_t m = 0; m < context.members.size(); ++m) {
        if (entry.tokens[m].empty()) continue;
        context.members[m]->rewind(entry.sequence, entry.keep[m]);
        drafting.batch_rows[m] = context.members[m]->enqueue(entry.sequence, entry.tokens[m], 1);
    }
}

void go_on(JobContext & context, Drafting & drafting) {
    for (size_t m = 0; m < context.members.size(); ++m) {
        if (drafting.batch_rows[m] < 0) continue;
        drafting.batch_rows[m] = context.members[m]->enqueue(drafting.entry.sequence, {drafting.drafts.back()}, 1);
    }
}

/// Keeps the rows, and draws a draft from them unless the drafter is unsure.
void draw(JobContext & context, Drafting & drafting) {
    const DraftEntry & entry = drafting.entry;
    const size_t n = context.vocabulary_size;
    KeptRows & kept = context.kept[entry.sequence];
    std::vector<MemberRow> rows(context.members.size());
    for (size_t m = 0; m < rows.size(); ++m) {
        if (drafting.batch_rows[m] < 0) continue;
        rows[m] = context.members[m]->row(drafting.batch_rows[m]);
        kept.members[m].insert(kept.members[m].end(), rows[m].data, rows[m].data + rows[m].size);
    }
    kept.rows++;

    const FuseResult fused = fuse_position(context, rows, entry.drafter, context.drafter_fuse);
    drafting.request.constraint = drafting.grammar.get();
    const Draft draft = draw_draft(fused.target, n, drafting.request, entry.coupling, context.draw);
    drafting.confidences.push_back(static_cast<float>(draft.confidence));
    drafting.done = draft.token < 0 || draft.confidence < entry.min_confidence;
    if (drafting.done) {
        drafting.declined = draft.token;
        return;
    }
    drafting.drafts.push_back(draft.token);
    advance_request(drafting.request, draft.token, entry.history_limit);
    drafting.done =
        drafting.drafts.size() == entry.length || context.end_of_generation[static_cast<size_t>(draft.token)] != 0;
    if (!drafting.done) drafting.grammar.accept(draft.token);
}

}  // namespace

DraftResult run_draft(JobContext & context, const std::vector<DraftEntry> & entries) {
    DraftResult result;
    std::vector<Drafting> draftings;
    for (const auto & entry : entries) {
        context.kept[entry.sequence].clear();
        draftings.push_back({entry,
                             entry.draw,
                             GrammarCursor(entry.grammar, context.cancelled),
                             std::vector<int32_t>(context.members.size(), -1),
                             {},
                             {},
                             -1,
                             false});
    }
    try {
        for (const auto & member : context.members) member->clear_batch();
        for (auto & drafting : draftings) start(context, drafting);
        for (bool active = true; active;) {
            decode_batches(context, result.decodes);
            const auto begin = Clock::now();
            for (const auto & member : context.members) member->clear_batch();
            active = false;
            for (auto & drafting : draftings) {
                if (drafting.done) continue;
                draw(context, drafting);
                if (drafting.done) continue;
                go_on(context, drafting);
                active = true;
            }
            result.fuse_ms += milliseconds_since(begin);
        }
    } catch (const Failure & failure) {
        for (const auto & entry : entries) {
            context.kept[entry.sequence].clear();
            // After an internal failure of llama.cpp nothing may be touched any more.
            if (failure.code != "NATIVE_FAILURE") restore_sequence(context, entry.sequence, entry.keep);
        }
        throw;
    }
    for (auto & drafting : draftings) {
        result.drafts.push_back(std::move(drafting.drafts));
        result.confidences.push_back(std::move(drafting.confidences));
        result.declined.push_back(drafting.declined);
    }
    return result;
}

}  // namespace eft
