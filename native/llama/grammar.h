// A place in a grammar, and which tokens of a vocabulary may come next there.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "llama/model.h"
#include "math/automaton.h"
#include "math/forced-text.h"
#include "math/sample.h"

namespace eft {

struct GrammarOptions {
    std::shared_ptr<Model> model;  // whose tokens the text is made of
    GrammarProgram program;        // its token elements are ids
    /// One flag per common token id. These tokens may come exactly where the text may end.
    std::vector<uint8_t> end_of_generation;
    /// Common token ids that `model` does not have: it cannot say what they stand for, and they never come by their
    /// text.
    std::vector<int32_t> lacking;
};

/// A place: copies are at the same place and go their own ways from there. Copies share what they find out, so all of
/// them are used by one thread at a time. Does not keep its model alive; what asks throws Failure DISPOSED if that was
/// freed before it was first asked.
class Grammar {
  public:
    /// Throws Failure OPTION_INVALID for a program that is none. Reads no text yet: that is left to the first question.
    explicit Grammar(GrammarOptions options);

    /// Goes on to the place after `token`, which it allows and which does not end the text. Takes no time.
    void accept(int32_t token) { accepted_.push_back(token); }

    /// How many tokens it knows.
    size_t vocabulary_size() const;

    // These throw Failure ABORTED soon after `cancelled` has become true, and GRAMMAR_INVALID for a grammar that is too
    // ambiguous.

    /// Gets to where accept() has led. Everything that asks does it first.
    void settle(Cancelled cancelled);
    /// Whether `token` may come next. Some tens of nanoseconds.
    bool allows(int32_t token, Cancelled cancelled);
    /// One flag per token: whether it may come next. Some nanoseconds for each byte that may come in the tree of all
    /// texts.
    const std::vector<uint8_t> & allowed(Cancelled cancelled);
    /// Tokens of the text that must come now, as far as nothing else can, at most `most` of them: as the vocabulary's
    /// tokenizer writes it. The same text may also come in other tokens, and white space that need not come is expected
    /// where it came last; so this is a guess, of tokens that may come. Some microseconds.
    std::vector<int32_t> forced(size_t most, Cancelled cancelled);

  private:
    using State = Automaton::State;
    struct Setting;
    struct Machine;

    State after(State state, int32_t token, GrammarWork & work);
    std::vector<uint8_t> find_allowed(GrammarWork & work);
    /// Notes where white space came, and where not, on the way of a token.
    void note_habits(State state, int32_t token, GrammarWork & work);
    std::vector<int32_t> tokens_of(const std::string & text) const;
    /// Whether some token that may come in `state` begins with the text of a node and goes on behind it.
    bool goes_on_behind(State state, size_t node, GrammarWork & work);
    /// Forgets what has been found out, but for the given states, where it has become too much.
    void make_room(std::vector<State> & states);

    std::shared_ptr<const Setting> setting_;
    std::shared_ptr<Machine> machine_;  // null until the first question
    State state_ = Automaton::DEAD;
    std::vector<int32_t> accepted_;  // not yet gone on to
    int refused_ = 0;                // tokens, since the last one was accepted
    int before_ = NO_BYTE;           // the last byte of the text
};

/// A place in a grammar that moves through a block of tokens; the grammar that it starts from stays where it is.
class GrammarCursor final : public Constraint {
  public:
    /// Null: no grammar, and nothing happens.
    GrammarCursor(std::shared_ptr<Grammar> start, Cancelled cancelled)
        : start_(std::move(start)), cancelled_(cancelled) {}
    /// Null without a grammar.
    Constraint * get() { return start_ ? this : nullptr; }
    void accept(int32_t token) {
        if (start_) place().accept(token);
    }
    bool allows(int32_t token) override { return place().allows(token, cancelled_); }
    const std::vector<uint8_t> & allowed() override { return place().allowed(cancelled_); }

  private:
    Grammar & place() {
        if (!place_) {
            start_->settle(cancelled_);
            place_ = std::make_unique<Grammar>(*start_);
        }
        return *place_;
    }

    std::shared_ptr<Grammar> start_;
    std::unique_ptr<Grammar> place_;  // null until it is asked or moved
    Cancelled cancelled_;
};

}  // namespace eft
