#include "node/log-callback.h"

#include <memory>

namespace eft {

LogCallback::LogCallback(Napi::Env env, const Napi::Function & callback)
    : env_(env), function_(Napi::ThreadSafeFunction::New(env, callback, "eft-llama log", 0, 1)) {
    function_.Unref(env);
    napi_add_env_cleanup_hook(env_, on_cleanup, this);
}

void LogCallback::close() {
    napi_remove_env_cleanup_hook(env_, on_cleanup, this);
    on_cleanup(this);
}

void LogCallback::on_cleanup(void * self) {
    auto * callback = static_cast<LogCallback *>(self);
    const std::lock_guard<std::mutex> lock(callback->mutex_);
    callback->closed_ = true;
    callback->function_.Release();
}

void LogCallback::deliver(int level, const std::string & text) {
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

}  // namespace eft
