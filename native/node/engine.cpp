#include "node/engine.h"

#include <algorithm>
#include <utility>

#include "jobs/external-member.h"
#include "llama/context.h"
#include "llama/header.h"
#include "node/convert.h"
#include "node/model-handle.h"
#include "node/state.h"
#include "node/values.h"

namespace eft {
namespace {

/// A job whose work and result are given as functions.
template <typename Run, typename Result>
class FunctionJob : public Job {
  public:
    FunctionJob(Run run, Result result, bool interruptible)
        : run_(std::move(run)), result_(std::move(result)), interruptible_(interruptible) {}
    void run() override { run_(); }
    Napi::Value result(Napi::Env env) override { return result_(env); }
    bool interruptible() const override { return interruptible_; }

  private:
    Run run_;
    Result result_;
    bool interruptible_;
};

template <typename Run, typename Result>
std::unique_ptr<Job> make_job(Run run, Result result, bool interruptible = true) {
    return std::make_unique<FunctionJob<Run, Result>>(std::move(run), std::move(result), interruptible);
}

/// Models that are read at the same time: most recipes have three members. A large vocabulary takes llama.cpp half a
/// second of one core.
constexpr size_t kMaxLoaders = 4;

const auto nothing = [](Napi::Env env) { return env.Undefined(); };

/// When an environment ends, nobody calls dispose(); a running decode must still stop first.
void stop_worker(void * worker) { static_cast<Worker *>(worker)->stop(); }

ggml_type cache_type(const std::string & name) {
    return name == "q8_0" ? GGML_TYPE_Q8_0 : name == "q4_0" ? GGML_TYPE_Q4_0 : GGML_TYPE_F16;
}

/// The same for files that are the same now: one that has been replaced is read anew.
std::string model_key(const ModelOptions & options) {
    std::string key = file_identity(options.path);
    key += std::to_string(options.gpu_layers) + (options.vocabulary_only ? " vocabulary" : "");
    for (const auto & device : options.devices) key += "\n" + device;
    return key;
}

}  // namespace

void Engine::Register(Napi::Env env) {
    const Napi::Function constructor = DefineClass(
        env, "NativeEngine",
        {InstanceMethod<&Engine::LoadModel>("loadModel"), InstanceMethod<&Engine::AddContext>("addContext"),
         InstanceMethod<&Engine::AddExternalContext>("addExternalContext"),
         InstanceMethod<&Engine::RemoveContexts>("removeContexts"),
         InstanceMethod<&Engine::ReleaseModels>("releaseModels"), InstanceMethod<&Engine::CreateTarget>("createTarget"),
         InstanceMethod<&Engine::RemoveTarget>("removeTarget"), InstanceMethod<&Engine::Step>("step"),
         InstanceMethod<&Engine::Forget>("forget"), InstanceMethod<&Engine::Interrupt>("interrupt"),
         InstanceMethod<&Engine::InterruptLoading>("interruptLoading"), InstanceMethod<&Engine::Dispose>("dispose")});
    AddonState::of(env).engine_class = Napi::Persistent(constructor);
}

Napi::Value Engine::Create(const Napi::CallbackInfo & info) {
    return AddonState::of(info.Env()).engine_class.New({info[0]});
}

Engine::Engine(const Napi::CallbackInfo & info) : Napi::ObjectWrap<Engine>(info) {
    const Napi::Object options = info[0].As<Napi::Object>();
    batch_size_ = options.Get("batchSize").As<Napi::Number>();
    sequences_ = options.Get("sequences").As<Napi::Number>();
    const uint32_t threads = options.Get("threads").As<Napi::Number>();
    guarded(info.Env(), [&] { pool_ = std::make_unique<ThreadPool>(threads); });
    worker_ = MakeWorker();
    state_.cancelled = &worker_->cancelled();
    state_.kept.resize(sequences_);
    state_.continuations.resize(sequences_);
}

Engine::~Engine() {
    const auto end = [this](Worker * worker) {
        if (!worker) return;
        napi_remove_env_cleanup_hook(Env(), stop_worker, worker);
        AddonState::of(Env()).workers.erase(worker);
        worker->stop();
    };
    for (const auto & loader : loaders_) end(loader.get());
    end(worker_.get());
    FreeContexts();
}

std::unique_ptr<Worker> Engine::MakeWorker() {
    auto worker = std::make_unique<Worker>(Env());
    napi_add_env_cleanup_hook(Env(), stop_worker, worker.get());
    AddonState::of(Env()).workers.insert(worker.get());
    return worker;
}

Worker & Engine::Loader() {
    const auto rarest = std::min_element(loaders_.begin(), loaders_.end(), [](const auto & a, const auto & b) {
        return a->unsettled() < b->unsettled();
    });
    const bool is_idle = rarest != loaders_.end() && (*rarest)->unsettled() == 0;
    if (is_idle || loaders_.size() == kMaxLoaders) return **rarest;
    return *loaders_.emplace_back(MakeWorker());
}

void Engine::FreeContexts() {
    if (broken_) {
        for (auto & context : state_.contexts) static_cast<void>(context.release());
        static_cast<void>(pool_.release());
    }
    // The pool last: a context that was given a pool touches it until it is freed.
    state_.contexts.clear();
    models_.clear();
    pool_.reset();
}

template <typename Body>
void Engine::RunLlama(Body && body) {
    const AssertionGuard guard;
    try {
        body();
    } catch (const Failure &) {
        throw;
    } catch (...) {
        Break();
        throw Failure("NATIVE_FAILURE", "llama.cpp stopped: " + words_of_exception());
    }
}

void Engine::Break() {
    broken_ = true;
    const std::lock_guard<std::mutex> lock(models_mutex_);
    for (const auto & known : known_models_) {
        if (const auto model = known.lock()) model->retire();
    }
}

void Engine::CheckAlive() const {
    if (disposed_) throw Failure("DISPOSED", "The ensemble has been disposed.");
    if (broken_) {
        throw Failure("NATIVE_FAILURE",
                      "The ensemble cannot be used any more, because llama.cpp failed inside it; "
                      "dispose it and load it again.");
    }
}

Napi::Value Engine::LoadModel(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        CheckAlive();
        const Napi::Object object = info[0].As<Napi::Object>();
        ModelOptions options{object.Get("path").As<Napi::String>(),
                             object.Get("gpuLayers").As<Napi::Number>(),
                             {},
                             object.Get("vocabularyOnly").ToBoolean()};
        const Napi::Array devices = object.Get("devices").As<Napi::Array>();
        for (uint32_t i = 0; i < devices.Length(); ++i) options.devices.push_back(devices.Get(i).As<Napi::String>());
        std::shared_ptr<Napi::FunctionReference> on_progress;
        if (object.Get("onProgress").IsFunction()) {
            on_progress = std::make_shared<Napi::FunctionReference>(
                Napi::Persistent(object.Get("onProgress").As<Napi::Function>()));
        }

        auto & shared = AddonState::of(env).models[model_key(options)];
        if (!shared) shared = std::make_shared<SharedModel>();
        auto model = std::make_shared<std::shared_ptr<Model>>();
        Worker & loader = Loader();
        const auto report = [&loader, on_progress](float fraction) {
            if (on_progress) {
                loader.post([on_progress, fraction](Napi::Env progress_env) {
                    if (progress_env == nullptr) return on_progress->SuppressDestruct();
                    const Napi::HandleScope scope(progress_env);
                    on_progress->Call({Napi::Number::New(progress_env, fraction)});
                });
            }
            return !loader.cancelled();
        };
        return loader.submit(
            make_job(
                [this, &loader, shared = shared, model, options, report] {
                    *model = shared->get([&] { return Model::load(options, report); },
                                         [&loader] { return loader.cancelled().load(); });
                    const std::lock_guard<std::mutex> lock(models_mutex_);
                    models_.push_back(*model);
                    known_models_.erase(std::remove_if(known_models_.begin(), known_models_.end(),
                                                       [](const auto & known) { return known.expired(); }),
                                        known_models_.end());
                    known_models_.push_back(*model);
                },
                [model, on_progress](Napi::Env result_env) { return ModelHandle::Create(result_env, *model); }),
            Value());
    });
}

