#include "log.h"

#include <algorithm>
#include <list>
#include <vector>

#include "copies.h"

namespace eft {

LogListener::LogListener(Napi::Env env, const Napi::Function & callback)
    : env_(env), function_(Napi::ThreadSafeFunction::New(env, callback, "eft-llama log", 0, 1)) {
    function_.Unref(env);
    napi_add_env_cleanup_hook(env_, on_cleanup, this);
}

void LogListener::close() {
    napi_remove_env_cleanup_hook(env_, on_cleanup, this);
    on_cleanup(this);
}

void LogListener::on_cleanup(void * data) {
    auto * listener = static_cast<LogListener *>(data);
    const std::lock_guard<std::mutex> lock(listener->mutex_);
    listener->closed_ = true;
    listener->function_.Release();
}

void LogListener::deliver(int level, const std::string & text) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (closed_) return;
    auto * line = new Line{level, text};
    const auto call = [](Napi::Env env, Napi::Function callback, Line * data) {
        const std::unique_ptr<Line> owned(data);
        if (env == nullptr) return;
        callback.Call({Napi::Number::New(env, owned->level), Napi::String::New(env, owned->text)});
    };
    if (function_.NonBlockingCall(line, call) != napi_ok) delete line;
}

namespace {

constexpr size_t kMaxCaptured = 2000;

thread_local std::string * capture = nullptr;
// Whether this thread is inside on_log.
thread_local bool logging = false;

std::mutex mutex;
std::vector<std::weak_ptr<LogListener>> listeners;
ggml_log_callback default_callback = nullptr;

/// The same logger, where it stays.
const Logger * keep(const Logger & logger) {
    static std::list<Logger> kept;
    for (const Logger & known : kept) {
        if (known.callback == logger.callback && known.data == logger.data) return &known;
    }
    return &kept.emplace_back(logger);
}

/// Whether lines that a logger is given reach ours, through other copies. There are no circles, because a copy goes
/// before another one only where this says no; but copies on several threads could make one.
bool reaches_us(ggml_log_callback callback) {
    const Copy * copy = copy_of(callback);
    for (int copies = 0; copy && copies < 100; ++copies) {
        if (copy == &this_copy()) return true;
        const Logger * next = copy->next_logger;
        copy = next ? copy_of(next->callback) : nullptr;
    }
    return false;
}

}  // namespace

void on_log(ggml_log_level level, const char * text, void *) {
    // Somebody whom we hand our lines on to may hand them back.
    if (logging) return;
    struct Inside {
        Inside() { logging = true; }
        ~Inside() { logging = false; }
    } inside;
    const bool worth_keeping = level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN;
    if (worth_keeping && capture && capture->size() < kMaxCaptured) capture->append(text);

    std::vector<std::shared_ptr<LogListener>> targets;
    {
        const std::lock_guard<std::mutex> lock(mutex);
        for (const auto & listener : listeners) {
            if (auto target = listener.lock()) targets.push_back(std::move(target));
        }
    }
    if (const Logger * next = this_copy().next_logger) next->callback(level, text, next->data);
    for (const auto & target : targets) target->deliver(level, text);
}

void install_log(const LlamaApi & api) {
    const std::lock_guard<std::mutex> lock(mutex);
    Logger current{nullptr, nullptr};
    api.llama_log_get(&current.callback, &current.data);
    if (current.callback == on_log || reaches_us(current.callback)) return;
    if (!default_callback && !copy_of(current.callback)) {
        // Asking for the default by installing NULL is the only way to learn what the default is.
        void * data = nullptr;
        api.llama_log_set(nullptr, nullptr);
        api.llama_log_get(&default_callback, &data);
    }
    this_copy().next_logger = current.callback == default_callback ? nullptr : keep(current);
    api.llama_log_set(on_log, nullptr);
}

LogCapture::LogCapture() : outer_(capture) {
    // Another user of llama.cpp in this process may have replaced it since.
    install_log(llama_api());
    capture = &text_;
}
LogCapture::~LogCapture() { capture = outer_; }

std::string LogCapture::text() const {
    std::string text = text_;
    std::replace(text.begin(), text.end(), '\n', ' ');
    while (!text.empty() && text.back() == ' ') text.pop_back();
    return text;
}

std::string LogCapture::said() const {
    const std::string words = text();
    return words.empty() ? "" : " llama.cpp says: " + words;
}

std::shared_ptr<LogListener> listen_to_log(Napi::Env env, const Napi::Function & callback) {
    auto listener = std::make_shared<LogListener>(env, callback);
    const std::lock_guard<std::mutex> lock(mutex);
    listeners.erase(std::remove_if(listeners.begin(), listeners.end(), [](const auto & l) { return l.expired(); }),
                    listeners.end());
    listeners.push_back(listener);
    return listener;
}

}  // namespace eft
