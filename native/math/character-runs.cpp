#include "math/character-runs.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "math/utf8.h"

namespace eft {

namespace {

constexpr int ASCII = 128;
constexpr CharacterKinds BEYOND_ASCII = CharacterKinds{1} << 62;
constexpr CharacterKinds BROKEN = CharacterKinds{1} << 63;
/// States of more readings are asked about single bytes alone.
constexpr size_t MOST_READINGS = 64;

/// Ranges that most grammars have as a whole or not at all: letters are apart where hexadecimal digits are.
constexpr std::pair<char, char> RANGES[] = {{'a', 'f'}, {'g', 'z'}, {'A', 'F'}, {'G', 'Z'}, {'0', '9'}};

/// The number of each character's kind.
std::array<uint8_t, ASCII> number_kinds() {
    std::array<uint8_t, ASCII> numbers{};
    uint8_t count = 1;  // 0: control characters but for the following
    for (const char character : {'\t', '\n', '\r'}) numbers[static_cast<size_t>(character)] = count++;
    for (const auto & [first, last] : RANGES) {
        for (char character = first; character <= last; ++character) numbers[static_cast<size_t>(character)] = count;
        ++count;
    }
    for (size_t character = ' '; character < ASCII - 1; ++character) {
        if (numbers[character] == 0) numbers[character] = count++;
    }
    return numbers;
}

const std::array<uint8_t, ASCII> KINDS = number_kinds();

}  // namespace

void characters_behind(const std::string & text, std::vector<Characters> & behind) {
    behind.assign(text.size(), {BROKEN, 1});
    // The bytes that characters end with.
    std::vector<bool> is_end(text.size(), false);
    Utf8Position position;
    size_t end = 0;  // of what is UTF-8: whole characters, and what may be the beginning of one
    size_t begin = 0;
    for (; end < text.size() && position.advance(static_cast<uint8_t>(text[end])); ++end) {
        is_end[end] = position.is_between_characters();
        if (is_end[end]) begin = end + 1;
    }
    Characters after{end == text.size() ? CharacterKinds{0} : BROKEN, 0};
    if (begin < text.size()) after = {after.kinds | BEYOND_ASCII, 1};
    for (size_t i = begin; i-- > 0;) {
        if (!is_end[i]) continue;
        behind[i] = after;
        const auto byte = static_cast<uint8_t>(text[i]);
        after.kinds |= byte < ASCII ? CharacterKinds{1} << KINDS[byte] : BEYOND_ASCII;
        after.count = std::min<uint16_t>(after.count, std::numeric_limits<uint16_t>::max() - 1) + 1;
    }
}

bool CharacterRuns::reads_all(Automaton::State state, Characters characters, GrammarWork & work) {
    if ((characters.kinds & BROKEN) != 0) return false;
    for (uint16_t i = 0; i < characters.count; ++i) {
        const Run run = run_of(state, characters.kinds, work);
        if ((characters.kinds & ~run.kinds) != 0) return false;
        if (run.next == state) return true;
        state = run.next;
    }
    return true;
}

const CharacterRuns::Run & CharacterRuns::run_of(Automaton::State state, CharacterKinds kinds, GrammarWork & work) {
    const auto index = static_cast<size_t>(state);
    if (index >= runs_.size()) runs_.resize(index + 1);
    kinds &= ~runs_[index].asked;
    if (kinds == 0 || automaton_.readings(state) > MOST_READINGS) return runs_[index];

    Run run = runs_[index];
    for (const uint8_t byte : {'e', '0', ' '}) {
        if (run.next == Automaton::DEAD) run.next = automaton_.after(state, byte, work);
    }
    run.asked |= kinds;
    if (run.next != Automaton::DEAD) run.kinds |= kinds;
    for (uint8_t byte = 0; byte < ASCII; ++byte) {
        const CharacterKinds kind = CharacterKinds{1} << KINDS[byte];
        if ((kinds & run.kinds & kind) == 0) continue;
        if (automaton_.after(state, byte, work) != run.next) run.kinds &= ~kind;
    }
    if ((kinds & run.kinds & BEYOND_ASCII) != 0 && !reads_beyond_ascii(state, run.next, work)) {
        run.kinds &= ~BEYOND_ASCII;
    }
    return runs_[index] = run;
}

bool CharacterRuns::reads_beyond_ascii(Automaton::State state, Automaton::State next, GrammarWork & work) {
    // Many bytes lead to the same place, from where the same bytes may come. Sets of characters that are not meant to
    // have all of them seldom have the last ones.
    using Place = std::pair<Automaton::State, Utf8Position>;
    std::vector<Place> places{{state, Utf8Position()}};
    for (size_t i = 0; i < places.size(); ++i) {
        for (int byte = 255; byte >= ASCII; --byte) {
            Place place = places[i];
            if (!place.second.advance(static_cast<uint8_t>(byte))) continue;
            place.first = automaton_.after(place.first, static_cast<uint8_t>(byte), work);
            if (place.first == Automaton::DEAD) return false;
            if (place.second.is_between_characters()) {
                if (place.first != next) return false;
            } else if (std::find(places.begin(), places.end(), place) == places.end()) {
                places.push_back(place);
            }
        }
    }
    return true;
}

}  // namespace eft
