#include "step.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include "failure.h"

namespace eft {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// first_rows[entry][member]: batch index of the entry's first row, -1 where the member has none.
using FirstRows = std::vector<std::vector<int32_t>>;

FirstRows enqueue(StepContext & context, const std::vector<StepEntry> & entries) {
    FirstRows first_rows;
    for (const auto & entry : entries) {
        std::vector<int32_t> first(context.members.size(), -1);
        for (size_t m = 0; m < context.members.size(); ++m) {
            Context & member = *context.members[m];
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
            if (entry.rows() > 0) first[m] = index;
        }
        first_rows.push_back(std::move(first));
    }
    return first_rows;
}

void decode(StepContext & context, std::vector<double> & decode_ms) {
    decode_ms.assign(context.members.size(), 0);
    const auto timed = [&](bool on_gpu, void (Context::*work)()) {
        for (size_t m = 0; m < context.members.size(); ++m) {
            Context & member = *context.members[m];
            if (member.on_gpu() != on_gpu || !member.has_batch()) continue;
            const auto start = Clock::now();
            (member.*work)();
            decode_ms[m] += milliseconds_since(start);
        }
    };
    // Members on a GPU return before they are done, so they work while those on the CPU have their turn.
    timed(true, &Context::decode);
    timed(false, &Context::decode);
    timed(false, &Context::synchronize);
    timed(true, &Context::synchronize);
}

std::vector<const float *> rows_at(const StepContext & context, const std::vector<int32_t> & first, uint32_t offset) {
    std::vector<const float *> rows(context.members.size(), nullptr);
    for (size_t m = 0; m < rows.size(); ++m) {
        if (first[m] >= 0) rows[m] = context.members[m]->row(first[m] + static_cast<int32_t>(offset));
    }
    return rows;
}

const float * fuse(StepContext & context, const std::vector<const float *> & rows, const Fusion & fusion,
                   std::vector<double> & log_normalizers) {
    for (size_t m = 0; m < rows.size(); ++m) {
        const bool read = fusion.weights[m] != 0 || (fusion.has_fallback && fusion.fallback[m] != 0);
        if (read && !rows[m]) throw Failure("DECODE_FAILED", "An entry fuses a member that was given no tokens.");
    }
    const uint8_t * control = context.control_tokens.empty() ? nullptr : context.control_tokens.data();
    const FuseResult result =
        fuse_rows(rows.data(), fusion, rows.size(), context.vocabulary_size, control, context.fuse);
    if (result.fault != RowFault::none) {
        if (result.fault == RowFault::all_masked) {
            throw Failure("NO_TOKEN_LEFT", "The combination leaves no token: each is masked by some member.");
        }
        throw Failure("NON_FINITE_LOGITS",
                      context.members[static_cast<size_t>(result.faulty_member)]->model().path() +
                          " produced logits that are not numbers; the file or its quantization is probably damaged.");
    }
    log_normalizers.assign(result.log_normalizers, result.log_normalizers + rows.size());
    return result.target;
}

// fuse_rows() normalises only the members that it reads; reports want the others too, where they have a row.
void complete_log_normalizers(const StepContext & context, const std::vector<const float *> & rows,
                              std::vector<double> & log_normalizers) {
    for (size_t m = 0; m < rows.size(); ++m) {
        if (rows[m] && std::isnan(log_normalizers[m])) {
            const RowSummary summary = summarize_row(rows[m], context.vocabulary_size);
            if (summary.fault == RowFault::none) log_normalizers[m] = summary.log_normalizer;
        }
    }
}

double member_logprob(const float * row, double log_normalizer, int32_t token) {
    return row ? row[token] - log_normalizer : std::numeric_limits<double>::quiet_NaN();
}

DrawResult draw(StepContext & context, const std::vector<int32_t> & first, const StepEntry & entry) {
    const DrawRequest & request = *entry.draw;
    const auto rows = rows_at(context, first, 0);
    std::vector<double> log_normalizers;
    const float * target = fuse(context, rows, entry.fusion, log_normalizers);

    DrawResult result;
    result.token = draw_token(target, context.vocabulary_size, request, context.draw);
    if (result.token < 0) {
        throw Failure("NO_TOKEN_LEFT", "Logit biases and masks exclude every token; allow at least one.");
    }
    result.logprob = target[result.token];
    if (request.top > 0) top_logprobs(target, context.vocabulary_size, request.top, result.top);
    if (request.members) {
        complete_log_normalizers(context, rows, log_normalizers);
        for (size_t m = 0; m < rows.size(); ++m) {
            result.member_logprobs.push_back(member_logprob(rows[m], log_normalizers[m], result.token));
        }
        for (const auto & candidate : result.top) {
            for (size_t m = 0; m < rows.size(); ++m) {
                result.top_member_logprobs.push_back(
                    static_cast<float>(member_logprob(rows[m], log_normalizers[m], candidate.token)));
            }
        }
    }
    if (request.scores) result.scores.assign(target, target + context.vocabulary_size);
    return result;
}

QueryResult query(StepContext & context, const std::vector<int32_t> & first, const StepEntry & entry) {
    const Queries & queries = *entry.queries;
    QueryResult result;
    size_t next = 0;
    for (uint32_t offset = 0; offset < queries.rows; ++offset) {
        if (next == queries.row.size() || queries.row[next] != static_cast<int32_t>(offset)) continue;
        const auto rows = rows_at(context, first, offset);
        std::vector<double> log_normalizers;
        const float * target = fuse(context, rows, entry.fusion, log_normalizers);
        complete_log_normalizers(context, rows, log_normalizers);
        std::vector<TokenLogprob> best;
        top_logprobs(target, context.vocabulary_size, 1, best);
        for (; next < queries.row.size() && queries.row[next] == static_cast<int32_t>(offset); ++next) {
            const int32_t token = queries.token[next];
            result.logprobs.push_back(target[token]);
            result.is_argmax.push_back(best[0].token == token ? 1 : 0);
            for (size_t m = 0; m < rows.size(); ++m) {
                result.member_logprobs.push_back(member_logprob(rows[m], log_normalizers[m], token));
            }
        }
    }
    return result;
}

void restore(StepContext & context, const std::vector<StepEntry> & entries) {
    for (const auto & entry : entries) {
        for (size_t m = 0; m < context.members.size(); ++m) {
            Context & member = *context.members[m];
            // An entry that was never reached may hold less than it was to keep.
            if (member.length(entry.sequence) >= entry.keep[m]) member.rewind(entry.sequence, entry.keep[m]);
        }
    }
}

}  // namespace

StepResult run_step(StepContext & context, const std::vector<StepEntry> & entries) {
    StepResult result;
    try {
        for (const auto & member : context.members) member->clear_batch();
        const FirstRows first_rows = enqueue(context, entries);
        decode(context, result.decode_ms);

        const auto start = Clock::now();
        for (size_t i = 0; i < entries.size(); ++i) {
            EntryResult entry_result;
            if (entries[i].draw) entry_result.draw = draw(context, first_rows[i], entries[i]);
            if (entries[i].queries) entry_result.queries = query(context, first_rows[i], entries[i]);
            result.entries.push_back(std::move(entry_result));
        }
        result.fuse_ms = milliseconds_since(start);
    } catch (const Failure & failure) {
        // After an internal failure of llama.cpp nothing may be touched any more.
        if (failure.code != "NATIVE_FAILURE") restore(context, entries);
        throw;
    }
    return result;
}

}  // namespace eft
