// Stretches of text in which it does not matter to an automaton which characters come, such as the inside of a string
// of JSON. Knows neither Node nor llama.cpp nor tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "math/automaton.h"

namespace eft {

/// One bit for each kind of characters: some ranges of ASCII, every other character of it, whatever lies beyond it, and
/// bytes that are no UTF-8.
using CharacterKinds = uint64_t;

struct Characters {
    CharacterKinds kinds = 0;
    uint16_t count = 0;  // of characters, the last of which need not be whole
};

/// What comes behind each byte of a text. Behind a byte within a character it counts as bytes that are no UTF-8.
void characters_behind(const std::string & text, std::vector<Characters> & behind);

/// What is known about an automaton, which it must not outlive.
class CharacterRuns {
  public:
    explicit CharacterRuns(Automaton & automaton) : automaton_(automaton) {}

    /// Whether all texts of so many characters of these kinds can be read from a state on, and their beginnings. False
    /// may also mean that it would take long to find out. Throws what Automaton::after() throws.
    bool reads_all(Automaton::State state, Characters characters, GrammarWork & work);

    /// Bytes, about.
    size_t size() const { return runs_.size() * sizeof(Run); }

  private:
    /// The characters of these kinds all lead to the same state.
    struct Run {
        Automaton::State next = Automaton::DEAD;
        CharacterKinds asked = 0;
        CharacterKinds kinds = 0;  // among those that were asked for
    };

    /// Knows about `kinds`.
    const Run & run_of(Automaton::State state, CharacterKinds kinds, GrammarWork & work);
    bool reads_beyond_ascii(Automaton::State state, Automaton::State next, GrammarWork & work);

    Automaton & automaton_;
    std::vector<Run> runs_;  // by state
};

}  // namespace eft
