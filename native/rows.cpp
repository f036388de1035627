#include "rows.h"

#include <algorithm>
#include <limits>
#include <string>

#include "failure.h"
#include "values.h"
#include "worker.h"

namespace eft {

namespace {

double number_at(const Napi::Object & object, const char * key) {
    return object.Get(key).As<Napi::Number>().DoubleValue();
}

bool flag_at(const Napi::Object & object, const char * key) { return object.Get(key).ToBoolean(); }

bool is_read(const Fusion & fusion, size_t member) {
    return fusion.weights[member] != 0 || (fusion.has_fallback && fusion.fallback[member] != 0);
}

Napi::Value CombineRows(const Napi::CallbackInfo & info) {
    const auto arrays = info[0].As<Napi::Array>();
    const Fusion fusion = ReadFusion(info[1].As<Napi::Object>());
    const size_t members = fusion.weights.size();

    // As many ids as all rows have.
    size_t n = std::numeric_limits<size_t>::max();
    std::vector<const float *> rows(members, nullptr);
    for (uint32_t m = 0; m < members; m++) {
        const Napi::Value value = arrays.Get(m);
        if (value.IsUndefined() && !is_read(fusion, m)) continue;
        const auto row = value.As<Napi::Float32Array>();
        rows[m] = row.Data();
        n = std::min(n, row.ElementLength());
    }
    if (n == std::numeric_limits<size_t>::max()) n = 0;
    const bool has_flags = info[2].IsTypedArray();
    const uint8_t * control_tokens = has_flags ? info[2].As<Napi::Uint8Array>().Data() : nullptr;

    return guarded(info.Env(), [&] {
        FuseScratch scratch;
        const FuseResult result = fuse_rows(rows.data(), fusion, members, n, control_tokens, scratch);
        if (result.fault == RowFault::none) return to_typed_array<Napi::Float32Array>(info.Env(), scratch.target);
        if (result.fault == RowFault::all_masked) throw Failure("NO_TOKEN_LEFT", "Masks exclude every token.");
        throw Failure("NON_FINITE_LOGITS",
                      "Row " + std::to_string(result.faulty_member) + " holds logits that are not numbers.");
    });
}

Napi::Value SampleRow(const Napi::CallbackInfo & info) {
    const auto row = info[0].As<Napi::Float32Array>();
    const DrawRequest request = ReadDraw(info[1].As<Napi::Object>());

    return guarded(info.Env(), [&] {
        const RowFault fault = summarize_row(row.Data(), row.ElementLength()).fault;
        if (fault == RowFault::not_a_number || fault == RowFault::plus_infinity) {
            throw Failure("NON_FINITE_LOGITS", "The row holds log-probabilities that are not numbers.");
        }
        DrawScratch scratch;
        const bool masked = fault == RowFault::all_masked;
        const int32_t token = masked ? -1 : draw_token(row.Data(), row.ElementLength(), request, scratch);
        if (token < 0) throw Failure("NO_TOKEN_LEFT", "The row and the logit biases exclude every token.");
        return Napi::Number::New(info.Env(), token);
    });
}

}  // namespace

Fusion ReadFusion(const Napi::Object & fusion) {
    Fusion result;
    result.weights = to_vector<double>(fusion.Get("weights"));
    const Napi::Value fallback = fusion.Get("fallback");
    result.has_fallback = fallback.IsTypedArray();
    if (result.has_fallback) result.fallback = to_vector<double>(fallback);
    result.conservative_top_p = number_at(fusion, "conservativeTopP");
    result.control_tokens_fallback = flag_at(fusion, "controlTokensFallback");
    return result;
}

DrawRequest ReadDraw(const Napi::Object & draw) {
    DrawRequest result;
    SamplingParameters & sampling = result.sampling;
    sampling.temperature = number_at(draw, "temperature");
    sampling.top_k = static_cast<int32_t>(number_at(draw, "topK"));
    sampling.top_p = number_at(draw, "topP");
    sampling.min_p = number_at(draw, "minP");
    sampling.repeat_penalty = number_at(draw, "repeatPenalty");
    sampling.frequency_penalty = number_at(draw, "frequencyPenalty");
    sampling.presence_penalty = number_at(draw, "presencePenalty");
    result.history = to_vector<int32_t>(draw.Get("history"));
    const auto tokens = to_vector<int32_t>(draw.Get("biasTokens"));
    const auto values = to_vector<float>(draw.Get("biasValues"));
    for (size_t i = 0; i < tokens.size(); i++) result.bias.push_back({tokens[i], values[i]});
    result.seed = static_cast<uint64_t>(number_at(draw, "seed"));
    result.position = static_cast<uint64_t>(number_at(draw, "position"));
    // The rest belongs to a step; sampleRow() is called without.
    const Napi::Value top = draw.Get("top");
    result.top = top.IsNumber() ? top.As<Napi::Number>().Uint32Value() : 0;
    result.members = flag_at(draw, "members");
    result.scores = flag_at(draw, "scores");
    return result;
}

void RegisterRows(Napi::Env env, Napi::Object exports) {
    exports.Set("combineRows", Napi::Function::New<CombineRows>(env, "combineRows"));
    exports.Set("sampleRow", Napi::Function::New<SampleRow>(env, "sampleRow"));
}

}  // namespace eft
