// automaton.h and token-texts.h: small grammars by hand, what is carried over to another automaton, and the tree of
// texts.

#include <random>
#include <string>
#include <vector>

#include "check.h"
#include "failure.h"
#include "math/automaton.h"
#include "math/forced-text.h"
#include "math/token-texts.h"

using namespace eft;

namespace {

GrammarWork WORK(nullptr);

int32_t element(GrammarElement kind, int32_t value = 0) { return static_cast<int32_t>(kind) + 8 * value; }
int32_t call(int32_t rule) { return element(GrammarElement::rule, rule); }

/// Writes programs: rules in the order in which they may begin with each other, the start rule among them.
class Writer {
  public:
    Writer() : program_{{call(0), element(GrammarElement::text_end)}, {0}, {}, {}, {}} {}
    int32_t byte(const std::string & bytes) {
        std::bitset<256> set;
        for (const char byte : bytes) set.set(static_cast<uint8_t>(byte));
        program_.sets.push_back(set);
        return element(GrammarElement::bytes, static_cast<int32_t>(program_.sets.size()) - 1);
    }
    Writer & rule(bool may_be_empty, const std::vector<std::vector<int32_t>> & alternatives) {
        for (const auto & alternative : alternatives) {
            program_.starts.push_back(static_cast<int32_t>(program_.code.size()));
            program_.code.insert(program_.code.end(), alternative.begin(), alternative.end());
            program_.code.push_back(element(GrammarElement::end));
        }
        program_.rules.push_back(static_cast<int32_t>(program_.starts.size()));
        program_.may_be_empty.push_back(may_be_empty ? 1 : 0);
        return *this;
    }
    std::shared_ptr<const GrammarProgram> done() const {
        program_.check();
        return std::make_shared<const GrammarProgram>(program_);
    }
    GrammarProgram & program() { return program_; }

