#include "node/process.h"

#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include "llama/api.h"
#include "llama/backend.h"
#include "llama/header.h"
#include "llama/model.h"
#include "llama/transfers.h"
#include "node/state.h"
#include "node/values.h"
#include "node/worker.h"
#include "vendor/llama.cpp/version.h"

namespace eft {
namespace {

Napi::Value SetErrorClass(const Napi::CallbackInfo & info) {
    AddonState::of(info.Env()).error_class = Napi::Persistent(info[0].As<Napi::Function>());
    return info.Env().Undefined();
}

Napi::Value OpenLibraries(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const Napi::Object paths = info[0].As<Napi::Object>();
        const std::string version =
            open_libraries({paths.Get("base").As<Napi::String>(), paths.Get("ggml").As<Napi::String>(),
                            paths.Get("llama").As<Napi::String>(), paths.Get("backends").As<Napi::String>()});
        return Napi::String::New(info.Env(), version);
    });
}

Napi::Value LoadBackend(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const LoadedBackend backend = load_backend(info[0].As<Napi::String>());
        Napi::Object result = Napi::Object::New(info.Env());
        result.Set("loaded", backend.loaded);
        result.Set("said", backend.said);
        return result;
    });
}

Napi::Value StopWorkers(const Napi::CallbackInfo & info) {
    for (Worker * worker : AddonState::of(info.Env()).workers) worker->stop();
    return info.Env().Undefined();
}

Napi::Value Devices(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        Napi::Array result = Napi::Array::New(info.Env());
        for (const Device & device : list_devices()) {
            Napi::Object object = Napi::Object::New(info.Env());
            object.Set("name", device.name);
            object.Set("description", device.description);
            object.Set("backend", device.backend);
            object.Set("type", device.type);
            object.Set("memoryFree", static_cast<double>(device.memory_free));
            object.Set("memoryTotal", static_cast<double>(device.memory_total));
            result.Set(result.Length(), object);
        }
        return result;
    });
}

Napi::Value TimeTransfers(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto bytes = static_cast<size_t>(info[1].As<Napi::Number>().Int64Value());
        const TransferTimes times = time_transfers(info[0].As<Napi::String>(), bytes, info[2].As<Napi::Number>());
        Napi::Object object = Napi::Object::New(info.Env());
        object.Set("toHostMs", to_typed_array<Napi::Float64Array>(info.Env(), times.to_host));
        object.Set("withinMs", to_typed_array<Napi::Float64Array>(info.Env(), times.within));
        return object;
    });
}

Napi::Value TypeSizes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const LlamaApi & api = llama_api();
        Napi::Array result = Napi::Array::New(info.Env(), GGML_TYPE_COUNT);
        for (uint32_t i = 0; i < GGML_TYPE_COUNT; ++i) {
            const auto type = static_cast<ggml_type>(i);
            Napi::Object object = Napi::Object::New(info.Env());
            object.Set("bytes", static_cast<double>(api.ggml_type_size(type)));
            object.Set("numbers", static_cast<double>(api.ggml_blck_size(type)));
            result.Set(i, object);
        }
        return result;
    });
}

Napi::Value GraphBytes(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const LlamaApi & api = llama_api();
        const size_t nodes = info[0].As<Napi::Number>().Uint32Value();
        const size_t bytes = nodes * api.ggml_tensor_overhead() + api.ggml_graph_overhead_custom(nodes, false);
        return Napi::Number::New(info.Env(), static_cast<double>(bytes));
    });
}

Napi::Value PhysicalCores(const Napi::CallbackInfo & info) { return Napi::Number::New(info.Env(), physical_cores()); }

Napi::Value SetLog(const Napi::CallbackInfo & info) {
    auto & callback = AddonState::of(info.Env()).log_callback;
    if (callback) callback->close();
    callback = info[0].IsFunction() ? std::make_shared<LogCallback>(info.Env(), info[0].As<Napi::Function>()) : nullptr;
    if (callback) listen_to_log(callback);
    return info.Env().Undefined();
}

template <typename Element>
Napi::Value to_js(Napi::Env env, const Element & value) {
    if constexpr (std::is_same_v<Element, bool>) {
        return Napi::Boolean::New(env, value);
    } else if constexpr (std::is_same_v<Element, double>) {
        return Napi::Number::New(env, value);
    } else if constexpr (std::is_same_v<Element, std::string>) {
        return Napi::String::New(env, value);
    } else {
        Napi::Array array = Napi::Array::New(env, value.size());
        for (uint32_t i = 0; i < value.size(); ++i) {
            array.Set(i, to_js<typename Element::value_type>(env, value[i]));
        }
        return array;
    }
}

