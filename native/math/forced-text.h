// The text that an automaton leaves no choice about. Knows neither Node nor llama.cpp nor tokens.
#pragma once

#include <string>

#include "math/automaton.h"
#include "math/white-space-habits.h"

namespace eft {

/// What comes behind a state, as far as only one byte can, or can be expected by a habit, and the text cannot end
/// there: whole characters, and at most `most` bytes. `before` is the byte before the state. Throws what GrammarWork
/// throws.
std::string forced_text(Automaton & automaton, Automaton::State state, int before, const WhiteSpaceHabits & habits,
                        size_t most, GrammarWork & work);

}  // namespace eft
