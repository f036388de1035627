#include "llama/grammar.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <unordered_map>

#include "failure.h"
#include "math/character-runs.h"
#include "math/readable-texts.h"
#include "math/token-texts.h"
#include "math/utf8.h"

namespace eft {

namespace {

constexpr size_t MOST_MEMORY = size_t{64} << 20;  // bytes of what has been found out about one grammar
/// To ask about all tokens costs as much as to ask about some thousand; so it does not take long to be worth it.
constexpr int PATIENCE = 256;
/// Bytes of forced text that are looked at.
constexpr size_t MOST_FORCED = 256;
/// And for each token that is wanted: most are shorter.
constexpr size_t FORCED_PER_TOKEN = 16;

/// Whether a word, a number or white space may go on behind it.
bool is_open(char byte) {
    const auto code = static_cast<unsigned char>(byte);
    return code >= 0x80 || code == ' ' || code == '\n' || code == '\t' || std::isalnum(code) != 0;
}

}  // namespace

/// What all places in a grammar have in common.
struct Grammar::Setting {
    std::weak_ptr<Model> model;
    std::shared_ptr<const GrammarProgram> program;
    std::vector<uint8_t> end_of_generation;
    std::vector<int32_t> named_tokens;
    std::vector<uint8_t> is_lacking;  // one flag per common token id
    std::vector<size_t> ends, lacks;  // the tokens whose flag is set
};

/// What has been found out about the grammar.
struct Grammar::Machine {
    Machine(std::shared_ptr<const TokenTexts> texts_, std::shared_ptr<const GrammarProgram> program)
        : texts(std::move(texts_)), automaton(std::move(program)) {}
    /// Knows nothing but the given states.
    Machine(const Machine & other, std::vector<State> & states)
        : texts(other.texts), automaton(other.automaton, states) {}

    std::shared_ptr<const TokenTexts> texts;
    Automaton automaton;
    CharacterRuns runs{automaton};
    std::unordered_map<State, std::vector<uint8_t>> masks;

