// What the addon exports.
#pragma once

#include <napi.h>

namespace eft {

/// Gives an environment what it owns, and JavaScript what `NativeBinding` of src/native/binding.ts has.
Napi::Object InitializeAddon(Napi::Env env, Napi::Object exports);

}  // namespace eft