Napi::Value Engine::AddContext(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    return guarded(env, [&]() -> Napi::Value {
        CheckAlive();
        const Napi::Object object = info[0].As<Napi::Object>();
        ContextOptions options;
        options.model = ModelHandle::ModelOf(env, object.Get("model"));
        if (object.Get("lora").IsObject()) {
            const Napi::Object lora = object.Get("lora").As<Napi::Object>();
            options.lora_path = lora.Get("path").As<Napi::String>();
            options.lora_scale = lora.Get("scale").As<Napi::Number>();
        }
        options.cells = object.Get("cells").As<Napi::Number>();
        options.offload_cache = object.Get("offloadCache").As<Napi::Boolean>();
        options.cache_type = cache_type(object.Get("cacheType").As<Napi::String>());
        options.sequences = sequences_;
        options.batch_size = batch_size_;
        const uint32_t id = contexts_++;
        constexpr bool interruptible = false;
        return worker_->submit(
            make_job(
                [this, options, id] {
                    RunLlama([&] { Add(id, std::make_unique<Context>(options, *pool_, worker_->cancelled())); });
                },
                [id](Napi::Env result_env) { return Napi::Number::New(result_env, id); }, interruptible),
            Value());
    });
}

Napi::Value Engine::AddExternalContext(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        const Napi::Object object = info[0].As<Napi::Object>();
        auto context = std::make_shared<std::unique_ptr<Member>>(std::make_unique<ExternalMember>(
            to_text(object.Get("name"), "The name of a context"),
            to_integer(object.Get("vocabularySize"), "The size of a vocabulary"), sequences_));
        const uint32_t id = contexts_++;
        constexpr bool interruptible = false;
        return worker_->submit(
            make_job([this, context, id] { Add(id, std::move(*context)); },
                     [id](Napi::Env result_env) { return Napi::Number::New(result_env, id); }, interruptible),
            Value());
    });
}

