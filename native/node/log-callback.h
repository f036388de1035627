// llama.cpp's log for a function of JavaScript.
#pragma once

#include <napi.h>

#include <mutex>
#include <string>

#include "llama/log.h"

namespace eft {

/// Calls `callback(level, text)` on the thread of `env`. Lines may be on their way to it while its environment ends.
class LogCallback : public LogListener {
  public:
    LogCallback(Napi::Env env, const Napi::Function & callback);
    LogCallback(const LogCallback &) = delete;
    LogCallback & operator=(const LogCallback &) = delete;

    /// From any thread.
    void deliver(int level, const std::string & text) override;
    /// No line is delivered from now on. On the thread of the environment, which does it by itself when it ends.
    void close();

  private:
    struct Line {
        int level;
        std::string text;
    };
    static void on_cleanup(void * self);

    napi_env env_;
    std::mutex mutex_;
    bool closed_ = false;
    Napi::ThreadSafeFunction function_;
};

}  // namespace eft
