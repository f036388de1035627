// The bytes that each token of a vocabulary writes, and a tree of them. Knows neither Node nor llama.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "math/character-runs.h"
#include "math/white-space-habits.h"

namespace eft {

/// Safe to use from several threads; immutable but for habits().
class TokenTexts {
  public:
    /// `is_control`: one flag per token; these are not in the tree.
    TokenTexts(std::vector<std::string> texts, std::vector<uint8_t> is_control);

    size_t size() const { return texts_.size(); }
    const std::string & operator[](int32_t token) const { return texts_[static_cast<size_t>(token)]; }
    bool is_control(int32_t token) const { return is_control_[static_cast<size_t>(token)] != 0; }

    /// A prefix of a text, longer by one byte than that of its parent.
    struct Node {
        uint32_t end;    // index of the first node behind those that begin with this prefix
        int32_t token;   // the first token that is this text; -1: none
        int32_t branch;  // index into branches(); -1: none, since little lies beneath
        uint16_t depth;  // bytes before `byte`
        uint8_t byte;
    };
    /// What lies beneath a node.
    struct Branch {
        Characters characters;  // of each way further on, at most
        uint32_t from, to;      // places in in_order() of all tokens that begin with the node's prefix
    };
    /// Each node before its children, those in the order of their bytes. Built at the first call.
    const std::vector<Node> & tree() const;
    const Branch & branch(const Node & node) const { return branches_[static_cast<size_t>(node.branch)]; }
    /// Tokens in the order of the tree. There once the tree is.
    const std::vector<int32_t> & in_order() const { return in_order_; }
    /// The node of the longest token that `text` has at `from`; tree().size() if it has none there.
    size_t longest(const std::string & text, size_t from) const;
    /// The next token of the same text; -1: none.
    int32_t same_text(int32_t token) const { return same_text_[static_cast<size_t>(token)]; }
    /// Of the texts that are written with it. Changes, and says nothing about the tokens.
    WhiteSpaceHabits & habits() const { return habits_; }
    /// Bytes of the longest text in the tree.
    size_t depth() const {
        tree();
        return depth_;
    }

  private:
    void build() const;
    /// As bytes; tokens of the same text by their ids.
    void sort_by_text(std::vector<int32_t> & tokens) const;

    std::vector<std::string> texts_;
    std::vector<uint8_t> is_control_;
    mutable std::once_flag built_;
    mutable std::vector<Node> tree_;
    mutable std::vector<Branch> branches_;
    mutable std::vector<int32_t> in_order_;
    mutable std::vector<int32_t> same_text_;
    mutable size_t depth_ = 0;
    mutable WhiteSpaceHabits habits_;
};

}  // namespace eft
