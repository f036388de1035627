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

void TokenTexts::sort_by_text(std::vector<int32_t> & tokens) const {
    // Most texts differ in their first bytes, so that the texts themselves need not be looked up.
    struct Keyed {
        uint64_t beginning;
        int32_t token;
    };
    std::vector<Keyed> keyed;
    keyed.reserve(tokens.size());
    for (const int32_t token : tokens) {
        const std::string & text = (*this)[token];
        uint64_t beginning = 0;
        for (size_t i = 0; i < sizeof(beginning); ++i) {
            beginning = beginning << 8 | (i < text.size() ? static_cast<uint8_t>(text[i]) : 0);
        }
        keyed.push_back({beginning, token});
    }
    std::sort(keyed.begin(), keyed.end(), [this](const Keyed & a, const Keyed & b) {
        if (a.beginning != b.beginning) return a.beginning < b.beginning;
        const int order = (*this)[a.token].compare((*this)[b.token]);
        return order != 0 ? order < 0 : a.token < b.token;
    });
    std::transform(keyed.begin(), keyed.end(), tokens.begin(), [](const Keyed & each) { return each.token; });
}

void TokenTexts::build() const {
    constexpr size_t LONGEST = std::numeric_limits<uint16_t>::max();
    constexpr size_t MANY = 16;  // nodes, which take longer to go through than to pass over
    std::vector<int32_t> & order = in_order_;
    for (size_t token = 0; token < texts_.size(); ++token) {
        const size_t length = texts_[token].size();
        if (length > 0 && length <= LONGEST && is_control_[token] == 0) order.push_back(static_cast<int32_t>(token));
    }
    sort_by_text(order);

    same_text_.assign(texts_.size(), -1);
    struct Open {
        uint32_t node;
        Branch branch;
    };
    std::vector<Open> path;  // from a root to the last node
    const auto leave = [&](size_t depth, size_t token) {
        for (; path.size() > depth; path.pop_back()) {
            Open & last = path.back();
            tree_[last.node].end = static_cast<uint32_t>(tree_.size());
            if (tree_.size() - last.node <= MANY) continue;
            last.branch.to = static_cast<uint32_t>(token);
            tree_[last.node].branch = static_cast<int32_t>(branches_.size());
            branches_.push_back(last.branch);
        }
    };
    std::vector<Characters> behind;
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
        leave(static_cast<size_t>(shared), i);
        for (auto at = static_cast<size_t>(shared); at < text.size(); ++at) {
            path.push_back({static_cast<uint32_t>(tree_.size()), {{}, static_cast<uint32_t>(i), 0}});
            tree_.push_back({0, -1, -1, static_cast<uint16_t>(at), static_cast<uint8_t>(text[at])});
        }
        characters_behind(text, behind);
        for (size_t at = 0; at < text.size(); ++at) {
            Characters & characters = path[at].branch.characters;
            characters.kinds |= behind[at].kinds;
            characters.count = std::max(characters.count, behind[at].count);
        }
        tree_.back().token = order[i];
        depth_ = std::max(depth_, text.size());
        before = &text;
    }
    leave(0, order.size());
    tree_.shrink_to_fit();
    branches_.shrink_to_fit();
}

}  // namespace eft
