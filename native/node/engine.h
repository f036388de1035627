// The JavaScript class that owns an ensemble's native side (`NativeEngine` in src/native/binding.ts).
#pragma once

#include <napi.h>

#include <memory>
#include <vector>

#include "jobs/job.h"
#include "node/convert.h"
#include "node/worker.h"

namespace eft {

class Engine : public Napi::ObjectWrap<Engine> {
  public:
    static void Register(Napi::Env env);
    /// createEngine({ threads, batchSize, sequences }).
    static Napi::Value Create(const Napi::CallbackInfo & info);

    explicit Engine(const Napi::CallbackInfo & info);
    ~Engine() override;

  private:
    Napi::Value LoadModel(const Napi::CallbackInfo & info);
    Napi::Value AddMember(const Napi::CallbackInfo & info);
    Napi::Value SetVocabulary(const Napi::CallbackInfo & info);
    Napi::Value Step(const Napi::CallbackInfo & info);
    Napi::Value Draft(const Napi::CallbackInfo & info);
    Napi::Value Interrupt(const Napi::CallbackInfo & info);
    Napi::Value Dispose(const Napi::CallbackInfo & info);

    EntryLimits Limits() const { return {sequences_, members_, context_.vocabulary_size}; }
    void CheckAlive() const;
    /// On the worker thread. Marks the engine as broken if llama.cpp fails inside `body`.
    template <typename Body>
    void RunLlama(Body && body);
    /// On the worker thread.
    void Break();
    /// On the worker thread, or after it has ended.
    void FreeContexts();

    uint32_t batch_size_, sequences_;
    // Set when llama.cpp failed an assertion: its objects are in an unknown state, so they are leaked, not freed.
    std::atomic<bool> broken_{false};
    bool disposed_ = false;
    uint32_t members_ = 0;
    std::unique_ptr<ThreadPool> pool_;
    JobContext context_;
    // What keeps the models alive: JavaScript's handles do not, so that dispose() gives the memory back.
    std::vector<std::shared_ptr<Model>> models_;
    std::unique_ptr<Worker> worker_;
};

}  // namespace eft
