// A member without a model: it replays recorded rows, chosen by sequence and position.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "failure.h"
#include "llama/member.h"

namespace eft::test {

using Row = std::vector<float>;
using Tokens = std::vector<int32_t>;
/// Row of logits by sequence and position.
using Recording = std::vector<std::vector<Row>>;

/// The code that a job fails with; "": it does not fail.
inline std::string code_of(const std::function<void()> & job) {
    try {
        job();
    } catch (const Failure & failure) {
        return failure.code;
    }
    return "";
}

class ReplayMember final : public Member {
  public:
    ReplayMember(std::string path, const Recording & recording, bool is_asynchronous)
        : path_(std::move(path)),
          recording_(recording),
          is_asynchronous_(is_asynchronous),
          texts_(recording.size()),
          row_size_(recording[0][0].size()) {}

    const std::string & path() const override { return path_; }
    const std::string & adapter_path() const override { return adapter_path_; }
    bool is_asynchronous() const override { return is_asynchronous_; }
    uint32_t length(uint32_t sequence) const override { return static_cast<uint32_t>(texts_[sequence].size()); }

    void rewind(uint32_t sequence, uint32_t length) override {
        if (length > texts_[sequence].size()) throw Failure("DECODE_FAILED", "There are fewer tokens.");
        texts_[sequence].resize(length);
    }
    void bookmark(uint32_t sequence) override { bookmarks.emplace_back(sequence, length(sequence)); }
    void share(uint32_t from, uint32_t to, uint32_t length) override {
        if (length > texts_[from].size()) throw Failure("DECODE_FAILED", "There are fewer tokens to share.");
        texts_[to].assign(texts_[from].begin(), texts_[from].begin() + length);
    }

    int32_t enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) override {
        auto & text = texts_[sequence];
        if (text.size() + tokens.size() > recording_[sequence].size()) {
            throw Failure("CONTEXT_OVERFLOW", "The recording is shorter.");
        }
        for (size_t i = 0; i < tokens.size(); ++i) {
            const bool is_output = i + outputs >= tokens.size();
            batch_.push_back(is_output ? &recording_[sequence][text.size()] : nullptr);
            text.push_back(tokens[i]);
        }
        return static_cast<int32_t>(batch_.size() - outputs);
    }
    uint32_t batch_tokens() const override { return static_cast<uint32_t>(batch_.size()); }
    void decode() override {
        has_rows_ = false;
        rows_.clear();  // frees them: an address sanitizer sees who still reads one
        if (stops) throw std::runtime_error("As a failed assertion of llama.cpp.");
        if (failing && failing_after-- == 0) throw *failing;
        for (const auto * row : batch_) rows_.push_back(row ? *row : std::vector<float>());
    }
    void wait() override { has_rows_ = true; }
    void clear_batch() override { batch_.clear(); }
    float * row(int32_t index) const override {
        const auto i = static_cast<size_t>(index);
        if (!has_rows_ || i >= rows_.size() || rows_[i].empty())
            throw Failure("DECODE_FAILED", "There is no such row.");
        return rows_[i].data();
    }
    size_t row_size() const override { return row_size_; }

    const std::vector<int32_t> & text(uint32_t sequence) const { return texts_[sequence]; }

    std::vector<std::pair<uint32_t, uint32_t>> bookmarks;  // all that were made: sequences and lengths
    bool stops = false;
    std::optional<Failure> failing;
    int failing_after = 0;  // so many more calls of decode()

  private:
    std::string path_, adapter_path_;
    const Recording & recording_;
    bool is_asynchronous_;
    std::vector<std::vector<int32_t>> texts_;  // by sequence
    size_t row_size_;
    std::vector<const std::vector<float> *> batch_;
    mutable std::vector<std::vector<float>> rows_;  // by batch index; whoever reads a row may write to it
    bool has_rows_ = false;
};

}  // namespace eft::test
