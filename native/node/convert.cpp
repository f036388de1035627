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

std::vector<uint32_t> read_bookmarks(const Napi::Object & object) {
    const Napi::Value members = object.Get("bookmarks");
    if (members.IsUndefined()) return {};
    const auto indices = to_vector<int32_t>(members, "bookmarks");
    return std::vector<uint32_t>(indices.begin(), indices.end());
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

/// Without the history's limit, which the draw has.
Speculation read_speculation(const Napi::Object & object) {
    Speculation speculation;
    speculation.drafts = to_vector<int32_t>(object.Get("drafts"), "drafts");
    speculation.coupling = read_coupling(object.Get("coupling"));
    const Napi::Value drafter = object.Get("drafter");
    if (drafter.IsObject()) speculation.drafter = ReadFusion(drafter.As<Napi::Object>());
    const Napi::Value sampling = object.Get("drafterSampling");
    if (sampling.IsObject()) speculation.drafter_sampling = ReadSampling(sampling.As<Napi::Object>());
    const Napi::Value selective = object.Get("selective");
    if (selective.IsNumber()) speculation.selective = selective.As<Napi::Number>();
    return speculation;
}

/// A `NativePlan`.
void read_plan(const Napi::Object & object, AdvanceEntry & entry) {
    entry.length = object.Get("length").As<Napi::Number>();
    entry.min_confidence = object.Get("minConfidence").As<Napi::Number>().DoubleValue();
    entry.step.speculation.compare = object.Get("compare").ToBoolean();
    entry.forced = object.Get("forced").As<Napi::Number>();
    entry.least_forced = object.Get("leastForced").As<Napi::Number>();
}

void set_top(Napi::Object & object, const std::vector<TokenLogprob> & top) {
    std::vector<int32_t> tokens;
    std::vector<float> logprobs;
    for (const auto & entry : top) {
        tokens.push_back(entry.token);
        logprobs.push_back(entry.logprob);
    }
    object.Set("topTokens", to_typed_array<Napi::Int32Array>(object.Env(), tokens));
    object.Set("topLogprobs", to_typed_array<Napi::Float32Array>(object.Env(), logprobs));
}

Napi::Object to_object(Napi::Env env, const DrawResult & draw) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("token", draw.token);
    object.Set("logprob", static_cast<double>(draw.logprob));
    if (!draw.member_logprobs.empty()) {
        object.Set("memberLogprobs", to_typed_array<Napi::Float64Array>(env, draw.member_logprobs));
    }
    if (!draw.top.empty()) {
        set_top(object, draw.top);
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
    if (draw.is_unasked) object.Set("isUnasked", true);
    return object;
}

Napi::Object to_object(Napi::Env env, const QueryResult & queries) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("logprobs", to_typed_array<Napi::Float64Array>(env, queries.logprobs));
    object.Set("memberLogprobs", to_typed_array<Napi::Float64Array>(env, queries.member_logprobs));
    object.Set("isArgmax", to_typed_array<Napi::Uint8Array>(env, queries.is_argmax));
    if (!queries.top.empty()) set_top(object, queries.top);
    if (!queries.scores.empty()) object.Set("scores", to_typed_array<Napi::Float32Array>(env, queries.scores));
    return object;
}

Napi::Object to_object(Napi::Env env, const Drafted & drafted) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("tokens", to_typed_array<Napi::Int32Array>(env, drafted.tokens));
    object.Set("confidences", to_typed_array<Napi::Float32Array>(env, drafted.confidences));
    object.Set("declined", drafted.declined);
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

AdvanceEntry read_following_entry(const Napi::Object & object, std::shared_ptr<const Target> target,
                                  uint32_t sequences) {
    AdvanceEntry result;
    result.step.target = std::move(target);
    result.step.sequence = object.Get("sequence").As<Napi::Number>();
    require(result.step.sequence < sequences);
    result.follows = object.Get("follows").As<Napi::Number>().Uint32Value();
    const Napi::Value plan = object.Get("plan");
    if (plan.IsObject()) read_plan(plan.As<Napi::Object>(), result);
    return result;
}

