// utf8.h: which sequences of bytes are characters, counted, and each of Unicode's characters.

#include <string>

#include "check.h"
#include "math/utf8.h"

using namespace eft;

namespace {

/// How many sequences of `length` bytes are one character.
int count_characters(const Utf8Position & position, int length) {
    int count = 0;
    for (int byte = 0; byte < 256; byte++) {
        Utf8Position next = position;
        if (!next.advance(std::string(1, static_cast<char>(byte)))) continue;
        if (next.is_between_characters()) {
            count += length == 1 ? 1 : 0;
        } else if (length > 1) {
            count += count_characters(next, length - 1);
        }
    }
    return count;
}

std::string encode(uint32_t c) {
    const auto tail = [&](int shift) { return static_cast<char>(0x80 | ((c >> shift) & 0x3f)); };
    if (c < 0x80) return {static_cast<char>(c)};
    if (c < 0x800) return {static_cast<char>(0xc0 | c >> 6), tail(0)};
    if (c < 0x10000) return {static_cast<char>(0xe0 | c >> 12), tail(6), tail(0)};
    return {static_cast<char>(0xf0 | c >> 18), tail(12), tail(6), tail(0)};
}

void test_all_characters() {
    for (uint32_t c = 0; c <= 0x110000; c++) {
        const bool exists = (c < 0xd800 || c > 0xdfff) && c <= 0x10ffff;
        Utf8Position position;
        CHECK(position.advance(encode(c)) == exists);
        if (exists) CHECK(position.is_between_characters());
    }
}

/// As many as there are code points that take so many bytes: so no sequence is a character that should not be.
void test_nothing_else() {
    CHECK(count_characters({}, 1) == 0x80);
    CHECK(count_characters({}, 2) == 0x800 - 0x80);
    CHECK(count_characters({}, 3) == 0x10000 - 0x800 - 0x800);
    CHECK(count_characters({}, 4) == 0x110000 - 0x10000);
}

void test_pieces() {
    Utf8Position position;
    CHECK(position.advance("a\xe2\x82"));
    CHECK(!position.is_between_characters());
    Utf8Position other = position;
    CHECK(!other.advance("a"));
    CHECK(position.advance("\xac z"));
    CHECK(position.is_between_characters());
}

}  // namespace

int main() {
    test_all_characters();
    test_nothing_else();
    test_pieces();
    return test::failures() == 0 ? 0 : 1;
}
