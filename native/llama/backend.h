// ggml's backends and devices, and the processor.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "llama/api.h"

namespace eft {

struct Device {
    std::string name, description, backend, type;
    uint64_t memory_free, memory_total;
};

struct LoadedBackend {
    bool loaded;
    /// What ggml and the backend complained of; a backend that finds no device is loaded and says why.
    std::string said;
};

/// Loads one more backend library, once a process.
LoadedBackend load_backend(const std::string & path);

std::vector<Device> list_devices();

/// Physical cores that this process may run on, at least 1: two hyper-threads of one core slow each other down.
uint32_t physical_cores();

/// All CPU contexts of an engine decode on one pool, one after another. poll = 0: spinning workers of several pools, or
/// of another process, would fight for the cores.
class ThreadPool {
  public:
    explicit ThreadPool(uint32_t threads);
    ~ThreadPool();
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool & operator=(const ThreadPool &) = delete;
    ggml_threadpool_t get() const { return pool_; }
    uint32_t threads() const { return threads_; }

  private:
    ggml_threadpool_t pool_;
    uint32_t threads_;
};

/// While one lives on a thread, a failed assertion of ggml on that thread throws instead of aborting the process: what
/// llama.cpp catches itself, or else what words_of_exception() tells about. What failed is in an unknown state
/// afterwards and must not be touched again. It does so through the callback that install_assertion() installs.
class AssertionGuard {
  public:
    AssertionGuard();
    ~AssertionGuard();
    AssertionGuard(const AssertionGuard &) = delete;
    AssertionGuard & operator=(const AssertionGuard &) = delete;
};

/// For that callback: throws if an AssertionGuard lives on this thread.
void throw_if_guarded(const char * message);

/// What the exception that is being handled says. For every catch (...) around functions of llama.cpp: its C++ run time
/// may be another one than ours, and then no catch (const std::exception &) of ours sees its exceptions.
std::string words_of_exception();

}  // namespace eft
