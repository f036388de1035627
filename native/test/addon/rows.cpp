// An addon for tests: all that eft_llama has, and combine.h, sample.h and speculate.h on rows in JavaScript memory. Its
// functions are described in test/helpers/rows.ts.
#include <algorithm>
#include <limits>
#include <string>

#include "failure.h"
#include "math/fuse.h"
#include "math/sample.h"
#include "math/speculate.h"
#include "node/addon.h"
#include "node/convert.h"
#include "node/draw.h"
#include "node/grammar-handle.h"
#include "node/values.h"
#include "node/worker.h"

namespace eft {

namespace {

Napi::Value CombineRows(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto arrays = info[0].As<Napi::Array>();
        const Fusion fusion = ReadFusion(info[1].As<Napi::Object>());
        const size_t members = fusion.weights.size();

        // As many ids as all rows have, where nothing is said about ids.
        size_t n = std::numeric_limits<size_t>::max();
        std::vector<MemberRow> rows(members);
        for (uint32_t m = 0; m < members; m++) {
            const Napi::Value value = arrays.Get(m);
            if (value.IsUndefined() && !is_read(fusion, m)) continue;
            const auto row = typed_array<float>(value, "A row");
            rows[m] = {row.Data(), row.ElementLength()};
            n = std::min(n, row.ElementLength());
        }
        if (n == std::numeric_limits<size_t>::max()) n = 0;
        const auto kinds =
            info[2].IsUndefined() ? std::vector<uint8_t>(n, 0) : to_vector<uint8_t>(info[2], "The kinds of tokens");

        FuseScratch scratch;
        const TokenGroups groups = group_tokens(kinds.data(), kinds.size());
        const FuseResult result = fuse_rows(rows.data(), fusion, members, kinds.size(), groups, scratch);
        if (result.fault == RowFault::none) return to_typed_array<Napi::Float32Array>(info.Env(), scratch.target);
        if (result.fault == RowFault::all_masked) throw Failure("NO_TOKEN_LEFT", "Masks exclude every token.");
        const std::string culprit =
            result.faulty_member < 0 ? "The combination" : "Row " + std::to_string(result.faulty_member);
        throw Failure("NON_FINITE_LOGITS", culprit + " holds logits that are not numbers.");
    });
}

/// Throws unless a token can be drawn from the row.
void check_row(const float * row, size_t n) {
    const RowFault fault = summarize_row(row, n).fault;
    if (fault == RowFault::all_masked) throw Failure("NO_TOKEN_LEFT", "The row excludes every token.");
    if (fault == RowFault::none) return;
    throw Failure("NON_FINITE_LOGITS", "The row holds log-probabilities that are not numbers.");
}

/// The grammar of a draw from rows of n entries, at its place.
GrammarCursor read_cursor(const Napi::Value & draw, size_t n) {
    auto grammar = GrammarHandle::GrammarOf(draw.Env(), draw.As<Napi::Object>().Get("grammar"));
    if (grammar && grammar->vocabulary_size() != n) {
        throw Failure("OPTION_INVALID", "The row and the grammar are of different vocabularies.");
    }
    return GrammarCursor(std::move(grammar), nullptr);
}

void check_token(int32_t token) {
    if (token < 0) throw Failure("NO_TOKEN_LEFT", "The row, the logit biases and the grammar exclude every token.");
}

Napi::Value SampleRow(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto row = typed_array<float>(info[0], "The row");
        const size_t n = row.ElementLength();
        DrawRequest request = ReadDraw(info[1].As<Napi::Object>());
        check_row(row.Data(), n);
        GrammarCursor grammar = read_cursor(info[1], n);
        request.constraint = grammar.get();
        DrawScratch scratch;
        const int32_t token = draw_token(row.Data(), n, request, scratch);
        check_token(token);
        return Napi::Number::New(info.Env(), token);
    });
}

Napi::Value DraftRow(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto row = typed_array<float>(info[0], "The row");
        const size_t n = row.ElementLength();
        const Coupling coupling = read_coupling(info[1]);
        DrawRequest request = ReadDraw(info[2].As<Napi::Object>());
        check_row(row.Data(), n);
        GrammarCursor grammar = read_cursor(info[2], n);
        request.constraint = grammar.get();
        SpeculationScratch scratch;
        const Draft draft = draw_draft(row.Data(), n, request, coupling, scratch);
        check_token(draft.token);
        auto result = Napi::Object::New(info.Env());
        result.Set("token", draft.token);
        result.Set("confidence", draft.confidence);
        return result;
    });
}

Napi::Value VerifyRow(const Napi::CallbackInfo & info) {
    return guarded(info.Env(), [&] {
        const auto target = typed_array<float>(info[0], "The target");
        const bool drawn = !info[1].IsUndefined();
        const auto drafter = drawn ? typed_array<float>(info[1], "The drafter's row") : Napi::Float32Array();
        // As many ids as both rows have.
        const size_t n = drawn ? std::min(target.ElementLength(), drafter.ElementLength()) : target.ElementLength();
        const float * drafter_row = drawn ? drafter.Data() : nullptr;
        const int32_t draft = info[2].As<Napi::Number>();
        const Coupling coupling = read_coupling(info[3]);
        DrawRequest request = ReadDraw(info[4].As<Napi::Object>());
        DrawRequest drafted_by = info[5].IsObject() ? ReadDraw(info[5].As<Napi::Object>()) : request;
        GrammarCursor grammar = read_cursor(info[4], n);
        request.constraint = drafted_by.constraint = grammar.get();
        check_row(target.Data(), n);
        if (drafter_row) check_row(drafter_row, n);
        if (draft < 0 || static_cast<size_t>(draft) >= n)
            throw Failure("OPTION_INVALID", "The draft is no id of the row.");
        SpeculationScratch scratch;
        const int32_t token =
            verify_draft(target.Data(), drafter_row, n, draft, request, drafted_by, coupling, scratch);
        check_token(token);
        return Napi::Number::New(info.Env(), token);
    });
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
    InitializeAddon(env, exports);
    exports.Set("combineRows", Napi::Function::New<CombineRows>(env));
    exports.Set("sampleRow", Napi::Function::New<SampleRow>(env));
    exports.Set("draftRow", Napi::Function::New<DraftRow>(env));
    exports.Set("verifyRow", Napi::Function::New<VerifyRow>(env));
    return exports;
}

}  // namespace

NODE_API_MODULE(eft_rows, Initialize)

}  // namespace eft
