// JavaScript objects to the entries of jobs, and the results of jobs to JavaScript objects; their shapes are those of
// src/native/binding.ts.
#pragma once

#include <napi.h>

#include "jobs/draft.h"
#include "jobs/step.h"

namespace eft {

/// What the entries of an engine's jobs are checked against.
struct EntryLimits {
    uint32_t sequences;
    uint32_t members;
    uint32_t vocabulary_size;  // 0 until it is set; there are no jobs before that
};

/// A `NativeVocabulary`.
Vocabulary read_vocabulary(const Napi::Object & object);
/// A `NativeStepEntry`. Throws Failure OPTION_INVALID if it does not fit the engine.
StepEntry read_step_entry(const Napi::Object & object, const EntryLimits & limits);
/// A `NativeDraftEntry`. Throws Failure OPTION_INVALID if it does not fit the engine.
DraftEntry read_draft_entry(const Napi::Object & object, const EntryLimits & limits);
/// A `Coupling`.
Coupling read_coupling(const Napi::Value & value);

Napi::Value to_object(Napi::Env env, const StepResult & step);
Napi::Value to_object(Napi::Env env, const DraftResult & draft);

}  // namespace eft
