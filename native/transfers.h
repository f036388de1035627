// How long a device takes to copy memory: what rows of logits cost on their way to the host. For benchmarks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace eft {

/// Milliseconds of single copies.
struct TransferTimes {
    std::vector<double> to_host;  // as llama_decode hands rows of logits over: queued on the device, then waited for
    std::vector<double> within;   // on the device, which reads as many bytes and writes as many
};

/// Copies `bytes` so many times each way, after one that is not timed. Throws Failure BACKEND_UNAVAILABLE,
/// MEMORY_EXCEEDED.
TransferTimes time_transfers(const std::string & device, size_t bytes, uint32_t times);

}  // namespace eft
