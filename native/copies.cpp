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
// Somebody else's, to whom failed assertions on threads that are not ours are handed on.
ggml_abort_callback_t next_assertion = nullptr;

void lock_registry(bool exclusive) { exclusive ? registry.lock() : registry.lock_shared(); }
void unlock_registry(bool exclusive) { exclusive ? registry.unlock() : registry.unlock_shared(); }

void on_assertion(const char * message) {
    throw_if_guarded(message);
    if (next_assertion) {
        next_assertion(message);
    } else {
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

void join_copies(const LlamaApi & api) {
    if (this_copy().first) return;
    // A lock of ggml's own, so that copies that open at the same moment find each other.
    api.ggml_critical_section_start();
    next_assertion = api.ggml_set_abort_callback(on_assertion);
    const Copy * before = copy_of(next_assertion);
    this_copy().first = before ? before->first.load() : &this_copy();
    api.ggml_critical_section_end();
}

RegistryLock::RegistryLock(Kind kind) : owner_(this_copy().first), exclusive_(kind == exclusive) {
    owner_->lock_registry(exclusive_);
}

RegistryLock::~RegistryLock() { owner_->unlock_registry(exclusive_); }

}  // namespace eft
