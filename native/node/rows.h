// combine.h, sample.h and speculate.h on rows in JavaScript memory.
#pragma once

#include <napi.h>

namespace eft {

/// Adds `combineRows`, `sampleRow`, `draftRow` and `verifyRow` to the exports.
void RegisterRows(Napi::Env env, Napi::Object exports);

}  // namespace eft
