#include "llama/backend.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "failure.h"
#include "llama/copies.h"
#include "llama/log.h"

#if defined(__linux__)
#include <sched.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(_WIN32)
#include <windows.h>
#endif

namespace eft {
namespace {

thread_local int guards = 0;
/// What the failed assertion said that is on its way as an exception.
thread_local std::string assertion;

const char * type_name(enum ggml_backend_dev_type type) {
    switch (type) {
        case GGML_BACKEND_DEVICE_TYPE_CPU: return "cpu";
        case GGML_BACKEND_DEVICE_TYPE_GPU: return "gpu";
        case GGML_BACKEND_DEVICE_TYPE_IGPU: return "igpu";
        default: return "accelerator";
    }
}

}  // namespace

LoadedBackend load_backend(const std::string & path) {
    static std::mutex mutex;
    static std::map<std::string, LoadedBackend> outcomes;
    const auto find_outcome = [&]() -> std::optional<LoadedBackend> {
        const std::lock_guard<std::mutex> lock(mutex);
        const auto known = outcomes.find(path);
        return known == outcomes.end() ? std::nullopt : std::optional(known->second);
    };
    // Without the registry, which is locked while a model is loaded elsewhere: this runs on JavaScript's threads.
    if (const auto outcome = find_outcome()) return *outcome;
    const RegistryLock registry(RegistryLock::exclusive);
    // Another thread may have been quicker.
    if (const auto outcome = find_outcome()) return *outcome;
    const LogCapture log;
    const bool loaded = llama_api().ggml_backend_load(path.c_str()) != nullptr;
    const std::lock_guard<std::mutex> lock(mutex);
    return outcomes[path] = {loaded, log.text()};
}

std::vector<Device> list_devices() {
    const LlamaApi & api = llama_api();
    const RegistryLock lock(RegistryLock::shared);
    std::vector<Device> devices;
    for (size_t i = 0; i < api.ggml_backend_dev_count(); ++i) {
        ggml_backend_dev_t device = api.ggml_backend_dev_get(i);
        size_t memory_free = 0, memory_total = 0;
        api.ggml_backend_dev_memory(device, &memory_free, &memory_total);
        std::string backend = api.ggml_backend_reg_name(api.ggml_backend_dev_backend_reg(device));
        std::transform(backend.begin(), backend.end(), backend.begin(),
                       [](unsigned char c) { return std::tolower(c); });
        devices.push_back({api.ggml_backend_dev_name(device), api.ggml_backend_dev_description(device), backend,
                           type_name(api.ggml_backend_dev_type(device)), memory_free, memory_total});
    }
    return devices;
}

uint32_t physical_cores() {
    const uint32_t logical = std::max(1u, std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return logical;
    std::set<std::string> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed)) continue;
        std::ifstream file("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list");
        std::string siblings;
        if (!std::getline(file, siblings)) return logical;
        cores.insert(siblings);
    }
    return cores.empty() ? logical : static_cast<uint32_t>(cores.size());
#elif defined(__APPLE__)
    // Efficiency cores hold the performance cores back at every barrier.
    for (const char * name : {"hw.perflevel0.physicalcpu", "hw.physicalcpu"}) {
        int32_t cores = 0;
        size_t size = sizeof(cores);
        if (sysctlbyname(name, &cores, &size, nullptr, 0) == 0 && cores > 0) return static_cast<uint32_t>(cores);
    }
    return logical;
#elif defined(_WIN32)
    DWORD bytes = 0;
    GetLogicalProcessorInformation(nullptr, &bytes);
    std::vector<SYSTEM_LOGICAL_PROCESSOR_INFORMATION> processors(bytes / sizeof(SYSTEM_LOGICAL_PROCESSOR_INFORMATION));
    if (!GetLogicalProcessorInformation(processors.data(), &bytes)) return logical;
    const auto cores = std::count_if(processors.begin(), processors.end(),
                                     [](const auto & p) { return p.Relationship == RelationProcessorCore; });
    return cores > 0 ? static_cast<uint32_t>(cores) : logical;
#else
    return logical;
#endif
}

ThreadPool::ThreadPool(uint32_t threads) : threads_(threads) {
    const LlamaApi & api = llama_api();
    ggml_threadpool_params parameters = api.ggml_threadpool_params_default(static_cast<int>(threads));
    parameters.poll = 0;
    pool_ = api.ggml_threadpool_new(&parameters);
    if (!pool_) throw Failure("CONTEXT_FAILED", "Cannot start " + std::to_string(threads) + " threads.");
}

ThreadPool::~ThreadPool() { llama_api().ggml_threadpool_free(pool_); }

AssertionGuard::AssertionGuard() {
    if (guards == 0) {
        install_assertion(llama_api());
        assertion.clear();
    }
    ++guards;
}

AssertionGuard::~AssertionGuard() { --guards; }

void throw_if_guarded(const char * message) {
    if (guards == 0) return;
    assertion = message;
    // Of llama.cpp's own C++ run time where it is known, so that llama.cpp frees what it has begun.
    if (const auto throw_theirs = llama_api().throw_runtime_error) throw_theirs(message);
    throw std::runtime_error(message);
}

std::string words_of_exception() {
    try {
        throw;
    } catch (const std::exception & exception) {
        return exception.what();
    } catch (...) {
        const std::string said = std::exchange(assertion, "");
        return said.empty() ? "it threw an exception of another C++ run time" : said;
    }
}

}  // namespace eft
