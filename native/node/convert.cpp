#include "node/convert.h"

#include <algorithm>

#include "failure.h"
#include "node/draw.h"
#include "node/external-rows.h"
#include "node/grammar-handle.h"
#include "node/values.h"

namespace eft {
namespace {

bool are_tokens(const std::vector<int32_t> & tokens, const Target & target) {
    return std::all_of(tokens.begin(), tokens.end(), [&](int32_t token) {
        return token >= 0 && static_cast<uint32_t>(token) < target.vocabulary_size();
    });
}

bool fits(const Fusion & fusion, const Target & target) {
    return fusion.weights.size() == target.size() && (!fusion.has_fallback || fusion.fallback.size() == target.size());
}

/// The one place where a mistake on the other side would become a crash.
void require(bool valid) {
    if (!valid) throw Failure("OPTION_INVALID", "An entry of a job does not fit the engine.");
}

std::vector<uint32_t> read_keep(const Napi::Object & object) {
    const auto keep = to_vector<int32_t>(object.Get("keep"), "keep");
    return std::vector<uint32_t>(keep.begin(), keep.end());
}

std::vector<std::vector<int32_t>> read_tokens(const Napi::Object & object) {
    std::vector<std::vector<int32_t>> tokens;
    const Napi::Array array = object.Get("tokens").As<Napi::Array>();
    for (uint32_t m = 0; m < array.Length(); ++m) tokens.push_back(to_vector<int32_t>(array.Get(m), "tokens"));
    return tokens;
}

std::shared_ptr<Grammar> read_grammar(const Napi::Object & draw, const Target & target) {
    auto grammar = GrammarHandle::GrammarOf(draw.Env(), draw.Get("grammar"));
    require(!grammar || grammar->vocabulary_size() == target.vocabulary_size());
    return grammar;
}

Speculation read_speculation(const Napi::Object & object) {
    Speculation speculation;
    speculation.drafts = to_vector<int32_t>(object.Get("drafts"), "drafts");
    speculation.kept_rows = object.Get("keptRows").As<Napi::Number>();
    speculation.coupling = read_coupling(object.Get("coupling"));
    speculation.history_limit = object.Get("historyLimit").As<Napi::Number>();
    const Napi::Value drafter = object.Get("drafter");
    if (drafter.IsObject()) speculation.drafter = ReadFusion(drafter.As<Napi::Object>());
    const Napi::Value sampling = object.Get("drafterSampling");
    if (sampling.IsObject()) speculation.drafter_sampling = ReadSampling(sampling.As<Napi::Object>());
    speculation.compare = object.Get("compare").ToBoolean();
    return speculation;
}

Napi::Object to_object(Napi::Env env, const DrawResult & draw) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("token", draw.token);
    object.Set("logprob", static_cast<double>(draw.logprob));
    if (!draw.member_logprobs.empty()) {
        object.Set("memberLogprobs", to_typed_array<Napi::Float64Array>(env, draw.member_logprobs));
    }
    if (!draw.top.empty()) {
        std::vector<int32_t> tokens;
        std::vector<float> logprobs;
        for (const auto & entry : draw.top) {
            tokens.push_back(entry.token);
            logprobs.push_back(entry.logprob);
        }
        object.Set("topTokens", to_typed_array<Napi::Int32Array>(env, tokens));
        object.Set("topLogprobs", to_typed_array<Napi::Float32Array>(env, logprobs));
        if (!draw.top_member_logprobs.empty()) {
            object.Set("topMemberLogprobs", to_typed_array<Napi::Float32Array>(env, draw.top_member_logprobs));
        }
    }
    if (!draw.scores.empty()) object.Set("scores", to_typed_array<Napi::Float32Array>(env, draw.scores));
    if (draw.drafter) {
        Napi::Object drafter = Napi::Object::New(env);
        drafter.Set("token", draw.drafter->token);
        drafter.Set("confidence", draw.drafter->confidence);
        drafter.Set("totalVariation", draw.drafter->total_variation);
        drafter.Set("memberLogprobs", to_typed_array<Napi::Float64Array>(env, draw.drafter->member_logprobs));
        object.Set("drafter", drafter);
    }
    return object;
}

Napi::Object to_object(Napi::Env env, const QueryResult & queries) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("logprobs", to_typed_array<Napi::Float64Array>(env, queries.logprobs));
    object.Set("memberLogprobs", to_typed_array<Napi::Float64Array>(env, queries.member_logprobs));
    object.Set("isArgmax", to_typed_array<Napi::Uint8Array>(env, queries.is_argmax));
    if (!queries.scores.empty()) object.Set("scores", to_typed_array<Napi::Float32Array>(env, queries.scores));
    return object;
}

Napi::Array to_array(Napi::Env env, const std::vector<DecodeCost> & decodes) {
    Napi::Array array = Napi::Array::New(env, decodes.size());
    for (uint32_t i = 0; i < decodes.size(); ++i) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("context", decodes[i].context);
        object.Set("tokens", decodes[i].tokens);
        object.Set("ms", decodes[i].ms);
        array.Set(i, object);
    }
    return array;
}

}  // namespace

Coupling read_coupling(const Napi::Value & value) {
    return value.As<Napi::String>().Utf8Value() == "maximal" ? Coupling::maximal : Coupling::gumbel;
}

