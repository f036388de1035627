// The first half of a step: the contexts decode what its entries have for them, and rows of all members lie ready.
#pragma once

#include <vector>

#include "jobs/job-state.h"
#include "jobs/step.h"

namespace eft {

/// Where the rows of an entry are.
struct EntryRows {
    explicit EntryRows(const StepEntry & entry_)
        : entry(entry_), first(entry.target->size(), -1), late(first), copies(first.size()) {}

    const StepEntry & entry;
    std::vector<int32_t> first;              // batch index of each member's first row; -1 where it has none
    std::vector<int32_t> late;               // the same for members that evaluate the last draft late
    std::vector<std::vector<float>> copies;  // last rows, per member, that a late evaluation would have destroyed
};

/// All rows but late ones. Throws Failure.
void evaluate(JobState & state, std::vector<EntryRows> & entries, std::vector<DecodeCost> & costs);

/// Late rows: members that have drafted have no row after the last draft, and evaluate it only where all drafts were
/// accepted. Afterwards the entries that wait have only their last row. Throws Failure.
void evaluate_late(JobState & state, const std::vector<EntryRows *> & waiting, std::vector<DecodeCost> & costs);

/// The members' rows at one position of an entry; valid until the next evaluation.
std::vector<MemberRow> rows_at(const JobState & state, const EntryRows & rows, uint32_t row);

}  // namespace eft
