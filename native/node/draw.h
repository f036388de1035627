// How a token is to be fused and drawn, as JavaScript says it.
#pragma once

#include <napi.h>

#include "math/fuse.h"
#include "math/sample.h"

namespace eft {

/// Reads a `NativeFusion`, `NativeSampling`, `NativeDraw` of src/native/binding.ts, which checked it.
Fusion ReadFusion(const Napi::Object & fusion);
SamplingParameters ReadSampling(const Napi::Object & draw);
DrawRequest ReadDraw(const Napi::Object & draw);

}  // namespace eft
