// Rows that JavaScript hands over, and what becomes of those of which too little is known.
#pragma once

#include <napi.h>

#include <vector>

#include "llama/member.h"

namespace eft {

/// The `NativeExternalRow`s of an entry, one list per member. Throws Failure OPTION_INVALID.
std::vector<std::vector<ExternalRow>> read_external_rows(const Napi::Value & rows, size_t members);

/// `NativeUncovered`s.
Napi::Value to_array(Napi::Env env, const std::vector<Uncovered> & uncovered);

}  // namespace eft
