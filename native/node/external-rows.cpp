#include "node/external-rows.h"

#include <string>
#include <utility>

#include "node/values.h"

namespace eft {

std::vector<std::vector<ExternalRow>> read_external_rows(const Napi::Value & rows, size_t members) {
    if (rows.IsUndefined()) return {};
    if (!rows.IsArray()) throw Failure("OPTION_INVALID", "Rows must be a list.");
    std::vector<std::vector<ExternalRow>> result(members);
    const Napi::Array array = rows.As<Napi::Array>();
    for (uint32_t i = 0; i < array.Length(); ++i) {
        const Napi::Value item = array.Get(i);
        if (!item.IsObject()) throw Failure("OPTION_INVALID", "A row must be an object.");
        const Napi::Object object = item.As<Napi::Object>();
        const int32_t member = to_integer(object.Get("member"), "The member of a row");
        if (member < 0 || static_cast<size_t>(member) >= members) {
            throw Failure("OPTION_INVALID", "There is no member " + std::to_string(member) + " to have a row.");
        }
        const Napi::Value ids = object.Get("ids");
        ExternalRow row;
        if (ids.IsUndefined()) {
            row.logits = to_vector<float>(object.Get("logits"), "The logits of a row");
        } else {
            row.known.emplace();
            row.known->ids = to_vector<int32_t>(ids, "The ids of a row");
            row.known->logprobs = to_vector<double>(object.Get("logprobs"), "The log-probabilities of a row");
        }
        result[static_cast<size_t>(member)].push_back(std::move(row));
    }
    return result;
}

Napi::Value to_array(Napi::Env env, const std::vector<Uncovered> & uncovered) {
    Napi::Array array = Napi::Array::New(env, uncovered.size());
    for (uint32_t i = 0; i < uncovered.size(); ++i) {
        Napi::Object object = Napi::Object::New(env);
        object.Set("member", static_cast<double>(uncovered[i].member));
        object.Set("knownMass", uncovered[i].known_mass);
        object.Set("missing", to_typed_array<Napi::Int32Array>(env, uncovered[i].missing));
        array.Set(i, object);
    }
    return array;
}

}  // namespace eft
