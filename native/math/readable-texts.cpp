#include "math/readable-texts.h"

#include <algorithm>

namespace eft {

ReadableTexts::ReadableTexts(const TokenTexts & texts, Automaton::State state)
    : texts_(texts), path_(texts.depth() + 1, Automaton::DEAD) {
    path_[0] = state;
}

bool ReadableTexts::flag(Automaton & automaton, CharacterRuns & runs, size_t most, std::vector<uint8_t> & flags,
                         GrammarWork & work) {
    const auto & tree = texts_.tree();
    const auto & in_order = texts_.in_order();
    while (node_ < tree.size()) {
        const TokenTexts::Node & node = tree[node_];
        const Automaton::State next = automaton.after(path_[node.depth], node.byte, work);
        if (next == Automaton::DEAD) {
            node_ = node.end;
            continue;
        }
        if (node.branch >= 0 && runs.reads_all(next, texts_.branch(node).characters, work)) {
            const TokenTexts::Branch & branch = texts_.branch(node);
            for (uint32_t at = branch.from; at < branch.to; ++at) flags[static_cast<size_t>(in_order[at])] = 1;
            node_ = node.end;
            continue;
        }
        for (int32_t token = node.token; token >= 0; token = texts_.same_text(token)) {
            flags[static_cast<size_t>(token)] = 1;
        }
        path_[node.depth + size_t{1}] = next;
        ++node_;
        if (automaton.size() > most) {
            std::fill(path_.begin() + node.depth + 2, path_.end(), Automaton::DEAD);
            return false;
        }
    }
    return true;
}

}  // namespace eft
