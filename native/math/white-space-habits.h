// Where white space that a grammar allows and does not ask for came in the texts so far. Knows neither Node nor
// llama.cpp.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>

namespace eft {

/// What comes before the first byte of a text.
constexpr int NO_BYTE = -1;

constexpr bool is_white_space(int byte) { return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r'; }

/// Only guesses are made of it, so threads may find what another one has just changed.
class WhiteSpaceHabits {
  public:
    /// Behind `before` came `byte`, of those that were possible.
    void note(int before, uint8_t byte, const std::bitset<256> & possible) {
        if (!is_optional(possible) || is_white_space(before)) return;
        last_[index(before)] = is_white_space(byte) ? byte : NONE;
    }

    /// The byte that comes next, where the grammar or a habit leaves no other; NO_BYTE elsewhere. Behind white space no
    /// more of it is expected.
    int expected(int before, const std::bitset<256> & possible) const {
        if (possible.count() == 1) return first(possible);
        if (!is_optional(possible)) return NO_BYTE;
        const int habit = is_white_space(before) ? NONE : last_[index(before)].load();
        const int white = habit == UNKNOWN ? usual(before) : habit;
        if (white != NONE && possible.test(static_cast<size_t>(white))) return white;
        const std::bitset<256> others = possible & ~white_space();
        return others.count() == 1 ? first(others) : NO_BYTE;
    }

  private:
    static constexpr int16_t UNKNOWN = 0, NONE = -1;
    /// More than what begins a value of JSON: that is free text, where white space is a character like others.
    static constexpr size_t MOST_OTHERS = 32;

    static size_t index(int before) { return static_cast<size_t>(before + 1); }
    static std::bitset<256> white_space() {
        std::bitset<256> bytes;
        for (const char byte : {' ', '\n', '\t', '\r'}) bytes.set(static_cast<size_t>(byte));
        return bytes;
    }
    static bool is_optional(const std::bitset<256> & possible) {
        const size_t others = (possible & ~white_space()).count();
        return others > 0 && others <= MOST_OTHERS && others < possible.count();
    }
    static int first(const std::bitset<256> & bytes) {
        int byte = 0;
        while (!bytes.test(static_cast<size_t>(byte))) ++byte;
        return byte;
    }
    /// Most JSON that is written on one line has a space behind colons and commas, and no other.
    static int usual(int before) { return before == ':' || before == ',' ? ' ' : NONE; }

    /// By the byte before: the white space that came last, or NONE.
    std::array<std::atomic<int16_t>, 257> last_{};
};

}  // namespace eft
