// combine.h, sample.h and speculate.h on rows in JavaScript memory, and the reading of their options from JavaScript
// objects.
#pragma once

#include <napi.h>

#include "math/fuse.h"
#include "math/sample.h"

namespace eft {

/// Reads a `NativeFusion` / a `NativeDraw` (or `NativeSampleOptions`) of src/native/binding.ts, which checked it.
Fusion ReadFusion(const Napi::Object & fusion);
SamplingParameters ReadSampling(const Napi::Object & draw);
DrawRequest ReadDraw(const Napi::Object & draw);

/// Adds `combineRows`, `sampleRow`, `draftRow` and `verifyRow` to the exports.
void RegisterRows(Napi::Env env, Napi::Object exports);

}  // namespace eft
