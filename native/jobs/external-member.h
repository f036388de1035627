// A member that is evaluated elsewhere, such as on a server: each step brings the rows that it reads.
#pragma once

#include <string>
#include <vector>

#include "llama/member.h"

namespace eft {

/// Knows of its sequences only how long they are.
class ExternalMember final : public Member {
  public:
    /// Of ids 0 .. vocabulary_size - 1; `name` is for messages. Throws Failure OPTION_INVALID.
    ExternalMember(std::string name, int32_t vocabulary_size, uint32_t sequences);

    const std::string & path() const override { return name_; }
    const std::string & adapter_path() const override { return adapter_path_; }
    bool is_asynchronous() const override { return false; }
    uint32_t length(uint32_t sequence) const override { return lengths_[sequence]; }

    void rewind(uint32_t sequence, uint32_t length) override;
    void share(uint32_t from, uint32_t to, uint32_t length) override;

    void supply(const std::vector<ExternalRow> & rows) override { supplied_ = rows; }
    /// Throws Failure OPTION_INVALID unless `outputs` rows have been supplied, and that or NON_FINITE_LOGITS for rows
    /// that are none.
    int32_t enqueue(uint32_t sequence, const std::vector<int32_t> & tokens, uint32_t outputs) override;
    uint32_t batch_tokens() const override { return tokens_; }
    void decode() override;
    void wait() override {}
    void clear_batch() override;
    float * row(int32_t index) const override { return row_at(index).logits.data(); }
    size_t row_size() const override { return vocabulary_size_; }
    const KnownIds * known_ids(int32_t index) const override;

  private:
    ExternalRow & row_at(int32_t index) const;
    void check_whole(const std::vector<float> & logits) const;
    /// In the order of ids, and complete.
    KnownIds check_known(const KnownIds & known) const;
    Failure broken(const std::string & problem) const;

    std::string name_, adapter_path_;
    size_t vocabulary_size_;
    std::vector<uint32_t> lengths_;
    std::vector<ExternalRow> supplied_;      // of the tokens that are enqueued next
    std::vector<ExternalRow> batch_;         // rows alone, by batch index
    mutable std::vector<ExternalRow> rows_;  // of the last decode(); whoever reads a row may write to it
    uint32_t tokens_ = 0;
};

}  // namespace eft
