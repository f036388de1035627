#include "node/draw.h"

#include "failure.h"
#include "node/values.h"

namespace eft {

namespace {

double number_at(const Napi::Object & object, const char * key) {
    return object.Get(key).As<Napi::Number>().DoubleValue();
}

bool flag_at(const Napi::Object & object, const char * key) { return object.Get(key).ToBoolean(); }

}  // namespace

Fusion ReadFusion(const Napi::Object & fusion) {
    Fusion result;
    result.weights = to_vector<double>(fusion.Get("weights"), "weights");
    const Napi::Value fallback = fusion.Get("fallback");
    result.has_fallback = !fallback.IsUndefined();
    if (result.has_fallback) result.fallback = to_vector<double>(fallback, "fallback");
    result.conservative_top_p = number_at(fusion, "conservativeTopP");
    result.control_tokens_fallback = flag_at(fusion, "controlTokensFallback");
    return result;
}

SamplingParameters ReadSampling(const Napi::Object & draw) {
    SamplingParameters sampling;
    sampling.temperature = number_at(draw, "temperature");
    sampling.top_k = static_cast<int32_t>(number_at(draw, "topK"));
    sampling.top_p = number_at(draw, "topP");
    sampling.min_p = number_at(draw, "minP");
    sampling.repeat_penalty = number_at(draw, "repeatPenalty");
    sampling.frequency_penalty = number_at(draw, "frequencyPenalty");
    sampling.presence_penalty = number_at(draw, "presencePenalty");
    return sampling;
}

DrawRequest ReadDraw(const Napi::Object & draw) {
    DrawRequest result;
    result.sampling = ReadSampling(draw);
    result.history = to_vector<int32_t>(draw.Get("history"), "history");
    const auto tokens = to_vector<int32_t>(draw.Get("biasTokens"), "biasTokens");
    const auto values = to_vector<float>(draw.Get("biasValues"), "biasValues");
    if (values.size() != tokens.size()) throw Failure("OPTION_INVALID", "biasValues must be as long as biasTokens.");
    for (size_t i = 0; i < tokens.size(); i++) result.bias.push_back({tokens[i], values[i]});
    result.seed = static_cast<uint64_t>(number_at(draw, "seed"));
    result.position = static_cast<uint64_t>(number_at(draw, "position"));
    result.top = static_cast<uint32_t>(number_at(draw, "top"));
    result.members = flag_at(draw, "members");
    result.scores = flag_at(draw, "scores");
    return result;
}

}  // namespace eft
