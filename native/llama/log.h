// llama.cpp's log. Its logger is one per process and has no idea which ensemble a line belongs to, so lines are (a)
// kept per thread while a job wants to explain a failure and (b) handed to whoever listens.
#pragma once

#include <memory>
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

/// Somebody who wants the log. Lines come from all threads.
class LogListener {
  public:
    virtual ~LogListener() = default;
    virtual void deliver(int level, const std::string & text) = 0;
};

/// Hands each line to `listener` for as long as somebody else owns it.
void listen_to_log(const std::shared_ptr<LogListener> & listener);

}  // namespace eft
