// Which tokens an automaton can read, found in the tree of their texts. Knows neither Node nor llama.cpp.
#pragma once

#include <vector>

#include "math/automaton.h"
#include "math/character-runs.h"
#include "math/token-texts.h"

namespace eft {

/// A walk through the tree, which passes over what cannot begin, and over branches of which everything can be read.
class ReadableTexts {
  public:
    /// What can be read from `state` on. `texts` has to stay.
    ReadableTexts(const TokenTexts & texts, Automaton::State state);

    /// Sets the flags of these tokens. False: the automaton has become larger than `most` bytes, and there is more to
    /// be found; by the same automaton or by another one that knows the states of path(), which may have other numbers
    /// there. Throws what Automaton::after() throws.
    bool flag(Automaton & automaton, CharacterRuns & runs, size_t most, std::vector<uint8_t> & flags,
              GrammarWork & work);

    /// The state to begin with and those after each byte of a prefix, then DEAD.
    std::vector<Automaton::State> & path() { return path_; }

  private:
    const TokenTexts & texts_;
    std::vector<Automaton::State> path_;
    size_t node_ = 0;
};

}  // namespace eft