    size_t size() const {
        const size_t each = masks.empty() ? 0 : masks.begin()->second.size();
        return automaton.size() + runs.size() + masks.size() * each;
    }
};

Grammar::Grammar(GrammarOptions options) {
    options.program.check();
    auto setting = std::make_shared<Setting>();
    setting->model = options.model;
    setting->end_of_generation = std::move(options.end_of_generation);
    setting->is_lacking.resize(setting->end_of_generation.size());
    const auto known = static_cast<size_t>(options.model->vocabulary_size());
    for (size_t token = known; token < setting->is_lacking.size(); ++token) setting->is_lacking[token] = 1;
    for (const int32_t token : options.lacking) setting->is_lacking.at(static_cast<size_t>(token)) = 1;
    for (const int32_t element : options.program.code) {
        const auto kind = static_cast<GrammarElement>(element & 7);
        if (kind == GrammarElement::token || kind == GrammarElement::other_token) {
            setting->named_tokens.push_back(element >> 3);
        }
    }
    for (size_t token = 0; token < setting->is_lacking.size(); ++token) {
        if (setting->is_lacking[token] != 0) setting->lacks.push_back(token);
        if (setting->end_of_generation[token] != 0) setting->ends.push_back(token);
    }
    setting->program = std::make_shared<const GrammarProgram>(std::move(options.program));
    setting_ = std::move(setting);
}

size_t Grammar::vocabulary_size() const { return setting_->end_of_generation.size(); }

void Grammar::settle(Cancelled cancelled) {
    GrammarWork work(cancelled);
    if (!machine_) {
        const auto model = setting_->model.lock();
        if (!model) throw Failure("DISPOSED", "The ensemble that this grammar was made for has been disposed.");
        const auto machine = std::make_shared<Machine>(model->texts(), setting_->program);
        state_ = machine->automaton.start(work);
        machine_ = machine;
    }
    if (!accepted_.empty()) {
        State state = state_;
        for (const int32_t token : accepted_) {
            note_habits(state, token, work);
            state = after(state, token, work);
        }
        state_ = state;
        accepted_.clear();
        refused_ = 0;
    }
    std::vector<State> states{state_};
    make_room(states);
}

void Grammar::make_room(std::vector<State> & states) {
    if (machine_->size() <= MOST_MEMORY) return;
    // Copies of this grammar keep what they have.
    machine_ = std::make_shared<Machine>(*machine_, states);
    state_ = states.front();
}

Grammar::State Grammar::after(State state, int32_t token, GrammarWork & work) {
    if (state == Automaton::DEAD || setting_->is_lacking[static_cast<size_t>(token)] != 0) return Automaton::DEAD;
    Automaton & automaton = machine_->automaton;
    const TokenTexts & texts = *machine_->texts;
    const std::string & text = texts[token];
    const auto & named = setting_->named_tokens;
    const bool is_named = std::find(named.begin(), named.end(), token) != named.end();

    State by_text = text.empty() || texts.is_control(token) ? Automaton::DEAD : state;
    for (size_t i = 0; i < text.size() && by_text != Automaton::DEAD; ++i) {
        by_text = automaton.after(by_text, static_cast<uint8_t>(text[i]), work);
    }
    if (automaton.token_elements(state).empty()) return by_text;
    // Control tokens come where they are named, or where any token may that the grammar knows. A token that is a part
    // of a character comes only as a part of its text.
    Utf8Position position;
    const bool is_whole = position.advance(text) && position.is_between_characters();
    const bool is_known = is_named || (is_whole && !text.empty() && !texts.is_control(token));
    const State as_token = is_known ? automaton.after_token(state, token, work) : Automaton::DEAD;
    return automaton.either(by_text, as_token);
}

bool Grammar::allows(int32_t token, Cancelled cancelled) {
    settle(cancelled);
    if (state_ == Automaton::DEAD) return false;
    if (setting_->end_of_generation[static_cast<size_t>(token)] != 0) return machine_->automaton.may_end(state_);
    const auto mask = machine_->masks.find(state_);
    if (mask != machine_->masks.end()) return mask->second[static_cast<size_t>(token)] != 0;
    GrammarWork work(cancelled);
    if (after(state_, token, work) != Automaton::DEAD) return true;
    if (++refused_ == PATIENCE) allowed(cancelled);
    return false;
}

const std::vector<uint8_t> & Grammar::allowed(Cancelled cancelled) {
    settle(cancelled);
    const auto known = machine_->masks.find(state_);
    if (known != machine_->masks.end()) return known->second;
    GrammarWork work(cancelled);
    std::vector<uint8_t> mask = find_allowed(work);
    return machine_->masks.emplace(state_, std::move(mask)).first->second;
}

std::vector<uint8_t> Grammar::find_allowed(GrammarWork & work) {
    const size_t n = vocabulary_size();
    std::vector<uint8_t> flags(machine_->texts->size(), 0);
    if (state_ == Automaton::DEAD) {
        flags.resize(n);
        return flags;
    }
    const std::shared_ptr<const TokenTexts> texts = machine_->texts;
    ReadableTexts readable(*texts, state_);
    while (!readable.flag(machine_->automaton, machine_->runs, MOST_MEMORY, flags, work)) make_room(readable.path());
    const auto elements = machine_->automaton.token_elements(state_);
    const auto is_for_any = [](const auto & element) { return element.first == GrammarElement::other_token; };
    const bool asks_all = std::any_of(elements.begin(), elements.end(), is_for_any);
    for (size_t token = 0; token < n && asks_all; ++token) {
        flags[token] = after(state_, static_cast<int32_t>(token), work) == Automaton::DEAD ? 0 : 1;
    }
    for (const auto & [kind, token] : elements) {
        if (kind == GrammarElement::token && static_cast<size_t>(token) < n) flags[static_cast<size_t>(token)] = 1;
    }
    flags.resize(n);
    for (const size_t token : setting_->lacks) flags[token] = 0;
    for (const size_t token : setting_->ends) flags[token] = machine_->automaton.may_end(state_) ? 1 : 0;
    return flags;
}

void Grammar::note_habits(State state, int32_t token, GrammarWork & work) {
    const TokenTexts & texts = *machine_->texts;
    if (texts.is_control(token)) return;
    for (const char character : texts[token]) {
        if (state == Automaton::DEAD) return;
        const auto byte = static_cast<uint8_t>(character);
        texts.habits().note(before_, byte, machine_->automaton.next_bytes(state));
        before_ = byte;
        state = machine_->automaton.after(state, byte, work);
    }
}

std::vector<int32_t> Grammar::forced(size_t most, Cancelled cancelled) {
    settle(cancelled);
    if (most == 0 || state_ == Automaton::DEAD) return {};
    const TokenTexts & texts = *machine_->texts;
    Automaton & automaton = machine_->automaton;
    GrammarWork work(cancelled);
    try {
        const size_t bytes = std::min(MOST_FORCED, FORCED_PER_TOKEN * (most + 1));
        const std::string text = forced_text(automaton, state_, before_, texts.habits(), bytes, work);
        if (text.empty()) return {};
        std::vector<int32_t> tokens = tokens_of(text);
        if (tokens.size() > most) {
            tokens.resize(most);
            return tokens;
        }
        // A word that is not over may be the beginning of a longer token.
        if (tokens.empty() || !is_open(text.back())) return tokens;
        const size_t last = text.size() - texts[tokens.back()].size();
        State state = state_;
        for (size_t i = 0; i < last; ++i) state = automaton.after(state, static_cast<uint8_t>(text[i]), work);
        if (goes_on_behind(state, texts.longest(text, last), work)) tokens.pop_back();
        return tokens;
    } catch (const Failure & failure) {
        // What is too ambiguous further on is reported when the text gets there.
        if (failure.code != "GRAMMAR_INVALID") throw;
        return {};
    }
}

std::vector<int32_t> Grammar::tokens_of(const std::string & text) const {
    const TokenTexts & texts = *machine_->texts;
    const auto is_possible = [&](int32_t token) {
        return static_cast<size_t>(token) < vocabulary_size() &&
               setting_->is_lacking[static_cast<size_t>(token)] == 0 &&
               setting_->end_of_generation[static_cast<size_t>(token)] == 0 && !texts.is_control(token) &&
               !texts[token].empty();
    };
    // Many tokenizers put a space in front of a text; behind the end of a line they have no reason to.
    if (const auto model = setting_->model.lock()) {
        std::vector<int32_t> tokens;
        try {
            tokens = model->tokenize("\n" + text, false, false);
        } catch (const Failure &) {
            // It need not know every text.
        }
        size_t from = tokens.size(), length = 0;
        while (from > 0 && length < text.size()) length += texts[tokens[--from]].size();
        std::string joined;
        for (size_t i = from; i < tokens.size() && is_possible(tokens[i]); ++i) joined += texts[tokens[i]];
        if (joined == text) return {tokens.begin() + static_cast<std::ptrdiff_t>(from), tokens.end()};
    }
    std::vector<int32_t> tokens;
    for (size_t at = 0; at < text.size(); at += texts[tokens.back()].size()) {
        const size_t node = texts.longest(text, at);
        if (node == texts.tree().size() || !is_possible(texts.tree()[node].token)) break;
        tokens.push_back(texts.tree()[node].token);
    }
    return tokens;
}

bool Grammar::goes_on_behind(State state, size_t node, GrammarWork & work) {
    const TokenTexts & texts = *machine_->texts;
    const auto & tree = texts.tree();
    if (node == tree.size()) return false;
    std::vector<State> path(texts.depth() + 1, Automaton::DEAD);  // the states before each byte of a prefix
    const std::string & text = texts[tree[node].token];
    for (const char byte : text) {
        if (state == Automaton::DEAD) return false;
        state = machine_->automaton.after(state, static_cast<uint8_t>(byte), work);
    }
    path[text.size()] = state;
    for (size_t i = node + 1; i < tree[node].end;) {
        const State before = path[tree[i].depth];
        const State next = before == Automaton::DEAD ? before : machine_->automaton.after(before, tree[i].byte, work);
        if (next == Automaton::DEAD) {
            i = tree[i].end;
            continue;
        }
        if (tree[i].token >= 0) return true;
        path[tree[i].depth + size_t{1}] = next;
        ++i;
    }
    return false;
}

}  // namespace eft
