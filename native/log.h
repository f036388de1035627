// llama.cpp's log. Its logger is one per process and has no idea which ensemble a line belongs to, so lines are (a)
// kept per thread while a job wants to explain a failure and (b) handed to whoever listens.
#pragma once

#include <napi.h>

#include <memory>
#include <string>

namespace eft {

struct LlamaApi;

/// Puts our logger before the one that is installed, which keeps getting every line unless it is llama.cpp's default
/// (that one prints to stderr). Called once, by open_libraries().
void install_log(const LlamaApi & api);

/// While it lives, warnings and errors that this thread logs are collected.
class LogCapture {
  public:
    LogCapture();
    ~LogCapture();
    LogCapture(const LogCapture &) = delete;
    LogCapture & operator=(const LogCapture &) = delete;

    /// The collected lines as one sentence to append to a message: " llama.cpp says: ...", or "".
    std::string said() const;

  private:
    std::string text_;
    std::string * outer_;
};

class LogListener;

/// Calls `callback(level, text)` on the thread of `env` for each line, until the result is destroyed.
std::shared_ptr<LogListener> listen_to_log(Napi::Env env, const Napi::Function & callback);

}  // namespace eft
