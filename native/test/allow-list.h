// A constraint that allows given tokens, and counts how it is asked.
#pragma once

#include <limits>
#include <vector>

#include "math/sample.h"

namespace eft::test {

class AllowList final : public Constraint {
  public:
    explicit AllowList(std::vector<uint8_t> flags) : flags_(std::move(flags)) {}
    bool allows(int32_t token) override {
        asked_for_one++;
        return flags_[static_cast<size_t>(token)] != 0;
    }
    const std::vector<uint8_t> & allowed() override {
        asked_for_all++;
        return flags_;
    }
    std::vector<float> masked(std::vector<float> row) const {
        for (size_t i = 0; i < row.size(); i++) {
            if (flags_[i] == 0) row[i] = -std::numeric_limits<float>::infinity();
        }
        return row;
    }

    int asked_for_one = 0, asked_for_all = 0;

  private:
    std::vector<uint8_t> flags_;
};

}  // namespace eft::test