  private:
    GrammarProgram program_;
};

Automaton::State read(Automaton & automaton, Automaton::State state, const std::string & text) {
    for (size_t i = 0; i < text.size() && state != Automaton::DEAD; i++) {
        state = automaton.after(state, static_cast<uint8_t>(text[i]), WORK);
    }
    return state;
}

/// 2: a text; 1: the beginning of one; 0: neither.
int judge(Automaton & automaton, const std::string & text) {
    const auto state = read(automaton, automaton.start(WORK), text);
    return state == Automaton::DEAD ? 0 : automaton.may_end(state) ? 2 : 1;
}

void test_recursion() {
    Writer writer;  // root ::= "(" root ")" | "x"
    writer.rule(false, {{writer.byte("("), call(0), writer.byte(")")}, {writer.byte("x")}});
    Automaton automaton(writer.done());
    for (const char * text : {"x", "(x)", "((x))"}) CHECK(judge(automaton, text) == 2);
    for (const char * text : {"", "(", "((x", "((x)"}) CHECK(judge(automaton, text) == 1);
    for (const char * text : {")", "()", "xx", "(x))"}) CHECK(judge(automaton, text) == 0);
    const std::string open(5000, '('), close(5000, ')');
    CHECK(judge(automaton, open + "x" + close) == 2);
    CHECK(judge(automaton, open + "x" + close + ")") == 0);
}

void test_what_may_be_empty() {
    Writer writer;  // root ::= a b a; a ::= "x" | ; b ::= a "y" | a a
    writer.rule(true, {{call(2), call(1), call(2)}});
    writer.rule(true, {{call(2), writer.byte("y")}, {call(2), call(2)}});
    writer.rule(true, {{writer.byte("x")}});
    Automaton automaton(writer.done());
    for (const char * text : {"", "x", "xx", "xxx", "xxxx", "y", "xy", "xxy", "yx", "xyx", "xxyx"}) {
        CHECK(judge(automaton, text) == 2);
    }
    for (const char * text : {"xxxxx", "xxxy", "yy", "yxx"}) CHECK(judge(automaton, text) == 0);
}

/// n readings of the first kind have 2^n stacks; they are one set each.
void test_shared_beginnings() {
    Writer writer;  // root ::= "a" root "b" | "a" root "c" | "d"
    writer.rule(false, {{writer.byte("a"), call(0), writer.byte("b")},
                        {writer.byte("a"), call(0), writer.byte("c")},
                        {writer.byte("d")}});
    Automaton automaton(writer.done());
    std::mt19937 random(1);
    std::string text(2000, 'a');
    text += 'd';
    for (int i = 0; i < 2000; i++) text += random() % 2 == 0 ? 'b' : 'c';
    CHECK(judge(automaton, text) == 2);
    CHECK(judge(automaton, text.substr(0, 3000)) == 1);
    CHECK(judge(automaton, text + "b") == 0);
    CHECK(automaton.size() < size_t{4} << 20);
}

void test_carried_over() {
    Writer writer;
    writer.rule(false, {{writer.byte("("), call(0), writer.byte(")")}, {writer.byte("x")}});
    Automaton first(writer.done());
    std::vector<Automaton::State> states{first.start(WORK), read(first, first.start(WORK), "((("), Automaton::DEAD,
                                         read(first, first.start(WORK), "((x)")};
    read(first, states[1], std::string(1000, '('));
    Automaton second(first, states);
    CHECK(second.size() < first.size() / 10);
    CHECK(states[2] == Automaton::DEAD);
    const auto ends = [&](Automaton::State state, const char * text) {
        const auto end = read(second, state, text);
        return end != Automaton::DEAD && second.may_end(end);
    };
    CHECK(ends(states[0], "(x)") && ends(states[1], "x)))") && ends(states[3], ")"));
    CHECK(!ends(states[1], "x))") && !ends(states[3], "))"));
}

void test_tokens() {
    Writer writer;  // root ::= "a" | <[7]> "b" | !<[7]> "c"
    writer.rule(false, {{writer.byte("a")},
                        {element(GrammarElement::token, 7), writer.byte("b")},
                        {element(GrammarElement::other_token, 7), writer.byte("c")}});
    Automaton automaton(writer.done());
    const auto start = automaton.start(WORK);
    CHECK(automaton.token_elements(start).size() == 2);
    const auto named = automaton.after_token(start, 7, WORK), other = automaton.after_token(start, 8, WORK);
    CHECK(read(automaton, named, "b") != Automaton::DEAD && read(automaton, named, "c") == Automaton::DEAD);
    CHECK(read(automaton, other, "c") != Automaton::DEAD && read(automaton, other, "b") == Automaton::DEAD);
    const auto both = automaton.either(named, read(automaton, start, "a"));
    CHECK(automaton.may_end(both) && read(automaton, both, "b") != Automaton::DEAD);
    CHECK(automaton.either(Automaton::DEAD, both) == both && automaton.either(both, Automaton::DEAD) == both);
}

template <typename Body>
std::string failure_of(Body && body) {
    try {
        body();
    } catch (const Failure & failure) {
        return failure.code;
    }
    return "";
}

void test_failures() {
    std::atomic<bool> cancelled{true};
    Writer writer;
    writer.rule(false, {{writer.byte("x")}});
    Automaton automaton(writer.done());
    GrammarWork unwanted(&cancelled);
    const auto start = automaton.start(WORK);
    CHECK(failure_of([&] { automaton.after(start, 'x', unwanted); }) == "ABORTED");
    CHECK(automaton.after(start, 'x', WORK) != Automaton::DEAD);

    Writer circle;  // root ::= root "x"
    circle.rule(false, {{call(0), circle.byte("x")}});
    CHECK(failure_of([&] { circle.done(); }) == "OPTION_INVALID");
    for (const int32_t damaged :
         {call(1), element(GrammarElement::bytes, 1), element(GrammarElement::text_end), -8, 7}) {
        Writer other;
        other.rule(false, {{other.byte("x")}});
        other.program().code[2] = damaged;
        CHECK(failure_of([&] { other.done(); }) == "OPTION_INVALID");
    }

    GrammarWork endless(nullptr);
    CHECK(failure_of([&] {
              for (uint64_t i = 0; i <= GrammarWork::MOST_STEPS; i++) endless.step();
          }) == "GRAMMAR_INVALID");

    Writer wide;  // more alternatives than may be followed
    wide.rule(false, std::vector<std::vector<int32_t>>(Automaton::MOST_READINGS + 1, {wide.byte("x")}));
    Automaton too_wide(wide.done());
    CHECK(failure_of([&] { too_wide.start(WORK); }) == "GRAMMAR_INVALID");
}

void test_tree() {
    std::mt19937 random(3);
    std::vector<std::string> words{"", "a", "a", "ab", "abc", "b", "ba", "abd", "<c>", "\xff\x80"};
    for (int i = 0; i < 300; i++) {
        std::string word;
        for (size_t length = random() % 6; length > 0; length--) word += static_cast<char>('a' + random() % 3);
        words.push_back(word);
    }
    std::vector<uint8_t> is_control(words.size(), 0);
    is_control[8] = 1;
    const TokenTexts texts(words, is_control);
    const auto & tree = texts.tree();
    std::vector<int> seen(words.size(), 0);
    std::string path;
    for (size_t i = 0; i < tree.size(); i++) {
        path.resize(tree[i].depth);
        path += static_cast<char>(tree[i].byte);
        for (int32_t token = tree[i].token; token >= 0; token = texts.same_text(token)) {
            CHECK(texts[token] == path);
            seen[static_cast<size_t>(token)]++;
        }
        // What lies behind the end does not begin like that, and what lies before it does.
        for (size_t j = i + 1; j < tree[i].end; j++) CHECK(tree[j].depth > tree[i].depth);
        if (tree[i].end < tree.size()) CHECK(tree[tree[i].end].depth <= tree[i].depth);
    }
    for (size_t token = 0; token < words.size(); token++) {
        CHECK(seen[token] == (words[token].empty() || is_control[token] != 0 ? 0 : 1));
    }
    for (const std::string text : {"", "abcab", "cabba", "zab", "<c>", "\xff\x80"}) {
        for (size_t from = 0; from <= text.size(); from++) {
            std::string longest;
            for (size_t token = 0; token < words.size(); token++) {
                const bool is_there =
                    is_control[token] == 0 && text.compare(from, words[token].size(), words[token]) == 0;
                if (is_there && words[token].size() > longest.size()) longest = words[token];
            }
            const size_t node = texts.longest(text, from);
            CHECK((node == tree.size()) == longest.empty());
            CHECK(longest.empty() || texts[tree[node].token] == longest);
        }
    }
    CHECK(texts.depth() == 5);
    CHECK(TokenTexts({}, {}).tree().empty());
}

/// An alternative that is a text.
std::vector<int32_t> spell(Writer & writer, const std::string & text) {
    std::vector<int32_t> elements;
    for (const char byte : text) elements.push_back(writer.byte(std::string(1, byte)));
    return elements;
}

std::vector<int32_t> joined(std::vector<std::vector<int32_t>> parts) {
    std::vector<int32_t> all;
    for (const auto & part : parts) all.insert(all.end(), part.begin(), part.end());
    return all;
}

std::string forced_behind(Automaton & automaton, const std::string & text, const WhiteSpaceHabits & habits,
                          size_t most = 100) {
    const int before = text.empty() ? NO_BYTE : static_cast<uint8_t>(text.back());
    return forced_text(automaton, read(automaton, automaton.start(WORK), text), before, habits, most, WORK);
}

void test_forced_text() {
    // root ::= space "{" key space ("yes" | "yet" | "no") "}"; key ::= "\"k\":"; space ::= " " |
    Writer writer;
    const auto open = spell(writer, "{"), key = spell(writer, "\"k\":"), close = spell(writer, "}");
    writer.rule(false, {joined({{call(2)}, open, {call(1)}})});
    writer.rule(false, {joined({key, {call(2), call(3)}, close})});
    writer.rule(true, {{writer.byte(" ")}});
    writer.rule(false, {spell(writer, "yes"), spell(writer, "yet"), spell(writer, "no")});
    Automaton automaton(writer.done());
    WhiteSpaceHabits habits;
    // A space behind a colon is usual, one at the beginning is not.
    CHECK(forced_behind(automaton, "", habits) == "{\"k\": ");
    CHECK(forced_behind(automaton, "", habits, 3) == "{\"k");
    CHECK(forced_behind(automaton, " ", habits) == "{\"k\": ");
    CHECK(forced_behind(automaton, "{\"", habits) == "k\": ");
    CHECK(forced_behind(automaton, "{\"k\":", habits) == " ");
    CHECK(forced_behind(automaton, "{\"k\": ", habits).empty());
    CHECK(forced_behind(automaton, "{\"k\":n", habits) == "o}");
    CHECK(forced_behind(automaton, "{\"k\":y", habits) == "e");
    CHECK(forced_behind(automaton, "{\"k\":no}", habits).empty());
    // What came last is expected again.
    const auto note = [&](const std::string & text, uint8_t next) {
        const auto state = read(automaton, automaton.start(WORK), text);
        habits.note(text.empty() ? NO_BYTE : static_cast<uint8_t>(text.back()), next, automaton.next_bytes(state));
    };
    note("{\"k\":", 'n');
    note("", ' ');
    CHECK(forced_behind(automaton, "", habits) == " {\"k\":");
    CHECK(forced_behind(automaton, "{\"k\":", habits).empty());
    // Where nothing is optional, nothing is learnt.
    note("{\"k\"", ':');
    note("{\"k\":n", 'o');
    CHECK(forced_behind(automaton, "{\"k\"", habits) == ":");
    note("{\"k\":", ' ');
    CHECK(forced_behind(automaton, "", habits) == " {\"k\": ");

    // A text that may end is not gone on with, nor one where a token may come.
    Writer ends;
    const int32_t a = ends.byte("a");
    ends.rule(false, {joined({{a, a}, {call(1)}})});
    ends.rule(true, {{a, element(GrammarElement::token, 7), a}});
    Automaton ending(ends.done());
    const WhiteSpaceHabits none;
    CHECK(forced_behind(ending, "", none) == "aa");
    CHECK(forced_behind(ending, "aa", none).empty());
    CHECK(forced_behind(ending, "aaa", none).empty());

    // Characters are whole: the second one has a choice in its last byte.
    Writer characters;
    characters.rule(false, {joined({spell(characters, "\xc3\xa9\xe6\x97"), {characters.byte("\xa4\xa5")}})});
    Automaton of_characters(characters.done());
    CHECK(forced_behind(of_characters, "", none) == "\xc3\xa9");
    CHECK(forced_behind(of_characters, "\xc3", none) == "\xa9");
    CHECK(forced_behind(of_characters, "", none, 1).empty());

    // Free text has white space as it has letters; more white space is not expected behind some.
    Writer free;  // root ::= [ -~]* | "\n" lines; here: any of all printable bytes
    std::string printable;
    for (char byte = ' '; byte < '~'; byte++) printable += byte;
    const int32_t any = free.byte(printable);
    free.rule(false, {{free.byte(":"), any, any}});
    Automaton of_free(free.done());
    CHECK(forced_behind(of_free, "", none) == ":");
    Writer white;  // root ::= ":" (" " | "\n" |) (" " |) "x"
    const int32_t space = white.byte(" ");
    white.rule(false, {{white.byte(":"), call(1), call(2), white.byte("x")}});
    white.rule(true, {{white.byte(" \n")}});
    white.rule(true, {{space}});
    Automaton of_white(white.done());
    CHECK(forced_behind(of_white, "", none) == ": x");
    WhiteSpaceHabits lines;
    lines.note(':', '\n', of_white.next_bytes(read(of_white, of_white.start(WORK), ":")));
    CHECK(forced_behind(of_white, "", lines) == ":\nx");
    CHECK(forced_behind(of_white, ": ", lines) == "x");

    Writer loop;  // root ::= "a" root
    loop.rule(false, {{loop.byte("a"), call(0)}});
    Automaton endless(loop.done());
    CHECK(forced_behind(endless, "", none) == std::string(100, 'a'));
    Writer nest;  // root ::= "(" root ")": each byte leads to a state of its own
    nest.rule(false, {{nest.byte("("), call(0), nest.byte(")")}});
    Automaton nested(nest.done());
    CHECK(forced_behind(nested, "(", none, 10'000'000).size() < 1'000'000);
    const std::atomic<bool> cancelled{true};
    GrammarWork stopped(&cancelled);
    Automaton again(loop.done());
    CHECK(failure_of([&] { forced_text(again, again.start(WORK), NO_BYTE, none, 100, stopped); }) == "ABORTED");
}

}  // namespace

int main() {
    test_recursion();
    test_what_may_be_empty();
    test_shared_beginnings();
    test_carried_over();
    test_tokens();
    test_failures();
    test_tree();
    test_forced_text();
    return test::failures() == 0 ? 0 : 1;
}
