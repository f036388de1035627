#include "jobs/evaluate.h"

#include <set>

#include "failure.h"

namespace eft {
namespace {

/// Whether drafting has kept rows of this member for the entry.
bool has_kept_rows(const JobState & state, const StepEntry & entry, size_t m) {
    return entry.speculation.kept_rows > 0 && !state.kept[entry.sequence].members[m].empty();
}

MemberRow row_of(const JobState & state, const EntryRows & rows, size_t m, uint32_t row) {
    const Target & target = *rows.entry.target;
    if (!rows.copies[m].empty()) return {rows.copies[m].data(), rows.copies[m].size()};
    if (rows.late[m] >= 0) return read_row(state, target, m, rows.late[m]);
    if (rows.first[m] >= 0) {
        const uint32_t taken = rows.entry.taken();
        if (row < taken) return {};
        return read_row(state, target, m, rows.first[m] + static_cast<int32_t>(row - taken));
    }
    const bool is_kept = has_kept_rows(state, rows.entry, m) && row < rows.entry.speculation.kept_rows;
    if (!is_kept) return {};
    const KeptRows & kept = state.kept[rows.entry.sequence];
    const size_t size = kept.members[m].size() / kept.rows;
    return {kept.members[m].data() + row * size, size};
}

void enqueue(JobState & state, EntryRows & rows) {
    const StepEntry & entry = rows.entry;
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
        if (!entry.external_rows.empty()) member.supply(entry.external_rows[m]);
        const int32_t index = member.enqueue(entry.sequence, tokens, entry.rows());
        if (entry.rows() > 0) rows.first[m] = index;
    }
}

}  // namespace

std::vector<MemberRow> rows_at(const JobState & state, const EntryRows & rows, uint32_t row) {
    std::vector<MemberRow> result(rows.entry.target->size());
    for (size_t m = 0; m < result.size(); ++m) result[m] = row_of(state, rows, m, row);
    return result;
}

void evaluate(JobState & state, std::vector<EntryRows> & entries, std::vector<DecodeCost> & costs) {
    clear_batches(state);
    for (auto & rows : entries) enqueue(state, rows);
    decode_batches(state, costs);
}

void evaluate_late(JobState & state, const std::vector<EntryRows *> & waiting, std::vector<DecodeCost> & costs) {
    std::set<uint32_t> decoding;  // contexts
    for (const EntryRows * rows : waiting) {
        const Target & target = *rows->entry.target;
        for (size_t m = 0; m < target.size(); ++m) {
            if (has_kept_rows(state, rows->entry, m)) decoding.insert(target.contexts[m]);
        }
    }
    clear_batches(state);
    for (EntryRows * rows : waiting) {
        const Target & target = *rows->entry.target;
        for (size_t m = 0; m < target.size(); ++m) {
            if (decoding.count(target.contexts[m]) == 0 || rows->first[m] < 0) continue;
            const MemberRow row = row_of(state, *rows, m, rows->entry.last_row());
            rows->copies[m].assign(row.data, row.data + row.size);
        }
    }
    for (EntryRows * rows : waiting) {
        const StepEntry & entry = rows->entry;
        for (size_t m = 0; m < entry.target->size(); ++m) {
            if (!has_kept_rows(state, entry, m)) continue;
            rows->late[m] =
                state.member(*entry.target, m).enqueue(entry.sequence, {entry.speculation.drafts.back()}, 1);
        }
    }
    decode_batches(state, costs);
}

}  // namespace eft
