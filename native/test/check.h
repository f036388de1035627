// A check that counts, and prints where it fails. main() returns failures().
#pragma once

#include <cmath>
#include <cstdio>

namespace eft::test {

inline int & failures() {
    static int count = 0;
    return count;
}

inline void check(bool holds, const char * text, const char * file, int line) {
    if (holds) return;
    failures()++;
    std::fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

inline void check_near(double actual, double expected, double tolerance, const char * text, const char * file,
                       int line) {
    if (std::abs(actual - expected) <= tolerance || actual == expected) return;  // == covers equal infinities
    failures()++;
    std::fprintf(stderr, "%s:%d: %s is %.9g, not %.9g\n", file, line, text, actual, expected);
}

}  // namespace eft::test

#define CHECK(condition) eft::test::check((condition), #condition, __FILE__, __LINE__)
#define CHECK_NEAR(actual, expected, tolerance) \
    eft::test::check_near((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)
