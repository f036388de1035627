#include "copies.h"

#include <cstdio>
#include <shared_mutex>

#include "backend.h"
#include "log.h"

#ifdef _WIN32
#include <windows.h>
#define EFT_EXPORT __declspec(dllexport)
#else
#include <dlfcn.h>
#define EFT_EXPORT __attribute__((visibility("default")))
#endif

namespace eft {
namespace {

constexpr const char * kSymbol = "eft_llama_copy_1";

std::shared_mutex registry;
// To whom failed assertions on threads that are not ours are handed on: another copy, and somebody else.
std::atomic<ggml_abort_callback_t> next_copy{nullptr}, next_other{nullptr};
// Whether this thread is handing one on, and may get it back.
thread_local bool handing_on = false;

void lock_registry(bool exclusive) { exclusive ? registry.lock() : registry.lock_shared(); }
void unlock_registry(bool exclusive) { exclusive ? registry.unlock() : registry.unlock_shared(); }

void on_assertion(const char * message) {
    throw_if_guarded(message);
    if (handing_on) return;
    struct HandingOn {
        HandingOn() { handing_on = true; }
        ~HandingOn() { handing_on = false; }
    } inside;
    const ggml_abort_callback_t copy = next_copy, other = next_other;
    if (copy) copy(message);
    if (other) {
        other(message);
    } else if (!copy) {
        fprintf(stderr, "%s\n", message);
    }
}

/// The library that a function belongs to exports a variable of that name: where it is.
void * find_beside(const void * function, const char * name) {
#ifdef _WIN32
    HMODULE module = nullptr;
    const DWORD flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    if (!GetModuleHandleExW(flags, reinterpret_cast<LPCWSTR>(function), &module)) return nullptr;
    return reinterpret_cast<void *>(GetProcAddress(module, name));
#else
    Dl_info info;
    if (!dladdr(function, &info)) return nullptr;
    void * library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
    if (!library) return nullptr;
    void * found = dlsym(library, name);
    dlclose(library);
    return found;
#endif
}

template <typename Callback>
Copy * find_copy(Callback callback) {
    if (!callback) return nullptr;
    return static_cast<Copy *>(find_beside(reinterpret_cast<const void *>(callback), kSymbol));
}

}  // namespace

extern "C" EFT_EXPORT Copy eft_llama_copy_1;
Copy eft_llama_copy_1{on_log, {nullptr}, on_assertion, {nullptr}, lock_registry, unlock_registry};

Copy & this_copy() { return eft_llama_copy_1; }

Copy * copy_of(ggml_log_callback callback) {
    Copy * copy = find_copy(callback);
    return copy && copy->on_log == callback ? copy : nullptr;
}

Copy * copy_of(ggml_abort_callback_t callback) {
    Copy * copy = find_copy(callback);
    return copy && copy->on_assertion == callback ? copy : nullptr;
}

ggml_abort_callback_t install_assertion(const LlamaApi & api) {
    const ggml_abort_callback_t displaced = api.ggml_set_abort_callback(on_assertion);
    if (displaced && displaced != on_assertion) (copy_of(displaced) ? next_copy : next_other) = displaced;
    return displaced;
}

void join_copies(const LlamaApi & api) {
    if (this_copy().first) return;
    // A lock of ggml's own, so that copies that open at the same moment find each other.
    api.ggml_critical_section_start();
    const Copy * before = copy_of(install_assertion(api));
    this_copy().first = before ? before->first.load() : &this_copy();
    api.ggml_critical_section_end();
}

RegistryLock::RegistryLock(Kind kind) : owner_(this_copy().first), exclusive_(kind == exclusive) {
    owner_->lock_registry(exclusive_);
}

RegistryLock::~RegistryLock() { owner_->unlock_registry(exclusive_); }

}  // namespace eft
