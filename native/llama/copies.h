// Copies of this addon in one process: npm makes such trees, and each copy is a library of its own with variables of
// its own. llama.cpp's logger, ggml's callback for failed assertions and its registry of backends exist once a process,
// so the copies have to know each other.
#pragma once

#include <atomic>

#include "llama/api.h"

namespace eft {

/// A function of llama.cpp's log, and what it is called with.
struct Logger {
    ggml_log_callback callback;
    void * data;
};

/// What a copy shows to the others. Copies of other releases read it, so it never changes: what has to be different
/// gets another symbol.
struct Copy {
    ggml_log_callback on_log;
    /// Whom on_log hands its lines on to; null: nobody. What it points to never changes.
    std::atomic<const Logger *> next_logger;
    ggml_abort_callback_t on_assertion;
    /// The copy that came first, whose locks all copies use; null until this one has joined.
    std::atomic<Copy *> first;
    /// The copy that came after this one; null: none. Once set it never changes.
    std::atomic<Copy *> next;
    /// Throws if this copy has an AssertionGuard on this thread.
    void (*throw_if_guarded)(const char * message);
    void (*lock_registry)(bool exclusive);
    void (*unlock_registry)(bool exclusive);
    /// Of the copy that came first, for all of them: somebody else whose callback for failed assertions one of ours
    /// took the place of, and whether this thread is calling it.
    std::atomic<ggml_abort_callback_t> displaced;
    bool & (*calls_displaced)();
};

/// This copy.
Copy & this_copy();

/// The copy that a callback is of; null if it is somebody else's.
Copy * copy_of(ggml_log_callback callback);
Copy * copy_of(ggml_abort_callback_t callback);

/// Puts our callback for failed assertions in the place of the one that is installed. Another library, or another copy,
/// may have replaced ours since the last time; it costs as much as storing a pointer. From any thread.
void install_assertion(const LlamaApi & api);

/// Installs that callback, finds the copies that were there before and joins their list, once; before the registry is
/// used.
void join_copies(const LlamaApi & api);

/// ggml's registry of backends has no lock of its own. While a shared one lives nobody adds a backend, while an
/// exclusive one lives nobody else looks at them either.
class RegistryLock {
  public:
    enum Kind { shared, exclusive };
    explicit RegistryLock(Kind kind);
    ~RegistryLock();
    RegistryLock(const RegistryLock &) = delete;
    RegistryLock & operator=(const RegistryLock &) = delete;

  private:
    Copy * owner_;
    bool exclusive_;
};

}  // namespace eft
