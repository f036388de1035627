#include "jobs/decide.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "failure.h"

namespace eft {
namespace {

/// NaN for a member that was not read, -inf for one that does not have the token.
double member_logprob(const MemberRow & row, double log_normalizer, int32_t token) {
    if (!row.data) return std::numeric_limits<double>::quiet_NaN();
    return static_cast<size_t>(token) < row.size ? row.data[token] - log_normalizer : static_cast<double>(MASKED);
}

/// fuse_rows() normalises only the members that it reads; reports want the others too, where they have a row.
std::vector<double> all_log_normalizers(const std::vector<MemberRow> & rows, const double * known) {
    std::vector<double> result(known, known + rows.size());
    for (size_t m = 0; m < rows.size(); ++m) {
        if (!rows[m].data || !std::isnan(result[m])) continue;
        const RowSummary summary = summarize_row(rows[m].data, rows[m].size);
        if (summary.fault == RowFault::none) result[m] = summary.log_normalizer;
    }
    return result;
}

std::vector<double> member_logprobs(const std::vector<MemberRow> & rows, const std::vector<double> & log_normalizers,
                                    int32_t token) {
    std::vector<double> result;
    for (size_t m = 0; m < rows.size(); ++m) result.push_back(member_logprob(rows[m], log_normalizers[m], token));
    return result;
}

DrawResult report(const Target & target, const std::vector<MemberRow> & rows, const FuseResult & fused, int32_t token,
                  const DrawRequest & request) {
    DrawResult result;
    result.token = token;
    result.logprob = fused.target[token];
    if (request.top > 0) top_logprobs(fused.target, target.vocabulary_size(), request.top, result.top);
    if (request.members) {
        const auto log_normalizers = all_log_normalizers(rows, fused.log_normalizers);
        result.member_logprobs = member_logprobs(rows, log_normalizers, token);
        for (const auto & candidate : result.top) {
            for (const double logprob : member_logprobs(rows, log_normalizers, candidate.token)) {
                result.top_member_logprobs.push_back(static_cast<float>(logprob));
            }
        }
    }
    if (request.scores) result.scores.assign(fused.target, fused.target + target.vocabulary_size());
    return result;
}

Comparison compare(JobState & state, const Target & target, const std::vector<MemberRow> & rows,
                   const FuseResult & fused, const float * drafter, const DrawRequest & request) {
    Comparison result;
    const size_t n = target.vocabulary_size();
    const Draft draft = draw_draft(drafter, n, request, Coupling::gumbel, state.draw);
    result.token = draft.token;
    result.confidence = draft.confidence;
    result.total_variation = total_variation(fused.target, drafter, n);
    if (result.token >= 0) {
        const auto log_normalizers = all_log_normalizers(rows, fused.log_normalizers);
        result.member_logprobs = member_logprobs(rows, log_normalizers, result.token);
    }
    return result;
}

Failure no_token_left(const DrawRequest & request) {
    if (!request.constraint) {
        return {"NO_TOKEN_LEFT", "Logit biases and masks exclude every token; allow at least one."};
    }
    return {
        "NO_TOKEN_LEFT",
        "The grammar has come to a dead end after " + std::to_string(request.position) +
            " tokens: of what it allows next, no token of the vocabulary can write the beginning, or logit biases and "
            "masks exclude all of it, an end of the text included. Offer another alternative there."};
}

/// A token of the target at a row of a draw.
DrawResult draw_asked(JobState & state, const StepEntry & entry, const std::vector<MemberRow> & members, uint32_t row,
                      const DrawRequest & request, const DrawRequest & drafted_by) {
    const Target & target = *entry.target;
    const Speculation & speculation = entry.speculation;
    const size_t n = target.vocabulary_size();
    const FuseResult fused = fuse_position(state, target, members, entry.fusion, state.fuse);
    const float * drafter = nullptr;
    const bool drafted = row < entry.last_row();
    const bool verifies = drafted && !speculation.are_forced;
    if (speculation.drafter && (speculation.compare || (verifies && speculation.coupling == Coupling::maximal))) {
        drafter = fuse_position(state, target, members, *speculation.drafter, state.drafter_fuse).target;
    }
    const int32_t token = drafted ? verify_draft(fused.target, verifies ? drafter : nullptr, n, speculation.drafts[row],
                                                 request, drafted_by, speculation.coupling, state.draw)
                                  : draw_token(fused.target, n, request, state.draw.target);
    if (token < 0) throw no_token_left(request);
    DrawResult result = report(target, members, fused, token, request);
    if (speculation.compare && drafter) result.drafter = compare(state, target, members, fused, drafter, drafted_by);
    return result;
}

/// A token of the drafter, where it is so sure that the target is not asked.
std::optional<DrawResult> draw_unasked(JobState & state, const StepEntry & entry,
                                       const std::vector<MemberRow> & members, uint32_t row,
                                       const DrawRequest & drafted_by) {
    const Target & target = *entry.target;
    const Speculation & speculation = entry.speculation;
    if (speculation.selective <= 0 || !speculation.drafter) return std::nullopt;
    const size_t n = target.vocabulary_size();
    const FuseResult own = fuse_position(state, target, members, *speculation.drafter, state.drafter_fuse);
    const bool is_taken = row < entry.taken();
    if (!is_taken && entropy(own.target, n) >= speculation.selective) return std::nullopt;
    const int32_t token =
        is_taken ? speculation.drafts[row] : draw_draft(own.target, n, drafted_by, Coupling::gumbel, state.draw).token;
    // What biases and grammar leave of its tokens may be nothing, and more of the target's.
    if (token < 0) return std::nullopt;
    DrawResult result = report(target, members, own, token, drafted_by);
    result.is_unasked = true;
    if (speculation.compare) {
        const FuseResult fused = fuse_position(state, target, members, entry.fusion, state.fuse);
        result.drafter = compare(state, target, members, fused, own.target, drafted_by);
    }
    return result;
}

/// Decides row after row, until a draft is rejected, all are accepted and followed by one more token, the text ends, or
/// the row after the last draft is still to be evaluated.
void draw(JobState & state, const EntryRows & rows, Decision & decision) {
    const StepEntry & entry = rows.entry;
    const Target & target = *entry.target;
    const Speculation & speculation = entry.speculation;
    auto & draws = decision.result.draws;
    DrawRequest request = *entry.draw;
    for (const auto & before : draws) advance_request(request, before.token, speculation.history_limit);
    request.constraint = decision.grammar.get();
    DrawRequest drafted_by = request;
    if (speculation.drafter_sampling) drafted_by.sampling = *speculation.drafter_sampling;

    for (auto row = static_cast<uint32_t>(draws.size());; ++row) {
        const bool drafted = row < entry.last_row();
        decision.waits = !drafted && !decision.waits && speculation.kept_rows > 0 && speculation.kept_rows == row;
        if (decision.waits) return;

        const auto members = rows_at(state, rows, row);
        if (const auto unasked = draw_unasked(state, entry, members, row, drafted_by)) {
            draws.push_back(*unasked);
        } else {
            draws.push_back(draw_asked(state, entry, members, row, request, drafted_by));
        }
        const int32_t token = draws.back().token;

        const bool accepted = drafted && token == speculation.drafts[row];
        if (!accepted || target.end_of_generation[static_cast<size_t>(token)] != 0) return;
        decision.grammar.accept(token);
        for (DrawRequest * next : {&request, &drafted_by}) advance_request(*next, token, speculation.history_limit);
    }
}

void query(JobState & state, const EntryRows & rows, QueryResult & result) {
    const Queries & queries = *rows.entry.queries;
    const Target & target = *rows.entry.target;
    size_t next = 0;
    for (uint32_t row = 0; row < queries.rows; ++row) {
        if (next == queries.row.size() || queries.row[next] != static_cast<int32_t>(row)) continue;
        const auto members = rows_at(state, rows, row);
        const FuseResult fused = fuse_position(state, target, members, rows.entry.fusion, state.fuse);
        const auto log_normalizers = all_log_normalizers(members, fused.log_normalizers);
        std::vector<TokenLogprob> best;
        top_logprobs(fused.target, target.vocabulary_size(), std::max(queries.top, 1u), best);
        for (; next < queries.row.size() && queries.row[next] == static_cast<int32_t>(row); ++next) {
            const int32_t token = queries.token[next];
            const bool is_known = static_cast<uint32_t>(token) < target.vocabulary_size();
            result.logprobs.push_back(is_known ? fused.target[token] : MASKED);
            result.is_argmax.push_back(best[0].token == token ? 1 : 0);
            for (const double logprob : member_logprobs(members, log_normalizers, token)) {
                result.member_logprobs.push_back(logprob);
            }
            for (uint32_t rank = 0; rank < queries.top; ++rank) {
                result.top.push_back(rank < best.size() ? best[rank] : TokenLogprob{-1, MASKED});
            }
            if (queries.scores) {
                result.scores.insert(result.scores.end(), fused.target, fused.target + target.vocabulary_size());
            }
        }
    }
}

}  // namespace

void decide(JobState & state, const EntryRows & rows, Decision & decision) {
    EntryResult & result = decision.result;
    try {
        if (rows.entry.draw) draw(state, rows, decision);
        if (rows.entry.queries && !result.queries) query(state, rows, result.queries.emplace());
    } catch (const RowUncovered & uncovered) {
        result.uncovered = uncovered.members;
    }
}

}  // namespace eft
