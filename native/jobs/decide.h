// The second half of a step: rows are fused, and tokens are drawn, verified or looked up.
#pragma once

#include "jobs/evaluate.h"
#include "llama/grammar.h"

namespace eft {

/// What becomes of an entry.
struct Decision {
    EntryResult result;
    GrammarCursor grammar;
    bool waits = false;  // for late rows: then decide() is to be called again when they are there
};

/// Throws Failure.
void decide(JobState & state, const EntryRows & rows, Decision & decision);

}  // namespace eft
