#include "math/automaton.h"

#include <algorithm>
#include <map>
#include <queue>
#include <string>
#include <unordered_set>

#include "failure.h"

namespace eft {

namespace {

constexpr const char * ADVICE = "Let alternatives differ earlier, and repeat each part in one place.";

}  // namespace

void GrammarProgram::check() const {
    const auto require = [](bool valid) {
        if (!valid) throw Failure("OPTION_INVALID", "The program of a grammar is damaged.");
    };
    require(code.size() >= 2 && kind(0) == GrammarElement::rule && kind(1) == GrammarElement::text_end);
    require(code.size() == 2 || kind(static_cast<int32_t>(code.size()) - 1) == GrammarElement::end);
    require(rules.size() == rule_count() + 1 && rules[0] == 0 && rules.back() == static_cast<int32_t>(starts.size()));
    require(std::is_sorted(rules.begin(), rules.end()));
    for (const int32_t start : starts) require(start >= 2 && static_cast<size_t>(start) < code.size());
    for (size_t i = 0; i < code.size(); ++i) {
        const auto position = static_cast<int32_t>(i);
        require(code[i] >= 0 && kind(position) <= GrammarElement::text_end);
        const auto index = static_cast<size_t>(value(position));
        require(kind(position) != GrammarElement::bytes || index < sets.size());
        require(kind(position) != GrammarElement::rule || index < rule_count());
        require(kind(position) != GrammarElement::text_end || i == 1);
    }
    for (size_t rule = 0; rule < rule_count(); ++rule) {
        for (int32_t start = rules[rule]; start < rules[rule + 1]; ++start) {
            for (int32_t at = starts[static_cast<size_t>(start)]; kind(at) == GrammarElement::rule; ++at) {
                const auto called = static_cast<size_t>(value(at));
                require(called > rule);
                if (may_be_empty[called] == 0) break;
            }
        }
    }
}

void GrammarWork::look() const {
    if (cancelled_ && *cancelled_) throw Failure("ABORTED", "The evaluation was aborted.");
    if (steps_ < MOST_STEPS) return;
    throw Failure("GRAMMAR_INVALID",
                  "The grammar is too ambiguous: it takes too long to find out how the text can go on at this place. " +
                      std::string(ADVICE));
}

size_t Automaton::HashReadings::operator()(const Readings & readings) const {
    uint64_t hash = readings.size();
    for (const Reading & reading : readings) {
        hash = (hash ^ (static_cast<uint64_t>(static_cast<uint32_t>(reading.position)) << 32) ^
                static_cast<uint32_t>(reading.after)) *
               0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    return static_cast<size_t>(hash);
}

Automaton::Automaton(std::shared_ptr<const GrammarProgram> program) : program_(std::move(program)) {
    find_classes();
    intern({});  // after the text; its index is 0
}

Automaton::Automaton(const Automaton & other, std::vector<State> & states)
    : program_(other.program_), class_of_(other.class_of_), classes_(other.classes_) {
    // A set comes after those that it leads to. So whatever is needed shows from behind, and is copied from the front.
    std::vector<int32_t> copies(other.sets_.size(), 0);  // 1: needed; then the new index
    for (const State state : states) {
        if (state != DEAD) copies[static_cast<size_t>(other.states_[static_cast<size_t>(state)].set)] = 1;
    }
    for (size_t set = copies.size(); set-- > 0;) {
        if (copies[set] == 0) continue;
        for (const Reading & reading : *other.sets_[set]) copies[static_cast<size_t>(reading.after)] = 1;
    }
    copies[0] = 1;
    const auto moved = [&](size_t set) {
        Readings readings = *other.sets_[set];
        for (Reading & reading : readings) reading.after = copies[static_cast<size_t>(reading.after)];
        return readings;
    };
    for (size_t set = 0; set < copies.size(); ++set) {
        if (copies[set] != 0) copies[set] = intern(moved(set));
    }
    for (State & state : states) {
        if (state != DEAD) state = state_of(moved(static_cast<size_t>(other.states_[static_cast<size_t>(state)].set)));
    }
}

void Automaton::find_classes() {
    std::array<int32_t, 256> classes{};
    int32_t count = 1;
    for (const auto & set : program_->sets) {
        std::map<std::pair<int32_t, bool>, int32_t> split;
        for (size_t byte = 0; byte < 256; ++byte) {
            const auto key = std::make_pair(classes[byte], set.test(byte));
            classes[byte] = split.emplace(key, static_cast<int32_t>(split.size())).first->second;
        }
        count = static_cast<int32_t>(split.size());
        if (count == 256) break;
    }
    for (size_t byte = 0; byte < 256; ++byte) class_of_[byte] = static_cast<uint8_t>(classes[byte]);
    classes_ = static_cast<size_t>(count);
}

int32_t Automaton::intern(Readings readings) {
    std::sort(readings.begin(), readings.end());
    readings.erase(std::unique(readings.begin(), readings.end()), readings.end());
    const size_t bytes = readings.size() * sizeof(Reading);
    const auto [entry, is_new] = ids_.emplace(std::move(readings), static_cast<int32_t>(sets_.size()));
    if (is_new) {
        constexpr size_t OVERHEAD = 96;  // of an entry of the map
        size_ += bytes + OVERHEAD;
        sets_.push_back(&entry->first);
    }
    return entry->second;
}

Automaton::State Automaton::state_of(Readings readings) {
    const int32_t set = intern(std::move(readings));
    const auto [entry, is_new] = state_of_.emplace(set, static_cast<State>(states_.size()));
    if (!is_new) return entry->second;
    StateInfo info{set, false, {}};
    for (const Reading & reading : *sets_[static_cast<size_t>(set)]) {
        const GrammarElement kind = program_->kind(reading.position);
        if (kind == GrammarElement::text_end) info.may_end = true;
        if (kind != GrammarElement::token && kind != GrammarElement::other_token) continue;
        info.token_elements.emplace_back(kind, program_->value(reading.position));
    }
    size_ += sizeof(StateInfo) + classes_ * sizeof(State) + 64;
    states_.push_back(std::move(info));
    rows_.resize(rows_.size() + classes_, UNKNOWN);
    return entry->second;
}

Automaton::State Automaton::start(GrammarWork & work) { return close({{0, 0}}, work); }

Automaton::State Automaton::explore(State state, uint8_t byte, GrammarWork & work) {
    work.look();
    Readings next;
    for (const Reading & reading : readings_of(state)) {
        work.step();
        if (program_->kind(reading.position) != GrammarElement::bytes) continue;
        const auto & set = program_->sets[static_cast<size_t>(program_->value(reading.position))];
        if (set.test(byte)) next.push_back({reading.position + 1, reading.after});
    }
    const State result = next.empty() ? DEAD : close(std::move(next), work);
    rows_[static_cast<size_t>(state) * classes_ + class_of_[byte]] = result;
    return result;
}

Automaton::State Automaton::after_token(State state, int32_t token, GrammarWork & work) {
    Readings next;
    for (const Reading & reading : readings_of(state)) {
        const GrammarElement kind = program_->kind(reading.position);
        const bool is_named = program_->value(reading.position) == token;
        if ((kind == GrammarElement::token && is_named) || (kind == GrammarElement::other_token && !is_named)) {
            next.push_back({reading.position + 1, reading.after});
        }
    }
    return next.empty() ? DEAD : close(std::move(next), work);
}

Automaton::State Automaton::either(State one, State other) {
    if (one == DEAD || other == DEAD) return one == DEAD ? other : one;
    Readings readings = readings_of(one);
    readings.insert(readings.end(), readings_of(other).begin(), readings_of(other).end());
    return state_of(std::move(readings));
}

std::bitset<256> Automaton::next_bytes(State state) const {
    std::bitset<256> bytes;
    for (const Reading & reading : readings_of(state)) {
        if (program_->kind(reading.position) == GrammarElement::bytes) {
            bytes |= program_->sets[static_cast<size_t>(program_->value(reading.position))];
        }
    }
    return bytes;
}

void Automaton::check_size(const Readings & readings) {
    if (readings.size() <= MOST_READINGS) return;
    throw Failure("GRAMMAR_INVALID", "The grammar is too ambiguous: the text can be read in more than " +
                                         std::to_string(MOST_READINGS) + " ways at this place. " + ADVICE);
}

Automaton::State Automaton::close(Readings readings, GrammarWork & work) {
    struct Call {
        int32_t rule;
        Reading caller;  // at the call
        bool operator<(const Call & other) const { return rule > other.rule; }
    };
    std::priority_queue<Call> calls;  // the rule that comes first in the program is on top
    Readings closed;

    // Ends of rules lead to what comes after them, and what may be empty is passed over. No rule is entered yet.
    const auto key = [](const Reading & reading) {
        return static_cast<uint64_t>(static_cast<uint32_t>(reading.position)) << 32 |
               static_cast<uint32_t>(reading.after);
    };
    std::unordered_set<uint64_t> seen;
    std::unordered_set<int32_t> returned;
    while (!readings.empty()) {
        work.step();
        const Reading reading = readings.back();
        readings.pop_back();
        const GrammarElement kind = program_->kind(reading.position);
        if (kind == GrammarElement::end) {
            if (!returned.insert(reading.after).second) continue;
            const Readings & after = *sets_[static_cast<size_t>(reading.after)];
            readings.insert(readings.end(), after.begin(), after.end());
            check_size(readings);
            continue;
        }
        if (!seen.insert(key(reading)).second) continue;
        if (kind != GrammarElement::rule) {
            closed.push_back(reading);
            continue;
        }
        const int32_t rule = program_->value(reading.position);
        calls.push({rule, reading});
        if (program_->may_be_empty[static_cast<size_t>(rule)] != 0) {
            readings.push_back({reading.position + 1, reading.after});
        }
    }

    // A rule is entered once, for all its callers: they come before it in the program. That it may be empty was their
    // concern.
    while (!calls.empty()) {
        const int32_t rule = calls.top().rule;
        Readings callers;
        std::vector<int32_t> last;  // the call is the last element of a rule: after it comes what comes after that rule
        for (; !calls.empty() && calls.top().rule == rule; calls.pop()) {
            work.step();
            const Reading caller = calls.top().caller;
            if (program_->kind(caller.position + 1) == GrammarElement::end) {
                last.push_back(caller.after);
            } else {
                callers.push_back({caller.position + 1, caller.after});
            }
        }
        std::sort(last.begin(), last.end());
        last.erase(std::unique(last.begin(), last.end()), last.end());
        for (const int32_t set : last) {
            const Readings & after = *sets_[static_cast<size_t>(set)];
            callers.insert(callers.end(), after.begin(), after.end());
            check_size(callers);
        }
        const int32_t after = intern(std::move(callers));
        const auto r = static_cast<size_t>(rule);
        for (int32_t start = program_->rules[r]; start < program_->rules[r + 1]; ++start) {
            for (int32_t at = program_->starts[static_cast<size_t>(start)]; program_->kind(at) != GrammarElement::end;
                 ++at) {
                work.step();
                if (program_->kind(at) != GrammarElement::rule) {
                    closed.push_back({at, after});
                    break;
                }
                calls.push({program_->value(at), {at, after}});
                if (program_->may_be_empty[static_cast<size_t>(program_->value(at))] == 0) break;
            }
        }
        check_size(closed);
    }
    return state_of(std::move(closed));
}

}  // namespace eft
