#include "transfers.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>

#include "backend.h"
#include "copies.h"
#include "failure.h"

namespace eft {
namespace {

using Clock = std::chrono::steady_clock;

std::vector<double> time_each(uint32_t times, const std::function<void()> & copy) {
    copy();
    std::vector<double> result(times);
    for (double & ms : result) {
        const auto start = Clock::now();
        copy();
        ms = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    }
    return result;
}

}  // namespace

TransferTimes time_transfers(const std::string & name, size_t bytes, uint32_t times) {
    const LlamaApi & api = llama_api();
    const AssertionGuard guard;
    const RegistryLock registry(RegistryLock::shared);
    ggml_backend_dev_t device = api.ggml_backend_dev_by_name(name.c_str());
    if (!device) throw Failure("BACKEND_UNAVAILABLE", "There is no device named " + name + ".");
    const std::unique_ptr<ggml_backend, decltype(api.ggml_backend_free)> backend(
        api.ggml_backend_dev_init(device, nullptr), api.ggml_backend_free);
    if (!backend) throw Failure("BACKEND_UNAVAILABLE", "The device " + name + " cannot be opened.");

    using Buffer = std::unique_ptr<ggml_backend_buffer, decltype(api.ggml_backend_buffer_free)>;
    const auto allocate = [&](ggml_backend_buffer_type_t type, size_t size) {
        Buffer buffer(api.ggml_backend_buft_alloc_buffer(type, size), api.ggml_backend_buffer_free);
        if (!buffer) {
            throw Failure("MEMORY_EXCEEDED",
                          "There is no room for " + std::to_string(size) + " bytes to copy on " + name + ".");
        }
        // Pages that were never touched may not be there.
        api.ggml_backend_buffer_clear(buffer.get(), 1);
        return buffer;
    };
    // llama.cpp takes this memory for rows where the device has it, because the device can write into it by itself.
    ggml_backend_buffer_type_t host_type = api.ggml_backend_dev_host_buffer_type(device);
    const Buffer host = allocate(host_type ? host_type : api.ggml_backend_cpu_buffer_type(), bytes);
    const Buffer from = allocate(api.ggml_backend_dev_buffer_type(device), bytes);
    const Buffer to = allocate(api.ggml_backend_dev_buffer_type(device), bytes);

    const std::unique_ptr<ggml_context, decltype(api.ggml_free)> tensors(
        api.ggml_init({2 * api.ggml_tensor_overhead(), nullptr, true}), api.ggml_free);
    const auto place = [&](const Buffer & buffer) {
        ggml_tensor * tensor =
            api.ggml_new_tensor_1d(tensors.get(), GGML_TYPE_F32, static_cast<int64_t>(bytes / sizeof(float)));
        api.ggml_backend_tensor_alloc(buffer.get(), tensor, api.ggml_backend_buffer_get_base(buffer.get()));
        return tensor;
    };
    ggml_tensor * source = place(from);
    ggml_tensor * target = place(to);
    void * rows = api.ggml_backend_buffer_get_base(host.get());
    return {time_each(times,
                      [&] {
                          api.ggml_backend_tensor_get_async(backend.get(), source, rows, 0, bytes);
                          api.ggml_backend_synchronize(backend.get());
                      }),
            time_each(times, [&] {
                api.ggml_backend_tensor_copy(source, target);
                api.ggml_backend_synchronize(backend.get());
            })};
}

}  // namespace eft
