#include "node/draw.h"

#include "failure.h"
#include "node/values.h"

namespace eft {

namespace {

double number(const Napi::Value & value) { return value.As<Napi::Number>().DoubleValue(); }

}  // namespace

Fusion ReadFusion(const Napi::Object & fusion) {
    Fusion result;
    result.weights = to_vector<double>(fusion.Get("weights"), "weights");
    const Napi::Value fallback = fusion.Get("fallback");
    result.has_fallback = !fallback.IsUndefined();
    if (result.has_fallback) result.fallback = to_vector<double>(fallback, "fallback");
    result.conservative_top_p = number(fusion.Get("conservativeTopP"));
    result.control_tokens_fallback = fusion.Get("controlTokensFallback").ToBoolean();
    return result;
}

SamplingParameters ReadSampling(const Napi::Object & draw) {
    SamplingParameters sampling;
    sampling.temperature = number(draw.Get("temperature"));
    sampling.top_k = static_cast<int32_t>(number(draw.Get("topK")));
    sampling.top_p = number(draw.Get("topP"));
    sampling.min_p = number(draw.Get("minP"));
    sampling.repeat_penalty = number(draw.Get("repeatPenalty"));
    sampling.frequency_penalty = number(draw.Get("frequencyPenalty"));
    sampling.presence_penalty = number(draw.Get("presencePenalty"));
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
    result.seed = static_cast<uint64_t>(number(draw.Get("seed")));
    result.position = static_cast<uint64_t>(number(draw.Get("position")));
    result.top = static_cast<uint32_t>(number(draw.Get("top")));
    result.members = draw.Get("members").ToBoolean();
    result.scores = draw.Get("scores").ToBoolean();
    return result;
}

}  // namespace eft
