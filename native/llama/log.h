// llama.cpp's log. Its logger is one per process and has no idea which ensemble a line belongs to, so lines are (a)
// kept per thread while a job wants to explain a failure and (b) handed to whoever listens.
#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <string>

#include "llama/api.h"

namespace eft {

/// Puts our logger before the one that is installed, which keeps getting every line unless it is llama.cpp's default
/// (that one prints to stderr). Does nothing where lines reach ours already, through other copies of the addon too. May
/// be called again.
void install_log(const LlamaApi & api);

/// Our logger.
void on_log(ggml_log_level level, const char * text, void * data);

/// While it lives, warnings and errors that this thread logs are collected.
class LogCapture {
  public:
    LogCapture();
    ~LogCapture();
    LogCapture(const LogCapture &) = delete;
    LogCapture & operator=(const LogCapture &) = delete;

    /// The collected lines, joined by spaces.
    std::string text() const;
    /// The same as one sentence to append to a message: " llama.cpp says: ...", or "".
    std::string said() const;

  private:
    std::string text_;
    std::string * outer_;
};

/// Somebody in an addon environment who wants the log. Lines come from all threads, and may be on their way to it while
/// its environment ends.
class LogListener {
  public:
    LogListener(Napi::Env env, const Napi::Function & callback);
    LogListener(const LogListener &) = delete;
    LogListener & operator=(const LogListener &) = delete;

    /// From any thread.
    void deliver(int level, const std::string & text);
    /// No line is delivered from now on. On the thread of the environment, which does it by itself when it ends.
    void close();

  private:
    struct Line {
        int level;
        std::string text;
    };
    static void on_cleanup(void * listener);

    napi_env env_;
    std::mutex mutex_;
    bool closed_ = false;
    Napi::ThreadSafeFunction function_;
};

/// Calls `callback(level, text)` on the thread of `env` for each line, until the result is closed.
std::shared_ptr<LogListener> listen_to_log(Napi::Env env, const Napi::Function & callback);

}  // namespace eft
