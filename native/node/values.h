// Values that JavaScript hands in, checked, and numbers between C++ vectors and typed arrays.
#pragma once

#include <napi.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "failure.h"

namespace eft {

/// A typed array of `T`. Throws Failure OPTION_INVALID for anything else: node-addon-api would take any typed array for
/// it, and read beyond one with smaller elements.
template <typename T>
Napi::TypedArrayOf<T> typed_array(const Napi::Value & value, const char * name) {
    static_assert(std::is_same_v<T, int32_t> || std::is_same_v<T, uint8_t> || std::is_same_v<T, float> ||
                  std::is_same_v<T, double>);
    constexpr napi_typedarray_type type = std::is_same_v<T, int32_t>   ? napi_int32_array
                                          : std::is_same_v<T, uint8_t> ? napi_uint8_array
                                          : std::is_same_v<T, float>   ? napi_float32_array
                                                                       : napi_float64_array;
    constexpr const char * type_name = std::is_same_v<T, int32_t>   ? "an Int32Array"
                                       : std::is_same_v<T, uint8_t> ? "a Uint8Array"
                                       : std::is_same_v<T, float>   ? "a Float32Array"
                                                                    : "a Float64Array";
    if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == type) {
        return value.As<Napi::TypedArrayOf<T>>();
    }
    throw Failure("OPTION_INVALID", std::string(name) + " must be " + type_name + ".");
}

/// Copies a typed array of `T`. Throws Failure OPTION_INVALID for anything else.
template <typename T>
std::vector<T> to_vector(const Napi::Value & value, const char * name) {
    const auto array = typed_array<T>(value, name);
    return std::vector<T>(array.Data(), array.Data() + array.ElementLength());
}

template <typename Array, typename T>
Array to_typed_array(Napi::Env env, const std::vector<T> & values) {
    static_assert(sizeof(T) == sizeof(decltype(*std::declval<Array>().Data())), "element types differ in size");
    Array array = Array::New(env, values.size());
    if (!values.empty()) std::memcpy(array.Data(), values.data(), values.size() * sizeof(T));
    return array;
}

/// Throws Failure OPTION_INVALID unless it is a text.
inline std::string to_text(const Napi::Value & value, const char * name) {
    if (value.IsString()) return value.As<Napi::String>().Utf8Value();
    throw Failure("OPTION_INVALID", std::string(name) + " must be a text.");
}

/// Throws Failure OPTION_INVALID unless it is true or false.
inline bool to_flag(const Napi::Value & value, const char * name) {
    if (value.IsBoolean()) return value.As<Napi::Boolean>();
    throw Failure("OPTION_INVALID", std::string(name) + " must be true or false.");
}

/// Throws Failure OPTION_INVALID unless it is a whole number that an int32_t holds.
inline int32_t to_integer(const Napi::Value & value, const char * name) {
    const double number =
        value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::numeric_limits<double>::quiet_NaN();
    if (std::trunc(number) == number && std::abs(number) <= std::numeric_limits<int32_t>::max()) {
        return static_cast<int32_t>(number);
    }
    throw Failure("OPTION_INVALID", std::string(name) + " must be a whole number.");
}

}  // namespace eft
