// JavaScript objects to the entries of jobs, and the results of jobs to JavaScript objects; their shapes are those of
// src/native/binding.ts.
#pragma once

#include <napi.h>

#include <memory>

#include "jobs/advance.h"

namespace eft {

/// A `NativeTargetOptions`. Throws Failure OPTION_INVALID if its parts do not fit each other.
std::shared_ptr<const Target> read_target(const Napi::Object & object);
/// A `NativeStepEntry` or `NativeFollowingEntry` of an engine with so many sequences. Throws Failure OPTION_INVALID if
/// it does not fit.
AdvanceEntry read_entry(const Napi::Object & object, std::shared_ptr<const Target> target, uint32_t sequences);
/// A `Coupling`.
Coupling read_coupling(const Napi::Value & value);

Napi::Value to_object(Napi::Env env, const AdvanceResult & result);

}  // namespace eft
