// A grammar as a machine that reads bytes: a pushdown automaton whose readings of a text are followed side by side.
// Knows neither Node nor llama.cpp nor tokens.
//
// A reading is a position in the grammar, and what comes after the rule that this position is in: again a set of
// readings, one for each caller of the rule. Callers that meet in a rule share what the rule reads, and equal sets
// exist once (a graph-structured stack: Tomita, "Efficient parsing for natural language", 1985). So the readings of n
// bytes are of the order of n times the size of the grammar at most, where stacks that are kept apart can double with
// every byte; and a state, which is such a set, meets again whatever was found out about it before.
#pragma once

#include <array>
#include <atomic>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace eft {

enum class GrammarElement : int32_t {
    end = 0,          // of an alternative
    bytes = 1,        // one byte of set `value`
    rule = 2,         // a text of rule `value`
    token = 3,        // the token `value`, whatever its text
    other_token = 4,  // any other token
    text_end = 5,
};

/// What src/grammar/gbnf-program.ts makes of a grammar.
struct GrammarProgram {
    /// GrammarElement + 8 * value. First a call of the start rule and text_end, then alternatives, each with an `end`.
    std::vector<int32_t> code;
    /// Where in `code` the alternatives begin: those of rule r are starts[rules[r]] to starts[rules[r + 1] - 1].
    /// A rule comes before all that it can begin with, those behind what may be empty included.
    std::vector<int32_t> rules, starts;
    std::vector<uint8_t> may_be_empty;  // one per rule; alternatives without elements are left out of `starts`
    std::vector<std::bitset<256>> sets;

    GrammarElement kind(int32_t position) const {
        return static_cast<GrammarElement>(code[static_cast<size_t>(position)] & 7);
    }
    int32_t value(int32_t position) const { return code[static_cast<size_t>(position)] >> 3; }
    size_t rule_count() const { return may_be_empty.size(); }
    /// Throws Failure OPTION_INVALID for what would lead out of bounds, or for ever round in circles.
    void check() const;
};

/// Asked for now and then by what can take long. Null: never.
using Cancelled = const std::atomic<bool> *;

/// What one question may cost. Stops what is no longer wanted.
class GrammarWork {
  public:
    explicit GrammarWork(Cancelled cancelled) : cancelled_(cancelled) {}

    /// Counts something that takes some ten nanoseconds. Throws Failure ABORTED, or GRAMMAR_INVALID after MOST_STEPS.
    void step() {
        if (++steps_ % STEPS_BETWEEN == 0) look();
    }
    /// Throws Failure ABORTED.
    void look() const;

    /// A second or two.
    static constexpr uint64_t MOST_STEPS = uint64_t{1} << 26;

  private:
    static constexpr uint64_t STEPS_BETWEEN = 1024;

    Cancelled cancelled_;
    uint64_t steps_ = 0;
};

class Automaton {
  public:
    /// Small numbers; what they mean ends with the automaton.
    using State = int32_t;
    static constexpr State DEAD = -1;  // no text goes on like that

    explicit Automaton(std::shared_ptr<const GrammarProgram> program);
    /// Knows nothing but the given states, which become its own.
    Automaton(const Automaton & other, std::vector<State> & states);
    Automaton(const Automaton &) = delete;
    Automaton & operator=(const Automaton &) = delete;

    // These throw what GrammarWork throws, and GRAMMAR_INVALID beyond MOST_READINGS.
    State start(GrammarWork & work);
    State after(State state, uint8_t byte, GrammarWork & work) {
        const State known = rows_[static_cast<size_t>(state) * classes_ + class_of_[byte]];
        return known == UNKNOWN ? explore(state, byte, work) : known;
    }
    /// After a token that elements of the grammar name or except.
    State after_token(State state, int32_t token, GrammarWork & work);
    /// After whatever leads to the one or to the other, each of which may be DEAD.
    State either(State one, State other);

    /// The bytes that lead to somewhere else than DEAD.
    std::bitset<256> next_bytes(State state) const;
    bool may_end(State state) const { return states_[static_cast<size_t>(state)].may_end; }
    /// Elements `token` and `other_token` that may come next.
    const std::vector<std::pair<GrammarElement, int32_t>> & token_elements(State state) const {
        return states_[static_cast<size_t>(state)].token_elements;
    }
    /// Of the text that leads to a state.
    size_t readings(State state) const { return readings_of(state).size(); }
    /// Bytes of what has been found out, about.
    size_t size() const { return size_; }

    /// Of one text.
    static constexpr size_t MOST_READINGS = 100'000;

  private:
    static constexpr State UNKNOWN = -2;

    struct Reading {
        int32_t position;
        int32_t after;  // index into sets_
        bool operator==(const Reading & other) const { return position == other.position && after == other.after; }
        bool operator<(const Reading & other) const {
            return position != other.position ? position < other.position : after < other.after;
        }
    };
    using Readings = std::vector<Reading>;  // sorted, none twice, once it is in sets_
    struct HashReadings {
        size_t operator()(const Readings & readings) const;
    };
    struct StateInfo {
        int32_t set;
        bool may_end;
        std::vector<std::pair<GrammarElement, int32_t>> token_elements;
    };

    void find_classes();
    int32_t intern(Readings readings);
    State state_of(Readings readings);
    State explore(State state, uint8_t byte, GrammarWork & work);
    static void check_size(const Readings & readings);
    /// The state in which all readings are at a byte, at a token or at the end of the text.
    State close(Readings readings, GrammarWork & work);
    const Readings & readings_of(State state) const {
        return *sets_[static_cast<size_t>(states_[static_cast<size_t>(state)].set)];
    }

    std::shared_ptr<const GrammarProgram> program_;
    // Bytes that are in the same sets lead to the same states.
    std::array<uint8_t, 256> class_of_{};
    size_t classes_ = 1;

    std::unordered_map<Readings, int32_t, HashReadings> ids_;
    std::vector<const Readings *> sets_;           // the keys of ids_
    std::unordered_map<int32_t, State> state_of_;  // by set
    std::vector<StateInfo> states_;
    std::vector<State> rows_;  // states x classes
    size_t size_ = 0;
};

}  // namespace eft
