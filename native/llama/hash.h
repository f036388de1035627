// A hash of what decides how texts are tokenized.
#pragma once

#include <cstddef>
#include <cstdint>

namespace eft {

/// 64-bit FNV-1a. http://www.isthe.com/chongo/tech/comp/fnv/
class Fnv1a {
  public:
    void add(const void * data, size_t size) {
        for (size_t i = 0; i < size; ++i) {
            value_ = (value_ ^ static_cast<const uint8_t *>(data)[i]) * 0x100000001b3ull;
        }
    }
    /// With its end, so that texts one after another do not run together.
    void add_text(const char * text) {
        const char * end = text;
        while (*end != '\0') ++end;
        add(text, static_cast<size_t>(end - text) + 1);
    }
    uint64_t value() const { return value_; }

  private:
    uint64_t value_ = 0xcbf29ce484222325ull;
};

}  // namespace eft
