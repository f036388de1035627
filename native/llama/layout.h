// Whether structures that cross by value lie in llama.cpp's libraries as in the headers that the addon was compiled
// with.
#pragma once

#include <string>

#include "llama/api.h"

namespace eft {

/// Asks for structures with a release's defaults: how many bytes a library writes, and what it writes where a field is
/// expected. A version says less: libraries of changed sources have it too. Calls nothing else. `library` names
/// libllama's file. Throws Failure LLAMA_VERSION_MISMATCH.
void check_layout(const LlamaApi & api, const std::string & library);

}  // namespace eft
