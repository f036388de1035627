// Functions about the whole process: libraries, backends, devices, log, headers of files.
#pragma once

#include <napi.h>

namespace eft {

void RegisterProcess(Napi::Env env, Napi::Object exports);

}  // namespace eft
