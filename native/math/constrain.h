// Drawing under a constraint without asking it about every token. Knows neither Node nor llama.cpp.
#pragma once

#include "math/sample.h"

namespace eft {

/// The row with what the request's constraint forbids masked: in scratch.row, or `row` itself without a constraint.
const float * constrain(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch);

/// The token that shape_distribution() and draw_gumbel() draw from what constrain() makes of the row, with the noise of
/// a stream; -1 if no token is left. Asks about as many tokens as it takes to be sure, and only where those are too
/// many about all of them. `row` becomes the row that was drawn from: what the constraint forbids is masked there, but
/// not necessarily all of it. The scratch holds a distribution of the same heaviest token, whose total is an estimate.
int32_t draw_constrained(const float *& row, size_t n, const DrawRequest & request, NoiseStream stream,
                         DrawScratch & scratch);

}  // namespace eft
