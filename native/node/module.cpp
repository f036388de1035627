// Where Node enters the addon.
#include "node/addon.h"

using eft::InitializeAddon;
NODE_API_MODULE(eft_llama, InitializeAddon)
