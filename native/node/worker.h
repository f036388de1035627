// One thread that runs jobs in the order they were given, and a promise for each.
#pragma once

#include <napi.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "failure.h"
#include "llama/backend.h"

namespace eft {

/// Something to run off the JavaScript thread.
class Job {
  public:
    virtual ~Job() = default;
    /// On the worker thread. Throws Failure.
    virtual void run() = 0;
    /// On the JavaScript thread, after run() has returned: what the promise resolves to.
    virtual Napi::Value result(Napi::Env env) { return env.Undefined(); }
    /// Whether it may fail with ABORTED because of an interruption.
    virtual bool interruptible() const { return true; }

  private:
    friend class Worker;
    std::optional<Napi::Promise::Deferred> deferred_;
    // Keeps the JavaScript object that the job works on alive until the promise is settled.
    Napi::ObjectReference owner_;
    std::optional<Failure> failure_;
};

/// The failure as an EftError.
Napi::Error to_error(Napi::Env env, const Failure & failure);

/// Runs `body`; what it throws becomes a JavaScript exception with a code.
template <typename Body>
auto guarded(Napi::Env env, Body && body) {
    try {
        return body();
    } catch (const Failure & failure) {
        throw to_error(env, failure);
    } catch (const Napi::Error &) {
        throw;
    } catch (...) {
        throw to_error(env, Failure("NATIVE_FAILURE", "The native layer failed: " + words_of_exception()));
    }
}

class Worker {
  public:
    explicit Worker(Napi::Env env);
    ~Worker() { stop(); }
    Worker(const Worker &) = delete;
    Worker & operator=(const Worker &) = delete;

    Napi::Promise submit(std::unique_ptr<Job> job, const Napi::Object & owner);

    /// Jobs whose promises are open. On the JavaScript thread.
    size_t unsettled() const { return unsettled_; }
    /// Everything interruptible that was submitted before now fails with ABORTED, soon.
    void interrupt();
    /// True while the running job should give up; to be polled by it.
    const std::atomic<bool> & cancelled() const { return cancelled_; }

    /// Runs on the JavaScript thread, soon. The environment is null if it is being torn down. From any thread.
    void post(std::function<void(Napi::Env)> task);
    /// Interrupts, waits for the job in flight and ends the thread; jobs that never ran are dropped. Idempotent.
    void stop();

  private:
    struct Queued {
        std::unique_ptr<Job> job;
        uint64_t ticket;
    };

    void loop();
    void settle(Napi::Env env, Job & job);

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Queued> queue_;
    uint64_t last_ticket_ = 0;
    uint64_t interrupted_up_to_ = 0;
    uint64_t running_ticket_ = 0;
    bool stopping_ = false;
    std::atomic<bool> cancelled_{false};

    // An idle worker must not keep the process alive, a busy one must.
    size_t unsettled_ = 0;
    Napi::ThreadSafeFunction to_javascript_;
    std::thread thread_;
};

}  // namespace eft