AdvanceEntry read_step_entry(const Napi::Object & object, std::shared_ptr<const Target> shared, uint32_t sequences) {
    const Target & target = *shared;
    AdvanceEntry result;
    StepEntry & entry = result.step;
    entry.target = std::move(shared);
    entry.sequence = object.Get("sequence").As<Napi::Number>();
    require(entry.sequence < sequences);
    const Napi::Value begins = object.Get("begins"), copy_from = object.Get("copyFrom");
    if (begins.IsNumber()) result.begins = begins.As<Napi::Number>().Uint32Value();
    if (copy_from.IsNumber()) entry.copy_from = copy_from.As<Napi::Number>().Uint32Value();
    entry.keep = read_keep(object);
    entry.tokens = read_tokens(object);
    entry.bookmarks = read_bookmarks(object);
    entry.external_rows = read_external_rows(object.Get("rows"), target.size());
    const Napi::Value fusion = object.Get("fusion"), draw = object.Get("draw"), queries = object.Get("queries"),
                      speculation = object.Get("speculation");
    if (fusion.IsObject()) entry.fusion = ReadFusion(fusion.As<Napi::Object>());
    if (speculation.IsObject()) entry.speculation = read_speculation(speculation.As<Napi::Object>());
    const Napi::Value plan = object.Get("plan");
    if (plan.IsObject()) read_plan(plan.As<Napi::Object>(), result);
    if (draw.IsObject()) {
        const Napi::Object source = draw.As<Napi::Object>();
        entry.draw = ReadDraw(source);
        entry.speculation.history_limit = source.Get("historyLimit").As<Napi::Number>();
        entry.grammar = read_grammar(source, target);
    }
    if (queries.IsObject()) {
        const Napi::Object source = queries.As<Napi::Object>();
        entry.queries = Queries{source.Get("rows").As<Napi::Number>(), to_vector<int32_t>(source.Get("row"), "row"),
                                to_vector<int32_t>(source.Get("token"), "token"), source.Get("top").As<Napi::Number>(),
                                source.Get("scores").As<Napi::Boolean>()};
    }

    require(!entry.copy_from || *entry.copy_from < sequences);
    require(entry.keep.size() == target.size() && entry.tokens.size() == target.size());
    for (const uint32_t m : entry.bookmarks) require(m < target.size());
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
    // Drafts are made or brought along, and verified by a draw.
    require(result.length == 0 || (entry.draw && entry.speculation.drafter && entry.speculation.drafts.empty()));
    require(!result.begins || (entry.draw && !entry.queries));
    return result;
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

AdvanceEntry read_entry(const Napi::Object & object, std::shared_ptr<const Target> target, uint32_t sequences) {
    return object.Has("follows") ? read_following_entry(object, std::move(target), sequences)
                                 : read_step_entry(object, std::move(target), sequences);
}

Napi::Value to_object(Napi::Env env, const AdvanceResult & result) {
    Napi::Array results = Napi::Array::New(env, result.entries.size());
    for (uint32_t i = 0; i < result.entries.size(); ++i) {
        if (result.entries[i].is_void) {
            results.Set(i, env.Null());
            continue;
        }
        const EntryResult & entry = result.entries[i].step;
        Napi::Object outcome = Napi::Object::New(env);
        if (entry.queries) outcome.Set("queries", to_object(env, *entry.queries));
        Napi::Array draws = Napi::Array::New(env, entry.draws.size());
        for (uint32_t row = 0; row < entry.draws.size(); ++row) {
            draws.Set(row, to_object(env, entry.draws[row]));
        }
        outcome.Set("draws", draws);
        if (!entry.uncovered.empty()) outcome.Set("uncovered", to_array(env, entry.uncovered));
        if (result.entries[i].drafted) outcome.Set("drafted", to_object(env, *result.entries[i].drafted));
        const auto & forced = result.entries[i].forced;
        if (!forced.empty()) {
            Napi::Object object = Napi::Object::New(env);
            object.Set("tokens", to_typed_array<Napi::Int32Array>(env, forced));
            object.Set("verified", result.entries[i].has_verified_forced);
            outcome.Set("forced", object);
        }
        results.Set(i, outcome);
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("results", results);
    object.Set("lengths", to_typed_array<Napi::Int32Array>(env, result.lengths));
    object.Set("decodes", to_array(env, result.decodes));
    object.Set("fuseMs", result.fuse_ms);
    object.Set("draftDecodes", to_array(env, result.draft_decodes));
    object.Set("draftFuseMs", result.draft_fuse_ms);
    object.Set("draftMs", result.draft_ms);
    return object;
}

}  // namespace eft
