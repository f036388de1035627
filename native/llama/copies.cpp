#include "llama/copies.h"

#include <cstdio>
#include <shared_mutex>
#include <thread>

#include "llama/backend.h"
#include "llama/log.h"

#ifdef _WIN32
#include <windows.h>
#define EFT_EXPORT __declspec(dllexport)
#else
#include <dlfcn.h>
#define EFT_EXPORT __attribute__((visibility("default")))
#endif

namespace eft {
namespace {

constexpr const char * kSymbol = "eft_llama_copy_2";

std::shared_mutex registry;
void lock_registry(bool exclusive) { exclusive ? registry.lock() : registry.lock_shared(); }
void unlock_registry(bool exclusive) { exclusive ? registry.unlock() : registry.unlock_shared(); }

bool & calls_displaced() {
    static thread_local bool calls = false;
    return calls;
}

/// The copy that came first.
Copy & first_copy() {
    // Another thread may be inside join_copies(), where our callback is installed already.
    while (!this_copy().first) std::this_thread::yield();
    return *this_copy().first;
}

void on_assertion(const char * message) {
    Copy & first = first_copy();
    bool & calling = first.calls_displaced();
    // Whom we call may call the one that it has displaced itself, which is one of us.
    if (calling) return;
    for (const Copy * copy = &first; copy; copy = copy->next) copy->throw_if_guarded(message);
    const ggml_abort_callback_t displaced = first.displaced;
    if (!displaced) {
        fprintf(stderr, "%s\n", message);
        return;
    }
    struct Calling {
        bool & calling;
        explicit Calling(bool & calling_) : calling(calling_) { calling = true; }
        ~Calling() { calling = false; }
    } inside(calling);
    displaced(message);
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

extern "C" EFT_EXPORT Copy eft_llama_copy_2;
Copy eft_llama_copy_2{on_log,           {nullptr},     on_assertion,    {nullptr}, {nullptr},
                      throw_if_guarded, lock_registry, unlock_registry, {nullptr}, calls_displaced};

Copy & this_copy() { return eft_llama_copy_2; }

Copy * copy_of(ggml_log_callback callback) {
    Copy * copy = find_copy(callback);
    return copy && copy->on_log == callback ? copy : nullptr;
}

Copy * copy_of(ggml_abort_callback_t callback) {
    Copy * copy = find_copy(callback);
    return copy && copy->on_assertion == callback ? copy : nullptr;
}

void install_assertion(const LlamaApi & api) {
    const ggml_abort_callback_t before = api.ggml_set_abort_callback(on_assertion);
    const Copy * copy = copy_of(before);
    Copy & first = first_copy();
    // Copies that joined while another library's callback was installed have not found us, and are called like that
    // one. A copy that is joining at this moment will find us.
    const Copy * theirs = copy ? copy->first.load() : nullptr;
    if (before && (!copy || (theirs && theirs != &first))) first.displaced = before;
}

void join_copies(const LlamaApi & api) {
    if (this_copy().first) return;
    // A lock of ggml's own, so that copies that open at the same moment find each other.
    api.ggml_critical_section_start();
    const ggml_abort_callback_t installed = api.ggml_set_abort_callback(on_assertion);
    if (const Copy * before = copy_of(installed)) {
        Copy * last = before->first;
        while (last->next) last = last->next;
        last->next = &this_copy();
        this_copy().first = before->first.load();
    } else {
        this_copy().displaced = installed;
        this_copy().first = &this_copy();
    }
    api.ggml_critical_section_end();
}

RegistryLock::RegistryLock(Kind kind) : owner_(this_copy().first), exclusive_(kind == exclusive) {
    owner_->lock_registry(exclusive_);
}

RegistryLock::~RegistryLock() { owner_->unlock_registry(exclusive_); }

}  // namespace eft
