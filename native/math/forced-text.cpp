#include "math/forced-text.h"

namespace eft {

namespace {

/// Bytes of what may be found out about an automaton on the way.
constexpr size_t MOST_FOUND = size_t{4} << 20;

/// Without a last character that is not whole.
std::string whole_characters(std::string text) {
    size_t lead = text.size();
    while (lead > 0 && (static_cast<uint8_t>(text[lead - 1]) & 0xC0) == 0x80) --lead;
    if (lead == 0) return text;  // the rest of a character that began before
    const auto byte = static_cast<uint8_t>(text[lead - 1]);
    const size_t length = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    if (text.size() < lead - 1 + length) text.resize(lead - 1);
    return text;
}

}  // namespace

std::string forced_text(Automaton & automaton, Automaton::State state, int before, const WhiteSpaceHabits & habits,
                        size_t most, GrammarWork & work) {
    std::string text;
    const size_t enough = automaton.size() + MOST_FOUND;
    while (text.size() < most && automaton.size() < enough) {
        if (automaton.may_end(state) || !automaton.token_elements(state).empty()) break;
        const int next = habits.expected(before, automaton.next_bytes(state));
        if (next == NO_BYTE) break;
        state = automaton.after(state, static_cast<uint8_t>(next), work);
        if (state == Automaton::DEAD) break;
        text.push_back(static_cast<char>(next));
        before = next;
    }
    return whole_characters(std::move(text));
}

}  // namespace eft
