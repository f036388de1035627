// What the hot loops of combine.cpp and sample.cpp share. They are plain loops that the compiler vectorises, with
// -fno-trapping-math and -fopenmp-simd. No -ffast-math: NaN and infinities mean something here.
#pragma once

#include <cstdint>
#include <cstring>
#include <limits>

// One copy of a function per instruction set, chosen when the library is loaded. Needs ifunc: ELF and glibc, whose
// headers define __GLIBC__ (clang calls musl __gnu_linux__, too).
// Define EFT_NO_CLONES to have one copy for the instruction set that the compiler's flags name.
#if !defined(EFT_NO_CLONES) && defined(__x86_64__) && defined(__GLIBC__) && \
    ((defined(__GNUC__) && !defined(__clang__) && __GNUC__ >= 12) || (defined(__clang__) && __clang_major__ >= 17))
#define EFT_VECTORIZED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define EFT_VECTORIZED
#endif

#if defined(_MSC_VER)
#define EFT_INLINE __forceinline
#else
// Always: a helper that is not inlined would be compiled once, for the weakest instruction set.
#define EFT_INLINE inline __attribute__((always_inline))
#endif

// Lets the next loop add up in another order, and nothing else: all other arithmetic stays as written. Takes effect
// with -fopenmp-simd; correct without.
#define EFT_PRAGMA(text) _Pragma(#text)
#define EFT_SIMD_SUM(variable) EFT_PRAGMA(omp simd reduction(+ : variable))

namespace eft {

/// std::bit_cast of C++20.
template <typename To, typename From>
EFT_INLINE To bits_to(From from) {
    static_assert(sizeof(To) == sizeof(From), "bits cannot be lost");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}

/// exp(x) for x <= 0 with a relative error below 2e-7; exactly 1 at 0, exactly 0 below -87.7 and for NaN. The
/// polynomial is the one of Cephes' expf (Moshier 1989): x = k ln 2 + r with |r| <= ln 2 / 2, and exp(x) = 2^k exp(r).
EFT_INLINE float exp_nonpositive(float x) {
    constexpr float LOWEST = -88.0f;  // here k is -127, the exponent field 0, the power 0
    const float y = x > LOWEST ? x : LOWEST;
    const int32_t k = static_cast<int32_t>(y * 1.44269504088896341f - 0.5f);  // towards 0, hence to the nearest
    const float kf = static_cast<float>(k);
    const float r = (y - kf * 0.693359375f) - kf * -2.12194440e-4f;  // ln 2 in two parts: the first product is exact
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * bits_to<float>((k + 127) * (1 << 23));
}

/// An integer that orders like the float, NaN aside: the maximum of integers may be taken in any order.
EFT_INLINE int32_t order_key(float x) {
    const int32_t bits = bits_to<int32_t>(x);
    return bits ^ ((bits >> 31) & 0x7fffffff);
}

EFT_INLINE float from_order_key(int32_t key) { return bits_to<float>(key ^ ((key >> 31) & 0x7fffffff)); }

/// The same for doubles; NaN, unless it is negative, is above all of them.
EFT_INLINE int64_t order_key(double x) {
    const int64_t bits = bits_to<int64_t>(x);
    return bits ^ ((bits >> 63) & INT64_MAX);
}

EFT_INLINE double from_order_key(int64_t key) { return bits_to<double>(key ^ ((key >> 63) & INT64_MAX)); }

/// A log-value as the nearest finite float: -inf would mean "masked". NaN stays NaN.
EFT_INLINE float to_possible(double value) {
    constexpr double MOST = static_cast<double>(std::numeric_limits<float>::max());
    const double bounded = value < -MOST ? -MOST : value;
    return static_cast<float>(bounded > MOST ? MOST : bounded);
}

}  // namespace eft
