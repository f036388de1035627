#include "jobs/job.h"

#include <string>
#include <utility>

#include "failure.h"

namespace eft {

void prepare_jobs(JobContext & context, Vocabulary vocabulary, uint32_t sequences) {
    const size_t size = vocabulary.kinds.size();
    if (vocabulary.end_of_generation.size() != size || vocabulary.lacking.size() != context.members.size()) {
        throw Failure("OPTION_INVALID", "The vocabulary does not fit the members.");
    }
    context.vocabulary_size = static_cast<uint32_t>(size);
    context.groups = group_tokens(vocabulary.kinds.data(), size);
    context.end_of_generation = std::move(vocabulary.end_of_generation);
    for (size_t m = 0; m < context.members.size(); ++m) {
        context.members[m]->set_vocabulary(context.vocabulary_size, vocabulary.lacking[m]);
    }
    KeptRows none;
    none.members.resize(context.members.size());
    context.kept.assign(sequences, none);
}

void decode_batches(JobContext & context, std::vector<DecodeCost> & costs) {
    const size_t first = costs.size();
    for (size_t m = 0; m < context.members.size(); ++m) {
        if (context.members[m]->batch_tokens() > 0) {
            costs.push_back({static_cast<uint32_t>(m), context.members[m]->batch_tokens(), 0});
        }
    }
    const auto timed = [&](bool on_gpu, void (Context::*work)()) {
        for (size_t i = first; i < costs.size(); ++i) {
            Context & member = *context.members[costs[i].member];
            if (member.on_gpu() != on_gpu) continue;
            const auto start = Clock::now();
            (member.*work)();
            costs[i].ms += milliseconds_since(start);
        }
    };
    // Members on a GPU return before they are done, so they work while those on the CPU have their turn.
    timed(true, &Context::decode);
    timed(false, &Context::decode);
    timed(false, &Context::synchronize);
    timed(true, &Context::synchronize);
}

FuseResult fuse_position(const JobContext & context, const std::vector<MemberRow> & rows, const Fusion & fusion,
                         FuseScratch & scratch) {
    for (size_t m = 0; m < rows.size(); ++m) {
        if (is_read(fusion, m) && !rows[m].data) {
            throw Failure("DECODE_FAILED", "A job fuses a member that was given no tokens.");
        }
    }
    const FuseResult result =
        fuse_rows(rows.data(), fusion, rows.size(), context.vocabulary_size, context.groups, scratch);
    if (result.fault == RowFault::none) return result;
    const bool has_culprit = result.faulty_member >= 0;
    const std::string culprit =
        has_culprit ? context.members[static_cast<size_t>(result.faulty_member)]->model().path() : "";
    if (result.fault == RowFault::all_masked) {
        throw Failure("NO_TOKEN_LEFT", has_culprit ? culprit + " masks every token."
                                                   : "The combination leaves no token: each is masked by some member.");
    }
    if (!has_culprit) {
        throw Failure("NON_FINITE_LOGITS",
                      "The combination of the members is not a number, although each member's logits are; give weights "
                      "and parameters moderate values.");
    }
    const Context & member = *context.members[static_cast<size_t>(result.faulty_member)];
    const bool is_alone = member.adapter_path().empty();
    throw Failure("NON_FINITE_LOGITS",
                  culprit + (is_alone ? "" : " with the adapter " + member.adapter_path()) +
                      " produced logits that are not numbers; " +
                      (is_alone ? "the file or its quantization" : "one of the two files or its quantization") +
                      " is probably damaged.");
}

void advance_request(DrawRequest & request, int32_t token, uint32_t history_limit) {
    request.position++;
    if (history_limit == 0) return;
    auto & history = request.history;
    history.push_back(token);
    if (history.size() > history_limit) history.erase(history.begin(), history.end() - history_limit);
}

void restore_sequence(JobContext & context, uint32_t sequence, const std::vector<uint32_t> & keep) {
    for (size_t m = 0; m < context.members.size(); ++m) {
        Context & member = *context.members[m];
        // What was never reached may hold less than it was to keep.
        if (member.length(sequence) >= keep[m]) member.rewind(sequence, keep[m]);
    }
}

}  // namespace eft
