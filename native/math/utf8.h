// UTF-8, byte after byte, as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing beyond U+10FFFF.
#pragma once

#include <cstdint>
#include <string>

namespace eft {

/// Where a sequence of bytes is: between characters at first.
class Utf8Position {
  public:
    bool is_between_characters() const { return missing_ == 0; }

    /// False: no text goes on like that. Then the position means nothing any more.
    bool advance(const std::string & bytes) {
        for (const char byte : bytes) {
            if (!advance(static_cast<uint8_t>(byte))) return false;
        }
        return true;
    }

    bool advance(uint8_t byte) {
        if (missing_ > 0) {
            if (byte < lowest_ || byte > highest_) return false;
            missing_--;
            lowest_ = 0x80;
            highest_ = 0xbf;
            return true;
        }
        if (byte < 0x80) return true;
        if (byte < 0xc2 || byte > 0xf4) return false;
        missing_ = byte < 0xe0 ? 1 : byte < 0xf0 ? 2 : 3;
        lowest_ = byte == 0xe0 ? 0xa0 : byte == 0xf0 ? 0x90 : 0x80;
        highest_ = byte == 0xed ? 0x9f : byte == 0xf4 ? 0x8f : 0xbf;
        return true;
    }

    bool operator==(const Utf8Position & other) const {
        return missing_ == other.missing_ && lowest_ == other.lowest_ && highest_ == other.highest_;
    }

  private:
    uint8_t missing_ = 0;                     // bytes until the character is whole
    uint8_t lowest_ = 0x80, highest_ = 0xbf;  // what the next one may be
};

}  // namespace eft
