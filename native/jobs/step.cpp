#include "jobs/step.h"

#include <utility>

#include "failure.h"
#include "jobs/decide.h"
#include "jobs/evaluate.h"

namespace eft {

StepResult run_step(JobState & state, const std::vector<StepEntry> & entries) {
    StepResult result;
    std::vector<EntryRows> rows;
    std::vector<Decision> decisions;
    for (const auto & entry : entries) {
        rows.emplace_back(entry);
        decisions.push_back({{}, GrammarCursor(entry.grammar, state.cancelled), false});
    }
    try {
        evaluate(state, rows, result.decodes);
        auto start = Clock::now();
        for (size_t i = 0; i < rows.size(); ++i) decide(state, rows[i], decisions[i]);
        result.fuse_ms = milliseconds_since(start);

        std::vector<EntryRows *> waiting;
        for (size_t i = 0; i < rows.size(); ++i) {
            if (decisions[i].waits) waiting.push_back(&rows[i]);
        }
        if (!waiting.empty()) {
            evaluate_late(state, waiting, result.decodes);
            start = Clock::now();
            for (size_t i = 0; i < rows.size(); ++i) {
                if (decisions[i].waits) decide(state, rows[i], decisions[i]);
            }
            result.fuse_ms += milliseconds_since(start);
        }
    } catch (const Failure &) {
        // Other exceptions are internal failures of llama.cpp, after which nothing may be touched any more. Kept rows
        // stay: the step may be repeated.
        for (const auto & entry : entries) restore_sequence(state, *entry.target, entry.sequence, entry.keep);
        throw;
    }
    for (size_t i = 0; i < entries.size(); ++i) {
        state.kept[entries[i].sequence].clear();
        result.entries.push_back(std::move(decisions[i].result));
    }
    return result;
}

}  // namespace eft
