// Moving numbers between C++ vectors and JavaScript typed arrays.
#pragma once

#include <napi.h>

#include <cstring>
#include <vector>

namespace eft {

template <typename Array, typename T>
Array to_typed_array(Napi::Env env, const std::vector<T> & values) {
    static_assert(sizeof(T) == sizeof(decltype(*std::declval<Array>().Data())), "element types differ in size");
    Array array = Array::New(env, values.size());
    if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
    return array;
}

/// Copies a typed array whose elements are `T`. The caller's side has checked the type.
template <typename T>
std::vector<T> to_vector(const Napi::Value & value) {
    const auto array = value.As<Napi::TypedArrayOf<T>>();
    return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

}  // namespace eft
