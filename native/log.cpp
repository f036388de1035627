#include "log.h"

#include <algorithm>
#include <vector>

#include "llama-api.h"

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

std::mutex mutex;
std::vector<std::weak_ptr<LogListener>> listeners;
ggml_log_callback default_callback = nullptr;
ggml_log_callback next_callback = nullptr;
void * next_data = nullptr;

void on_log(ggml_log_level level, const char * text, void *) {
    const bool worth_keeping = level == GGML_LOG_LEVEL_ERROR || level == GGML_LOG_LEVEL_WARN;
    if (worth_keeping && capture && capture->size() < kMaxCaptured) capture->append(text);

    ggml_log_callback next;
    void * data;
    std::vector<std::shared_ptr<LogListener>> targets;
    {
        const std::lock_guard<std::mutex> lock(mutex);
        next = next_callback;
        data = next_data;
        for (const auto & listener : listeners) {
            if (auto target = listener.lock()) targets.push_back(std::move(target));
        }
    }
    if (next) next(level, text, data);
    for (const auto & target : targets) target->deliver(level, text);
}

}  // namespace

void install_log(const LlamaApi & api) {
    const std::lock_guard<std::mutex> lock(mutex);
    ggml_log_callback current = nullptr;
    void * data = nullptr;
    api.llama_log_get(&current, &data);
    if (current == on_log) return;
    if (!default_callback) {
        // Asking for the default by installing NULL is the only way to learn what the default is.
        void * default_data = nullptr;
        api.llama_log_set(nullptr, nullptr);
        api.llama_log_get(&default_callback, &default_data);
    }
    next_callback = current == default_callback ? nullptr : current;
    next_data = data;
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
