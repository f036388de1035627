#include "llama/stack.h"

#include <exception>
#include <new>

#if defined(_WIN32)
#include <process.h>
#include <windows.h>
#else
#include <pthread.h>
#endif

namespace eft {
namespace {

struct Call {
    const std::function<void()> & body;
    std::exception_ptr failure;

    void run() {
        try {
            body();
        } catch (...) {
            failure = std::current_exception();
        }
    }
};

#if defined(_WIN32)

unsigned __stdcall run_call(void * data) {
    static_cast<Call *>(data)->run();
    return 0;
}

bool run_on_thread(size_t bytes, Call & call) {
    const uintptr_t thread = _beginthreadex(nullptr, static_cast<unsigned>(bytes), run_call, &call,
                                            STACK_SIZE_PARAM_IS_A_RESERVATION, nullptr);
    if (thread == 0) return false;
    const HANDLE handle = reinterpret_cast<HANDLE>(thread);
    WaitForSingleObject(handle, INFINITE);
    CloseHandle(handle);
    return true;
}

#else

void * run_call(void * data) {
    static_cast<Call *>(data)->run();
    return nullptr;
}

// macOS takes multiples of the size of a page alone; no system has larger pages than 64 KiB by default.
constexpr size_t kStackUnit = 1 << 16;

bool run_on_thread(size_t bytes, Call & call) {
    bytes = (bytes + kStackUnit - 1) / kStackUnit * kStackUnit;
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_t thread;
    const bool started = pthread_attr_setstacksize(&attributes, bytes) == 0 &&
                         pthread_create(&thread, &attributes, run_call, &call) == 0;
    pthread_attr_destroy(&attributes);
    if (started) pthread_join(thread, nullptr);
    return started;
}

#endif

}  // namespace

void run_with_stack(size_t bytes, const std::function<void()> & body) {
    Call call{body, nullptr};
    if (!run_on_thread(bytes, call)) throw std::bad_alloc();
    if (call.failure) std::rethrow_exception(call.failure);
}

}  // namespace eft