std::shared_ptr<const Target> read_target(const Napi::Object & object) {
    const auto ids = to_vector<int32_t>(object.Get("contexts"), "contexts");
    std::vector<std::vector<int32_t>> lacking;
    const Napi::Array lists = object.Get("lacking").As<Napi::Array>();
    for (uint32_t m = 0; m < lists.Length(); ++m) lacking.push_back(to_vector<int32_t>(lists.Get(m), "lacking"));
    return make_target({ids.begin(), ids.end()}, to_vector<uint8_t>(object.Get("kinds"), "kinds"),
                       to_vector<uint8_t>(object.Get("endOfGeneration"), "endOfGeneration"), std::move(lacking));
}

StepEntry read_step_entry(const Napi::Object & object, std::shared_ptr<const Target> shared, uint32_t sequences) {
    const Target & target = *shared;
    StepEntry entry;
    entry.target = std::move(shared);
    entry.sequence = object.Get("sequence").As<Napi::Number>();
    const Napi::Value copy_from = object.Get("copyFrom");
    if (copy_from.IsNumber()) entry.copy_from = copy_from.As<Napi::Number>().Uint32Value();
    entry.keep = read_keep(object);
    entry.tokens = read_tokens(object);
    entry.external_rows = read_external_rows(object.Get("rows"), target.size());
    const Napi::Value fusion = object.Get("fusion"), draw = object.Get("draw"), queries = object.Get("queries"),
                      speculation = object.Get("speculation");
    if (fusion.IsObject()) entry.fusion = ReadFusion(fusion.As<Napi::Object>());
    if (draw.IsObject()) {
        entry.draw = ReadDraw(draw.As<Napi::Object>());
        entry.grammar = read_grammar(draw.As<Napi::Object>(), target);
    }
    if (speculation.IsObject()) entry.speculation = read_speculation(speculation.As<Napi::Object>());
    if (queries.IsObject()) {
        const Napi::Object source = queries.As<Napi::Object>();
        entry.queries =
            Queries{source.Get("rows").As<Napi::Number>(), to_vector<int32_t>(source.Get("row"), "row"),
                    to_vector<int32_t>(source.Get("token"), "token"), source.Get("scores").As<Napi::Boolean>()};
    }

    require(entry.sequence < sequences && (!entry.copy_from || *entry.copy_from < sequences));
    require(entry.keep.size() == target.size() && entry.tokens.size() == target.size());
    for (size_t m = 0; m < entry.external_rows.size(); ++m) {
        require(entry.external_rows[m].empty() || !entry.tokens[m].empty());
    }
    if (entry.draw || entry.queries) require(fits(entry.fusion, target));
    if (entry.queries) {
        require(entry.queries->row.size() == entry.queries->token.size());
        const auto & tokens = entry.queries->token;
        require(std::all_of(tokens.begin(), tokens.end(), [](int32_t token) { return token >= 0; }));
    }
    require(are_tokens(entry.speculation.drafts, target));
    require(!entry.speculation.drafter || fits(*entry.speculation.drafter, target));
    return entry;
}

DraftEntry read_draft_entry(const Napi::Object & object, std::shared_ptr<const Target> shared, uint32_t sequences) {
    const Target & target = *shared;
    DraftEntry entry;
    entry.target = std::move(shared);
    entry.sequence = object.Get("sequence").As<Napi::Number>();
    entry.keep = read_keep(object);
    entry.tokens = read_tokens(object);
    entry.drafter = ReadFusion(object.Get("drafter").As<Napi::Object>());
    entry.draw = ReadDraw(object.Get("draw").As<Napi::Object>());
    entry.grammar = read_grammar(object.Get("draw").As<Napi::Object>(), target);
    entry.coupling = read_coupling(object.Get("coupling"));
    entry.history_limit = object.Get("historyLimit").As<Napi::Number>();
    entry.length = object.Get("length").As<Napi::Number>();
    entry.min_confidence = object.Get("minConfidence").As<Napi::Number>().DoubleValue();

    require(entry.sequence < sequences && entry.length >= 1 && fits(entry.drafter, target));
    require(entry.keep.size() == target.size() && entry.tokens.size() == target.size());
    return entry;
}

Napi::Value to_object(Napi::Env env, const StepResult & step) {
    Napi::Array results = Napi::Array::New(env, step.entries.size());
    for (uint32_t i = 0; i < step.entries.size(); ++i) {
        const EntryResult & entry = step.entries[i];
        Napi::Object result = Napi::Object::New(env);
        if (entry.queries) result.Set("queries", to_object(env, *entry.queries));
        Napi::Array draws = Napi::Array::New(env, entry.draws.size());
        for (uint32_t row = 0; row < entry.draws.size(); ++row) {
            draws.Set(row, to_object(env, entry.draws[row]));
        }
        result.Set("draws", draws);
        if (!entry.uncovered.empty()) result.Set("uncovered", to_array(env, entry.uncovered));
        results.Set(i, result);
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("results", results);
    object.Set("decodes", to_array(env, step.decodes));
    object.Set("lengths", to_typed_array<Napi::Int32Array>(env, step.lengths));
    object.Set("fuseMs", step.fuse_ms);
    return object;
}

Napi::Value to_object(Napi::Env env, const DraftResult & draft) {
    Napi::Array drafts = Napi::Array::New(env, draft.drafts.size());
    for (uint32_t i = 0; i < draft.drafts.size(); ++i) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("tokens", to_typed_array<Napi::Int32Array>(env, draft.drafts[i]));
        object.Set("confidences", to_typed_array<Napi::Float32Array>(env, draft.confidences[i]));
        object.Set("declined", draft.declined[i]);
        drafts.Set(i, object);
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("drafts", drafts);
    object.Set("decodes", to_array(env, draft.decodes));
    object.Set("lengths", to_typed_array<Napi::Int32Array>(env, draft.lengths));
    object.Set("fuseMs", draft.fuse_ms);
    return object;
}

}  // namespace eft
