#include "job.h"

#include <string>
#include <utility>

#include "failure.h"

namespace eft {

void prepare_jobs(JobContext & context, uint32_t vocabulary_size, std::vector<uint8_t> control_tokens,
                  std::vector<uint8_t> end_of_generation, uint32_t sequences) {
    context.vocabulary_size = vocabulary_size;
    context.control_tokens = std::move(control_tokens);
    context.end_of_generation = std::move(end_of_generation);
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

FuseResult fuse_position(const JobContext & context, const std::vector<const float *> & rows, const Fusion & fusion,
                         FuseScratch & scratch) {
    for (size_t m = 0; m < rows.size(); ++m) {
        if (is_read(fusion, m) && !rows[m]) {
            throw Failure("DECODE_FAILED", "A job fuses a member that was given no tokens.");
        }
    }
    const uint8_t * control = context.control_tokens.empty() ? nullptr : context.control_tokens.data();
    const FuseResult result = fuse_rows(rows.data(), fusion, rows.size(), context.vocabulary_size, control, scratch);
    if (result.fault == RowFault::all_masked) {
        throw Failure("NO_TOKEN_LEFT", "The combination leaves no token: each is masked by some member.");
    }
    if (result.fault != RowFault::none) {
        const Context & member = *context.members[static_cast<size_t>(result.faulty_member)];
        const bool is_alone = member.adapter_path().empty();
        throw Failure("NON_FINITE_LOGITS",
                      member.model().path() + (is_alone ? "" : " with the adapter " + member.adapter_path()) +
                          " produced logits that are not numbers; " +
                          (is_alone ? "the file or its quantization" : "one of the two files or its quantization") +
                          " is probably damaged.");
    }
    return result;
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