void Engine::Add(uint32_t id, std::unique_ptr<Member> context) {
    state_.contexts.resize(std::max<size_t>(state_.contexts.size(), id + 1));
    state_.contexts[id] = std::move(context);
}

Napi::Value Engine::RemoveContexts(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        const auto ids = to_vector<int32_t>(info[0], "contexts");
        constexpr bool interruptible = false;
        return worker_->submit(make_job(
                                   [this, ids] {
                                       for (const int32_t id : ids) {
                                           const auto index = static_cast<size_t>(id);
                                           if (index < state_.contexts.size()) state_.contexts[index].reset();
                                       }
                                   },
                                   nothing, interruptible),
                               Value());
    });
}

Napi::Value Engine::ReleaseModels(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        constexpr bool interruptible = false;
        return worker_->submit(make_job(
                                   [this] {
                                       // A context keeps its own.
                                       const std::lock_guard<std::mutex> lock(models_mutex_);
                                       models_.clear();
                                   },
                                   nothing, interruptible),
                               Value());
    });
}

Napi::Value Engine::CreateTarget(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        targets_[targets_made_] = read_target(info[0].As<Napi::Object>());
        return Napi::Number::New(info.Env(), targets_made_++);
    });
}

Napi::Value Engine::RemoveTarget(const Napi::CallbackInfo & info) {
    targets_.erase(info[0].As<Napi::Number>().Uint32Value());
    return info.Env().Undefined();
}

std::shared_ptr<const Target> Engine::TargetOf(const Napi::Object & entry) const {
    const auto found = targets_.find(entry.Get("target").As<Napi::Number>().Uint32Value());
    if (found == targets_.end()) throw Failure("DISPOSED", "The ensemble has been disposed.");
    return found->second;
}

Napi::Value Engine::Step(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        auto entries = std::make_shared<std::vector<AdvanceEntry>>();
        const Napi::Array array = info[0].As<Napi::Array>();
        for (uint32_t i = 0; i < array.Length(); ++i) {
            const Napi::Object entry = array.Get(i).As<Napi::Object>();
            entries->push_back(read_entry(entry, TargetOf(entry), sequences_));
        }
        // A job that only moves caches takes no time, and the bookkeeping of the caches relies on its success.
        const bool evaluates = std::any_of(entries->begin(), entries->end(), [](const AdvanceEntry & entry) {
            const auto & tokens = entry.step.tokens;
            return entry.follows ||
                   std::any_of(tokens.begin(), tokens.end(), [](const auto & t) { return !t.empty(); });
        });
        auto result = std::make_shared<AdvanceResult>();
        return worker_->submit(
            make_job([this, entries, result] { RunLlama([&] { *result = run_advance(state_, std::move(*entries)); }); },
                     [result](Napi::Env env) { return to_object(env, *result); }, evaluates),
            Value());
    });
}

Napi::Value Engine::Forget(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&]() -> Napi::Value {
        CheckAlive();
        const uint32_t id = info[0].As<Napi::Number>(), sequence = info[1].As<Napi::Number>(),
                       keep = info[2].As<Napi::Number>();
        if (sequence >= sequences_) throw Failure("OPTION_INVALID", "There is no such sequence.");
        constexpr bool interruptible = false;
        return worker_->submit(make_job(
                                   [this, id, sequence, keep] {
                                       RunLlama([&] {
                                           state_.continuations[sequence].reset();
                                           if (id < state_.contexts.size() && state_.contexts[id]) {
                                               state_.contexts[id]->rewind(sequence, keep);
                                           }
                                       });
                                   },
                                   nothing, interruptible),
                               Value());
    });
}

Napi::Value Engine::InterruptLoading(const Napi::CallbackInfo & info) {
    for (const auto & loader : loaders_) loader->interrupt();
    return info.Env().Undefined();
}

Napi::Value Engine::Interrupt(const Napi::CallbackInfo & info) {
    worker_->interrupt();
    return info.Env().Undefined();
}

Napi::Value Engine::Dispose(const Napi::CallbackInfo & info) {
    const Napi::Env env = info.Env();
    if (disposed_) {
        const auto deferred = Napi::Promise::Deferred::New(env);
        deferred.Resolve(env.Undefined());
        return deferred.Promise();
    }
    disposed_ = true;
    for (const auto & loader : loaders_) loader->interrupt();
    worker_->interrupt();
    return FreeAfterLoaders(0);
}

Napi::Value Engine::FreeAfterLoaders(size_t first) {
    // Signals may fire until it is done.
    constexpr bool interruptible = false;
    if (first < loaders_.size()) {
        return loaders_[first]->submit(
            make_job([] {}, [this, first](Napi::Env) { return FreeAfterLoaders(first + 1); }, interruptible), Value());
    }
    return worker_->submit(make_job([this] { FreeContexts(); },
                                    [this](Napi::Env result_env) {
                                        worker_->stop();
                                        for (const auto & loader : loaders_) loader->stop();
                                        return result_env.Undefined();
                                    },
                                    interruptible),
                           Value());
}

}  // namespace eft
