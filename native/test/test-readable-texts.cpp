// readable-texts.h and character-runs.h: what is passed over at once is what can be read byte by byte.

#include <random>
#include <set>
#include <string>
#include <vector>

#include "check.h"
#include "math/readable-texts.h"

using namespace eft;

namespace {

GrammarWork WORK(nullptr);

using Random = std::mt19937;

constexpr int32_t END = static_cast<int32_t>(GrammarElement::end);
int32_t element(GrammarElement kind, size_t value) {
    return static_cast<int32_t>(kind) + 8 * static_cast<int32_t>(value);
}

/// Characters of which words are made: few of each kind, so that words have beginnings in common.
const std::vector<std::string> CHARACTERS{"a",
                                          "b",
                                          "e",
                                          "x",
                                          "Q",
                                          "0",
                                          "7",
                                          " ",
                                          "\"",
                                          "\\",
                                          "\n",
                                          "\t",
                                          ",",
                                          "\xc3\xa9",
                                          "é",
                                          "\xe6\x97\xa5",
                                          "本",
                                          "\xd0\xb6",
                                          "\xf0\x9f\x98\x80",
                                          "\xf4\x8f\xbf\xbf",
                                          "\x7f"};

/// Words of whole characters, of parts of them, and of bytes that are no UTF-8.
std::vector<std::string> random_words(Random & random, size_t count) {
    std::vector<std::string> words;
    while (words.size() < count) {
        std::string word;
        for (size_t length = 1 + random() % 7; length > 0; --length) word += CHARACTERS[random() % CHARACTERS.size()];
        if (random() % 8 == 0) word.erase(0, random() % 3);
        if (random() % 8 == 0) word.resize(word.size() - std::min<size_t>(word.size(), random() % 3));
        if (random() % 30 == 0) word.insert(random() % (word.size() + 1), 1, static_cast<char>(0x80 + random() % 128));
        words.push_back(word);
    }
    return words;
}

/// A machine of states that each have some ways on: a set of bytes, or all characters but some, to another state.
std::shared_ptr<const GrammarProgram> random_program(Random & random) {
    auto program = std::make_shared<GrammarProgram>();
    const auto set_of = [&](auto && is_in) {
        std::bitset<256> set;
        for (size_t byte = 0; byte < 256; ++byte) set[byte] = is_in(byte);
        program->sets.push_back(set);
        return element(GrammarElement::bytes, program->sets.size() - 1);
    };
    const auto range = [&](size_t first, size_t last) {
        return set_of([&](size_t byte) { return byte >= first && byte <= last; });
    };
    const size_t states = 1 + random() % 6;
    program->code = {element(GrammarElement::rule, 0), element(GrammarElement::text_end, 0)};
    program->rules = {0};
    const auto alternative = [&](std::vector<int32_t> elements) {
        program->starts.push_back(static_cast<int32_t>(program->code.size()));
        program->code.insert(program->code.end(), elements.begin(), elements.end());
        program->code.push_back(END);
    };
    const int32_t tail = range(0x80, 0xbf);
    for (size_t state = 0; state < states; ++state) {
        // Mostly on and on, or to the next one, as in repetitions.
        const size_t next = random() % 3 == 0 ? random() % states : random() % 2 == 0 ? state : (state + 1) % states;
        const int32_t on = element(GrammarElement::rule, next);
        const int32_t elsewhere = element(GrammarElement::rule, random() % states);
        const size_t excluded = static_cast<uint8_t>(CHARACTERS[random() % 13][0]);
        const bool is_narrow = random() % 4 == 0;
        alternative(
            {set_of([&](size_t byte) { return byte < 0x80 && byte != excluded && (!is_narrow || byte >= 'a'); }), on});
        if (random() % 3 == 0) alternative({range(excluded, excluded), elsewhere});
        if (random() % 4 > 0) {  // all beyond ASCII, or all but something
            const size_t lowest = random() % 5 == 0 ? 0xc4 : 0xc2;
            alternative({range(lowest, 0xdf), tail, on});
            alternative({range(0xe0, 0xe0), range(0xa0, 0xbf), tail, on});
            alternative({range(0xe1, 0xec), tail, tail, on});
            alternative({range(0xed, 0xed), range(0x80, 0x9f), tail, on});
            alternative({range(0xee, 0xef), tail, tail, random() % 5 == 0 ? elsewhere : on});
            alternative({range(0xf0, 0xf0), range(0x90, 0xbf), tail, tail, on});
            alternative({range(0xf1, 0xf3), tail, tail, tail, on});
            if (random() % 4 > 0) alternative({range(0xf4, 0xf4), range(0x80, 0x8f), tail, tail, on});
        }
        if (random() % 4 == 0) alternative({range(0x80, 0xff), on});  // no UTF-8 at all
        program->rules.push_back(static_cast<int32_t>(program->starts.size()));
        program->may_be_empty.push_back(random() % 2);
    }
    program->check();
    return program;
}

Automaton::State read(Automaton & automaton, Automaton::State state, const std::string & text) {
    for (size_t i = 0; i < text.size() && state != Automaton::DEAD; ++i) {
        state = automaton.after(state, static_cast<uint8_t>(text[i]), WORK);
    }
    return state;
}

void test_readable_texts() {
    Random random(17);
    size_t passed_over = 0;
    for (int round = 0; round < 60; ++round) {
        const std::vector<std::string> words = random_words(random, 3000);
        const TokenTexts texts(words, std::vector<uint8_t>(words.size(), 0));
        const auto program = random_program(random);
        Automaton automaton(program);
        CharacterRuns runs(automaton);
        std::set<Automaton::State> states{automaton.start(WORK)};
        for (int i = 0; i < 12; ++i) states.insert(read(automaton, *states.rbegin(), words[random() % words.size()]));
        states.erase(Automaton::DEAD);
        for (const Automaton::State state : states) {
            std::vector<uint8_t> flags(words.size(), 0), expected(words.size(), 0);
            ReadableTexts readable(texts, state);
            CHECK(readable.flag(automaton, runs, SIZE_MAX, flags, WORK));
            for (size_t token = 0; token < words.size(); ++token) {
                if (words[token].empty()) continue;
                expected[token] = read(automaton, state, words[token]) == Automaton::DEAD ? 0 : 1;
            }
            CHECK(flags == expected);
            for (const auto & node : texts.tree()) {
                if (node.branch < 0) continue;
                passed_over += runs.reads_all(state, texts.branch(node).characters, WORK) ? 1 : 0;
            }

            // With an automaton that forgets at every node.
            std::vector<uint8_t> forgetting(words.size(), 0);
            std::vector<Automaton::State> start{state};
            auto other = std::make_unique<Automaton>(automaton, start);
            auto other_runs = std::make_unique<CharacterRuns>(*other);
            ReadableTexts again(texts, start.front());
            int times = 0;
            while (!again.flag(*other, *other_runs, ++times < 50 ? 0 : SIZE_MAX, forgetting, WORK)) {
                auto next = std::make_unique<Automaton>(*other, again.path());
                other_runs = std::make_unique<CharacterRuns>(*next);
                other = std::move(next);
            }
            CHECK(forgetting == expected);
        }
    }
    CHECK(passed_over > 1000);
}

/// Branches know all tokens beneath them, and what those consist of.
void test_branches() {
    Random random(4);
    const std::vector<std::string> words = random_words(random, 4000);
    std::vector<uint8_t> is_control(words.size(), 0);
    is_control[7] = 1;
    const TokenTexts texts(words, is_control);
    std::string path;
    size_t branches = 0;
    for (const auto & node : texts.tree()) {
        path.resize(node.depth);
        path += static_cast<char>(node.byte);
        if (node.branch < 0) continue;
        ++branches;
        const auto & branch = texts.branch(node);
        std::set<int32_t> beneath(texts.in_order().begin() + branch.from, texts.in_order().begin() + branch.to);
        for (size_t token = 0; token < words.size(); ++token) {
            const bool is_beneath = is_control[token] == 0 && words[token].compare(0, path.size(), path) == 0;
            CHECK(is_beneath == (beneath.count(static_cast<int32_t>(token)) > 0));
            if (!is_beneath) continue;
            std::vector<Characters> behind;
            characters_behind(words[token], behind);
            CHECK((behind[path.size() - 1].kinds & ~branch.characters.kinds) == 0);
            CHECK(behind[path.size() - 1].count <= branch.characters.count);
        }
    }
    CHECK(branches > 50);
}

void test_characters() {
    const auto behind = [](const std::string & text, size_t place) {
        std::vector<Characters> all;
        characters_behind(text, all);
        return all[place];
    };
    CHECK(behind("a", 0).kinds == 0 && behind("a", 0).count == 0);
    CHECK(behind("xab", 0).count == 2 && behind("xab", 0).kinds == behind("xa", 0).kinds);
    CHECK(behind("xg", 0).kinds != behind("xa", 0).kinds);
    CHECK(behind("x\xc3\xa9", 0).count == 1);
    CHECK(behind("x\xc3\xa9", 0).kinds == behind("x\xe6\x97\xa5", 0).kinds);
    // The beginning of a character is one; what is none is of a kind of its own, and so is all within a character.
    CHECK(behind("x\xe6\x97", 0).kinds == behind("x\xe6\x97\xa5", 0).kinds);
    for (const auto & each : {behind("x\xe6g", 0), behind("x\xa5", 0), behind("\xe6\x97\xa5", 0), behind("\xa5x", 0)}) {
        CHECK(each.kinds >> 63 == 1);
    }
    CHECK(behind("\xe6\x97\xa5", 2).kinds == 0);
}

}  // namespace

int main() {
    test_characters();
    test_branches();
    test_readable_texts();
    return test::failures() == 0 ? 0 : 1;
}
