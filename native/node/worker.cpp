#include "node/worker.h"

#include <chrono>

#include "node/state.h"

namespace eft {

Napi::Error to_error(Napi::Env env, const Failure & failure) {
    const Napi::FunctionReference & error_class = AddonState::of(env).error_class;
    return Napi::Error(env,
                       error_class.New({Napi::String::New(env, failure.code), Napi::String::New(env, failure.what())}));
}

Worker::Worker(Napi::Env env)
    : to_javascript_(Napi::ThreadSafeFunction::New(env, Napi::Function::New(env, [](const Napi::CallbackInfo &) {}),
                                                   "eft-llama worker", 0, 1)) {
    to_javascript_.Unref(env);
    thread_ = std::thread([this] { loop(); });
}

void Worker::stop() {
    if (!thread_.joinable()) return;
    interrupt();
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
    to_javascript_.Release();
}

Napi::Promise Worker::submit(std::unique_ptr<Job> job, const Napi::Object & owner) {
    const Napi::Env env = owner.Env();
    job->deferred_ = Napi::Promise::Deferred::New(env);
    job->owner_ = Napi::Persistent(owner);
    const Napi::Promise promise = job->deferred_->Promise();
    if (unsettled_++ == 0) to_javascript_.Ref(env);
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        queue_.push_back({std::move(job), ++last_ticket_});
    }
    wake_.notify_one();
    return promise;
}

void Worker::interrupt() {
    const std::lock_guard<std::mutex> lock(mutex_);
    interrupted_up_to_ = last_ticket_;
    if (running_ticket_ != 0) cancelled_ = true;
}

void Worker::post(std::function<void(Napi::Env)> task) {
    auto * data = new std::function<void(Napi::Env)>(std::move(task));
    const auto call = [](Napi::Env env, Napi::Function, std::function<void(Napi::Env)> * body) {
        const std::unique_ptr<std::function<void(Napi::Env)>> owned(body);
        (*owned)(env);
    };
    // It fails only while the environment closes; then the task is leaked, because what it holds may not be dropped
    // here.
    static_cast<void>(to_javascript_.NonBlockingCall(data, call));
}

void Worker::loop() {
    for (;;) {
        Queued next;
        {
            std::unique_lock<std::mutex> lock(mutex_);
            const auto has_work = [this] { return stopping_ || !queue_.empty(); };
            // Not wait(): compiled by GCC 12 or newer, that needs a newer libstdc++ than anything else here does.
            while (!wake_.wait_for(lock, std::chrono::hours(1), has_work)) continue;
            if (stopping_) return;
            next = std::move(queue_.front());
            queue_.pop_front();
            running_ticket_ = next.ticket;
            cancelled_ = next.ticket <= interrupted_up_to_ && next.job->interruptible();
        }
        Job & job = *next.job;
        try {
            if (cancelled_) throw Failure("ABORTED", "The operation was aborted.");
            job.run();
        } catch (const Failure & failure) {
            job.failure_ = failure;
        } catch (...) {
            job.failure_ = Failure("NATIVE_FAILURE", "The native layer failed: " + words_of_exception());
        }
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            running_ticket_ = 0;
            cancelled_ = false;
        }
        // Moved, not copied: the job holds references that only the JavaScript thread may drop.
        std::shared_ptr<Job> finished(std::move(next.job));
        post([this, finished = std::move(finished)](Napi::Env env) { settle(env, *finished); });
    }
}

void Worker::settle(Napi::Env env, Job & job) {
    if (env == nullptr) {
        job.owner_.SuppressDestruct();
        return;
    }
    const Napi::HandleScope scope(env);
    if (--unsettled_ == 0) to_javascript_.Unref(env);
    if (job.failure_) {
        job.deferred_->Reject(to_error(env, *job.failure_).Value());
        return;
    }
    try {
        job.deferred_->Resolve(job.result(env));
    } catch (const Failure & failure) {
        job.deferred_->Reject(to_error(env, failure).Value());
    } catch (const Napi::Error & error) {
        job.deferred_->Reject(error.Value());
    }
}

}  // namespace eft
