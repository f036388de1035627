// Which instruction sets there are, for functions that are cloned: compiler-rt of zig says that there are none. In
// place of its variable and function, with the numbers of x86-64-v3 and -v4 in it. Runs before symbols are bound, so it
// calls nothing.
#include <cpuid.h>
unsigned __cpu_features2[4];
int __cpu_indicator_init(void) {
    unsigned a, b, c, d, base, more, low, high;
    if (!__get_cpuid(1, &a, &b, &base, &d) || !(base & bit_OSXSAVE)) return 0;
    if (!__get_cpuid_count(7, 0, &a, &more, &c, &d) || !__get_cpuid(0x80000001, &a, &b, &c, &d)) return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    const unsigned in_base = bit_AVX | bit_FMA | bit_F16C | bit_MOVBE, in_more = bit_AVX2 | bit_BMI | bit_BMI2;
    const unsigned in_v4 = bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL;
    const int v3 = (low & 6) == 6 && (base & in_base) == in_base && (more & in_more) == in_more && (c & bit_LZCNT);
    if (v3) __cpu_features2[2] |= 1u << 1;
    if (v3 && (low & 0xe6) == 0xe6 && (more & in_v4) == in_v4) __cpu_features2[2] |= 1u << 2;
    return 0;
}
