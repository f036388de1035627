#include "jobs/step.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>

#include "failure.h"

namespace eft {
namespace {

/// An entry in the course of a step, and where its rows are.
struct Progress {
    const StepEntry & entry;
    EntryResult result;
    GrammarCursor grammar;
    std::vector<int32_t> first_rows;         // batch index of each member's first row; -1 where it has none
    std::vector<int32_t> late_rows;          // the same for members that evaluate the last draft late
    std::vector<std::vector<float>> copies;  // last rows, per member, that a late evaluation would have destroyed
    bool waits = false;                      // for late rows
};

uint32_t last_row(const StepEntry & entry) { return static_cast<uint32_t>(entry.speculation.drafts.size()); }

/// Whether drafting has kept rows of this member for the entry.
bool has_kept_rows(const JobState & state, const StepEntry & entry, size_t m) {
    return entry.speculation.kept_rows > 0 && !state.kept[entry.sequence].members[m].empty();
}

MemberRow row_of(const JobState & state, const Progress & progress, size_t m, uint32_t row) {
    const Target & target = *progress.entry.target;
    if (!progress.copies[m].empty()) return {progress.copies[m].data(), progress.copies[m].size()};
    if (progress.late_rows[m] >= 0) return read_row(state, target, m, progress.late_rows[m]);
    if (progress.first_rows[m] >= 0) {
        return read_row(state, target, m, progress.first_rows[m] + static_cast<int32_t>(row));
    }
    const bool kept = has_kept_rows(state, progress.entry, m) && row < progress.entry.speculation.kept_rows;
    if (!kept) return {};
    const KeptRows & rows = state.kept[progress.entry.sequence];
    const size_t size = rows.members[m].size() / rows.rows;
    return {rows.members[m].data() + row * size, size};
}

std::vector<MemberRow> rows_at(const JobState & state, const Progress & progress, uint32_t row) {
    std::vector<MemberRow> rows(progress.entry.target->size());
    for (size_t m = 0; m < rows.size(); ++m) rows[m] = row_of(state, progress, m, row);
    return rows;
}

void enqueue(JobState & state, Progress & progress) {
    const StepEntry & entry = progress.entry;
    const uint32_t kept_rows = entry.speculation.kept_rows;
    if (kept_rows > 0 && kept_rows != state.kept[entry.sequence].rows) {
        throw Failure("DECODE_FAILED", "The rows of the drafts have not been kept.");
    }
    for (size_t m = 0; m < entry.target->size(); ++m) {
        Member & member = state.member(*entry.target, m);
        if (entry.copy_from) {
            member.share(*entry.copy_from, entry.sequence, entry.keep[m]);
        } else {
            member.rewind(entry.sequence, entry.keep[m]);
        }
        const auto & tokens = entry.tokens[m];
        if (tokens.empty()) continue;
        if (entry.rows() > tokens.size()) {
            throw Failure("DECODE_FAILED", "An entry asks for more rows than it has tokens.");
        }
        const int32_t index = member.enqueue(entry.sequence, tokens, entry.rows());
        if (entry.rows() > 0) progress.first_rows[m] = index;
    }
}

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

/// Decides row after row, until a draft is rejected, all are accepted and followed by one more token, the text ends, or
/// the row after the last draft is still to be evaluated.
void draw(JobState & state, Progress & progress) {
    const StepEntry & entry = progress.entry;
    const Target & target = *entry.target;
    const Speculation & speculation = entry.speculation;
    const size_t n = target.vocabulary_size();
    auto & draws = progress.result.draws;
    DrawRequest request = *entry.draw;
    for (const auto & before : draws) advance_request(request, before.token, speculation.history_limit);
    request.constraint = progress.grammar.get();
    DrawRequest drafted_by = request;
    if (speculation.drafter_sampling) drafted_by.sampling = *speculation.drafter_sampling;

    for (auto row = static_cast<uint32_t>(draws.size());; ++row) {
        const bool drafted = row < last_row(entry);
        progress.waits = !drafted && !progress.waits && speculation.kept_rows > 0 && speculation.kept_rows == row;
        if (progress.waits) return;

        const auto rows = rows_at(state, progress, row);
        const FuseResult fused = fuse_position(state, target, rows, entry.fusion, state.fuse);
        const float * drafter = nullptr;
        if (speculation.drafter && (speculation.compare || (drafted && speculation.coupling == Coupling::maximal))) {
            drafter = fuse_position(state, target, rows, *speculation.drafter, state.drafter_fuse).target;
        }
        const int32_t token = drafted ? verify_draft(fused.target, drafter, n, speculation.drafts[row], request,
                                                     drafted_by, speculation.coupling, state.draw)
                                      : draw_token(fused.target, n, request, state.draw.target);
        if (token < 0) throw no_token_left(request);
        draws.push_back(report(target, rows, fused, token, request));
        if (speculation.compare && drafter)
            draws.back().drafter = compare(state, target, rows, fused, drafter, drafted_by);

        const bool accepted = drafted && token == speculation.drafts[row];
        if (!accepted || target.end_of_generation[static_cast<size_t>(token)] != 0) return;
        progress.grammar.accept(token);
        for (DrawRequest * next : {&request, &drafted_by}) advance_request(*next, token, speculation.history_limit);
    }
}

/// Members that have drafted have no row after the last draft. They evaluate it only where all drafts were accepted.
void draw_late_rows(JobState & state, std::vector<Progress> & steps, StepResult & result) {
    std::vector<Progress *> waiting;
    std::set<uint32_t> decoding;  // contexts
    for (auto & progress : steps) {
        if (!progress.waits) continue;
        waiting.push_back(&progress);
        for (size_t m = 0; m < progress.entry.target->size(); ++m) {
            if (has_kept_rows(state, progress.entry, m)) decoding.insert(progress.entry.target->contexts[m]);
        }
    }
    if (waiting.empty()) return;

    clear_batches(state);
    for (Progress * progress : waiting) {
        const Target & target = *progress->entry.target;
        for (size_t m = 0; m < target.size(); ++m) {
            if (decoding.count(target.contexts[m]) == 0 || progress->first_rows[m] < 0) continue;
            const MemberRow row = row_of(state, *progress, m, last_row(progress->entry));
            progress->copies[m].assign(row.data, row.data + row.size);
        }
    }
    for (Progress * progress : waiting) {
        const StepEntry & entry = progress->entry;
        for (size_t m = 0; m < entry.target->size(); ++m) {
            if (!has_kept_rows(state, entry, m)) continue;
            progress->late_rows[m] =
                state.member(*entry.target, m).enqueue(entry.sequence, {entry.speculation.drafts.back()}, 1);
        }
    }
    decode_batches(state, result.decodes);
    const auto start = Clock::now();
    for (Progress * progress : waiting) draw(state, *progress);
    result.fuse_ms += milliseconds_since(start);
}

QueryResult query(JobState & state, const Progress & progress) {
    const Queries & queries = *progress.entry.queries;
    const Target & target = *progress.entry.target;
    QueryResult result;
    size_t next = 0;
    for (uint32_t row = 0; row < queries.rows; ++row) {
        if (next == queries.row.size() || queries.row[next] != static_cast<int32_t>(row)) continue;
        const auto rows = rows_at(state, progress, row);
        const FuseResult fused = fuse_position(state, target, rows, progress.entry.fusion, state.fuse);
        const auto log_normalizers = all_log_normalizers(rows, fused.log_normalizers);
        std::vector<TokenLogprob> best;
        top_logprobs(fused.target, target.vocabulary_size(), 1, best);
        for (; next < queries.row.size() && queries.row[next] == static_cast<int32_t>(row); ++next) {
            const int32_t token = queries.token[next];
            const bool is_known = static_cast<uint32_t>(token) < target.vocabulary_size();
            result.logprobs.push_back(is_known ? fused.target[token] : MASKED);
            result.is_argmax.push_back(best[0].token == token ? 1 : 0);
            for (const double logprob : member_logprobs(rows, log_normalizers, token)) {
                result.member_logprobs.push_back(logprob);
            }
            if (queries.scores) {
                result.scores.insert(result.scores.end(), fused.target, fused.target + target.vocabulary_size());
            }
        }
    }
    return result;
}

}  // namespace

StepResult run_step(JobState & state, const std::vector<StepEntry> & entries) {
    StepResult result;
    std::vector<Progress> steps;
    for (const auto & entry : entries) {
        const std::vector<int32_t> none(entry.target->size(), -1);
        const std::vector<std::vector<float>> no_copies(entry.target->size());
        steps.push_back({entry, {}, GrammarCursor(entry.grammar, state.cancelled), none, none, no_copies, false});
    }
    try {
        clear_batches(state);
        for (auto & progress : steps) enqueue(state, progress);
        decode_batches(state, result.decodes);

        const auto start = Clock::now();
        for (auto & progress : steps) {
            if (progress.entry.draw) draw(state, progress);
            if (progress.entry.queries) progress.result.queries = query(state, progress);
        }
        result.fuse_ms = milliseconds_since(start);
        draw_late_rows(state, steps, result);
    } catch (const Failure & failure) {
        // After an internal failure of llama.cpp nothing may be touched any more. Kept rows stay: the step may be
        // repeated.
        if (failure.code != "NATIVE_FAILURE") {
            for (const auto & entry : entries) restore_sequence(state, *entry.target, entry.sequence, entry.keep);
        }
        throw;
    }
    for (auto & progress : steps) {
        const StepEntry & entry = progress.entry;
        state.kept[entry.sequence].clear();
        append_lengths(state, *entry.target, entry.sequence, result.lengths);
        result.entries.push_back(std::move(progress.result));
    }
    return result;
}

}  // namespace eft