/// Pairs of key and value: an object would take some keys that a file may have for its own.
Napi::Array list_entries_for_js(Napi::Env env, const std::vector<NamedEntry> & entries) {
    Napi::Array result = Napi::Array::New(env, entries.size());
    uint32_t index = 0;
    for (const auto & [key, value] : entries) {
        Napi::Array pair = Napi::Array::New(env, 2);
        pair.Set(0u, key);
        pair.Set(1u, std::visit([&](const auto & held) { return to_js(env, held); }, value));
        result.Set(index++, pair);
    }
    return result;
}

Napi::Value ReadHeader(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const Header header = read_header(info[0].As<Napi::String>());
        Napi::Object object = Napi::Object::New(info.Env());
        object.Set("architecture", header.architecture);
        object.Set("type", header.type);
        object.Set("blockCount", header.block_count);
        object.Set("expertCount", header.expert_count);
        object.Set("tensorCount", static_cast<double>(header.tensor_count));
        object.Set("tensorBytes", static_cast<double>(header.tensor_bytes));
        object.Set("fileBytes", static_cast<double>(header.file_bytes));
        object.Set("splitCount", header.split_count);
        object.Set("vocabularySize", static_cast<double>(header.vocabulary_size));
        object.Set("tokenizer", header.tokenizer);
        object.Set("identity", file_identity(info[0].As<Napi::String>()));
        object.Set("eos", static_cast<double>(header.eos));
        const Dimensions & dimensions = header.dimensions;
        object.Set("embeddingSize", static_cast<double>(dimensions.embedding));
        object.Set("widestSize", static_cast<double>(dimensions.widest));
        object.Set("heads", static_cast<double>(dimensions.heads));
        object.Set("keyValueHeads", static_cast<double>(dimensions.key_value_heads));
        object.Set("keyLength", static_cast<double>(dimensions.key_length));
        object.Set("valueLength", static_cast<double>(dimensions.value_length));
        object.Set("expertsUsed", static_cast<double>(dimensions.experts_used));
        object.Set("indexerKeyLength", static_cast<double>(dimensions.indexer_key_length));
        object.Set("parameters", static_cast<double>(header.parameters));
        object.Set("quantization", header.quantization);
        object.Set("entries", list_entries_for_js(info.Env(), header.entries));
        return object;
    });
}

Napi::Value ReadTensors(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const Header header = read_header(info[0].As<Napi::String>());
        Napi::Array result = Napi::Array::New(info.Env(), header.tensors.size());
        uint32_t index = 0;
        for (const TensorInfo & tensor : header.tensors) {
            size_t dimensions = GGML_MAX_DIMS;
            while (dimensions > 1 && tensor.shape[dimensions - 1] == 1) --dimensions;
            Napi::Object object = Napi::Object::New(info.Env());
            object.Set("name", tensor.name);
            object.Set("shape", to_js(info.Env(), std::vector<double>(tensor.shape, tensor.shape + dimensions)));
            object.Set("type", static_cast<double>(tensor.type));
            object.Set("bytes", static_cast<double>(tensor.bytes));
            result.Set(index++, object);
        }
        return result;
    });
}

Napi::Value CheckAdapter(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        check_adapter(info[0].As<Napi::String>());
        return info.Env().Undefined();
    });
}

}  // namespace

void RegisterProcess(Napi::Env env, Napi::Object exports) {
    exports.Set("compiledFor", EFT_LLAMA_VERSION);
    exports.Set("llamaRelease", EFT_LLAMA_RELEASE);
    exports.Set("setErrorClass", Napi::Function::New<SetErrorClass>(env));
    exports.Set("openLibraries", Napi::Function::New<OpenLibraries>(env));
    exports.Set("loadBackend", Napi::Function::New<LoadBackend>(env));
    exports.Set("stopWorkers", Napi::Function::New<StopWorkers>(env, "stopWorkers"));
    exports.Set("devices", Napi::Function::New<Devices>(env));
    exports.Set("timeTransfers", Napi::Function::New<TimeTransfers>(env));
    exports.Set("typeSizes", Napi::Function::New<TypeSizes>(env));
    exports.Set("graphBytes", Napi::Function::New<GraphBytes>(env));
    exports.Set("physicalCores", Napi::Function::New<PhysicalCores>(env));
    exports.Set("setLog", Napi::Function::New<SetLog>(env));
    exports.Set("readHeader", Napi::Function::New<ReadHeader>(env));
    exports.Set("readTensors", Napi::Function::New<ReadTensors>(env));
    exports.Set("checkAdapter", Napi::Function::New<CheckAdapter>(env));
}

}  // namespace eft
