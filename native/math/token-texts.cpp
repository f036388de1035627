#include "math/token-texts.h"

#include <algorithm>
#include <limits>

namespace eft {

TokenTexts::TokenTexts(std::vector<std::string> texts, std::vector<uint8_t> is_control)
    : texts_(std::move(texts)), is_control_(std::move(is_control)) {}

const std::vector<TokenTexts::Node> & TokenTexts::tree() const {
    std::call_once(built_, [this] { build(); });
    return tree_;
}

size_t TokenTexts::longest(const std::string & text, size_t from) const {
    const std::vector<Node> & nodes = tree();
    size_t found = nodes.size();
    size_t end = nodes.size();  // of those that begin with what has been read
    for (size_t i = 0; i < end && from < text.size();) {
        if (nodes[i].byte != static_cast<uint8_t>(text[from])) {
            i = nodes[i].end;
            continue;
        }
        if (nodes[i].token >= 0) found = i;
        end = nodes[i].end;
        ++from;
        ++i;
    }
    return found;
}

void TokenTexts::build() const {
    constexpr size_t LONGEST = std::numeric_limits<uint16_t>::max();
    std::vector<int32_t> order;
    for (size_t token = 0; token < texts_.size(); ++token) {
        const size_t length = texts_[token].size();
        if (length > 0 && length <= LONGEST && is_control_[token] == 0) order.push_back(static_cast<int32_t>(token));
    }
    std::stable_sort(order.begin(), order.end(), [this](int32_t a, int32_t b) { return (*this)[a] < (*this)[b]; });

    same_text_.assign(texts_.size(), -1);
    std::vector<uint32_t> path;  // from a root to the last node
    const auto leave = [&](size_t depth) {
        for (; path.size() > depth; path.pop_back()) tree_[path.back()].end = static_cast<uint32_t>(tree_.size());
    };
    const std::string none;
    const std::string * before = &none;
    for (size_t i = 0; i < order.size(); ++i) {
        const std::string & text = (*this)[order[i]];
        if (i > 0 && text == *before) {
            same_text_[static_cast<size_t>(order[i - 1])] = order[i];
            continue;
        }
        const auto shared =
            std::mismatch(text.begin(), text.end(), before->begin(), before->end()).first - text.begin();
        leave(static_cast<size_t>(shared));
        for (auto at = static_cast<size_t>(shared); at < text.size(); ++at) {
            path.push_back(static_cast<uint32_t>(tree_.size()));
            tree_.push_back({0, -1, static_cast<uint16_t>(at), static_cast<uint8_t>(text[at])});
        }
        tree_.back().token = order[i];
        depth_ = std::max(depth_, text.size());
        before = &text;
    }
    leave(0);
    tree_.shrink_to_fit();
}

}  // namespace eft
