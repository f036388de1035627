// Written by scripts/vendor-headers.mjs.
#pragma once

// Tag of the llama.cpp release that these headers belong to.
#define EFT_LLAMA_RELEASE "v0.5.0"
// What llama_version() of that release reports.
#define EFT_LLAMA_VERSION "0.5.0-dev"
