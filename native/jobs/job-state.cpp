#include "jobs/job-state.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "failure.h"

namespace eft {

std::shared_ptr<const Target> make_target(std::vector<uint32_t> contexts, const std::vector<uint8_t> & kinds,
                                          std::vector<uint8_t> end_of_generation,
                                          std::vector<std::vector<int32_t>> lacking) {
    const std::set<uint32_t> distinct(contexts.begin(), contexts.end());
    if (kinds.size() != end_of_generation.size() || lacking.size() != contexts.size() ||
        distinct.size() != contexts.size()) {
        throw Failure("OPTION_INVALID", "The vocabulary does not fit the members.");
    }
    auto target = std::make_shared<Target>();
    target->contexts = std::move(contexts);
    target->groups = group_tokens(kinds.data(), kinds.size());
    target->end_of_generation = std::move(end_of_generation);
    target->lacking = std::move(lacking);
    target->is_common.assign(kinds.size(), 1);
    for (auto & tokens : target->lacking) {
        const auto is_known = [&](int32_t token) {
            return token >= 0 && static_cast<uint32_t>(token) < target->vocabulary_size();
        };
        tokens.erase(std::partition(tokens.begin(), tokens.end(), is_known), tokens.end());
        for (const int32_t token : tokens) target->is_common[static_cast<size_t>(token)] = 0;
    }
    return target;
}

Member * JobState::find_member(const Target & target, size_t m) const {
    const uint32_t id = target.contexts[m];
    return id < contexts.size() ? contexts[id].get() : nullptr;
}

Member & JobState::member(const Target & target, size_t m) const {
    if (Member * member = find_member(target, m)) return *member;
    throw Failure("DISPOSED", "The ensemble has been disposed.");
}

void clear_batches(JobState & state) {
    for (const auto & context : state.contexts) {
        if (context) context->clear_batch();
    }
}

void decode_batches(JobState & state, std::vector<DecodeCost> & costs) {
    const size_t first = costs.size();
    for (size_t id = 0; id < state.contexts.size(); ++id) {
        if (state.contexts[id] && state.contexts[id]->batch_tokens() > 0) {
            costs.push_back({static_cast<uint32_t>(id), state.contexts[id]->batch_tokens(), 0});
        }
    }
    const auto timed = [&](bool is_asynchronous, void (Member::*work)()) {
        for (size_t i = first; i < costs.size(); ++i) {
            Member & member = *state.contexts[costs[i].context];
            if (member.is_asynchronous() != is_asynchronous) continue;
            const auto start = Clock::now();
            (member.*work)();
            costs[i].ms += milliseconds_since(start);
        }
    };
    // Members on a GPU return before they are done, so they work while those on the CPU have their turn.
    timed(true, &Member::decode);
    timed(false, &Member::decode);
    timed(false, &Member::wait);
    timed(true, &Member::wait);
}

MemberRow read_row(const JobState & state, const Target & target, size_t m, int32_t index) {
    const Member & member = state.member(target, m);
    float * logits = member.row(index);
    const size_t size = std::min<size_t>(target.vocabulary_size(), member.row_size());
    for (const int32_t token : target.lacking[m]) {
        if (static_cast<size_t>(token) < size) logits[token] = MASKED;
    }
    return {logits, size, member.known_ids(index)};
}

RowUncovered::RowUncovered(std::vector<Uncovered> members_)
    : Failure("OPTION_INVALID", "A row of which only some ids are known is not enough here."),
      members(std::move(members_)) {}

FuseResult fuse_position(const JobState & state, const Target & target, const std::vector<MemberRow> & rows,
                         const Fusion & fusion, FuseScratch & scratch) {
    for (size_t m = 0; m < rows.size(); ++m) {
        if (is_read(fusion, m) && !rows[m].data) {
            throw Failure("DECODE_FAILED", "A job fuses a member that was given no tokens.");
        }
    }
    const FuseResult result =
        fuse_rows(rows.data(), fusion, rows.size(), target.vocabulary_size(), target.groups, scratch);
    if (result.fault == RowFault::none) return result;
    if (result.fault == RowFault::uncovered) throw RowUncovered(scratch.uncovered);
    const bool has_culprit = result.faulty_member >= 0;
    const std::string culprit =
        has_culprit ? state.member(target, static_cast<size_t>(result.faulty_member)).path() : "";
    if (result.fault == RowFault::all_masked) {
        throw Failure("NO_TOKEN_LEFT", has_culprit ? culprit + " masks every token."
                                                   : "The combination leaves no token: each is masked by some member.");
    }
    if (!has_culprit) {
        throw Failure("NON_FINITE_LOGITS",
                      "The combination of the members is not a number, although each member's logits are; give weights "
                      "and parameters moderate values.");
    }
    const Member & member = state.member(target, static_cast<size_t>(result.faulty_member));
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

void restore_sequence(JobState & state, const Target & target, uint32_t sequence, const std::vector<uint32_t> & keep) {
    for (size_t m = 0; m < target.size(); ++m) {
        if (Member * member = state.find_member(target, m)) member->restore(sequence, keep[m]);
    }
}

void append_lengths(const JobState & state, const Target & target, uint32_t sequence, std::vector<int32_t> & lengths) {
    for (size_t m = 0; m < target.size(); ++m) {
        lengths.push_back(static_cast<int32_t>(state.member(target, m).length(sequence)));
    }
}

}  // namespace eft
