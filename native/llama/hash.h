// A hash of what decides how texts are tokenized.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace eft {

/// 64 bits of whatever is added, in its order. Eight bytes at a time, with the multiplication of MurmurHash3's last
/// steps, because vocabularies have megabytes. https://github.com/aappleby/smhasher/wiki/MurmurHash3
class ContentHash {
  public:
    void add(const void * data, size_t size) {
        const auto * bytes = static_cast<const uint8_t *>(data);
        for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
            uint64_t word = 0;
            std::memcpy(&word, bytes + at, std::min(size - at, sizeof(word)));
            value_ = (value_ ^ word) * 0xff51afd7ed558ccdull;
            value_ ^= value_ >> 33;
        }
    }
    /// With its end, so that texts one after another do not run together.
    void add_text(const char * text) { add(text, std::strlen(text) + 1); }
    uint64_t value() const { return value_; }

  private:
    uint64_t value_ = 0xcbf29ce484222325ull;
};

}  // namespace eft
