// A grammar in GBNF, llama.cpp's notation, and how far a text has come in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model.h"
#include "sample.h"
#include "utf8.h"

namespace eft {

struct GrammarOptions {
    std::shared_ptr<Model> model;  // whose tokens the text is made of
    std::string text;              // GBNF; the start symbol is `root`
    /// One flag per common token id. These tokens may come exactly where the text may end.
    std::vector<uint8_t> end_of_generation;
    /// Control tokens that the grammar names. Others never come, since they have no text that it could describe.
    std::vector<int32_t> named_tokens;
    /// Common token ids that `model` does not have: it cannot say what they stand for, and they never come.
    std::vector<int32_t> lacking;
};

/// Used by one thread at a time. Does not keep its model alive; everything throws Failure DISPOSED once that is freed.
class Grammar final : public Constraint {
  public:
    /// Throws Failure GRAMMAR_INVALID. llama.cpp hangs or runs out of memory on some grammars, which are to be kept out
    /// before: empty repetitions such as {2,1}, hidden left recursion, very many elements.
    explicit Grammar(const GrammarOptions & options);

    /// A grammar at the same place, which goes its own way from there.
    Grammar clone() const;
    /// Goes on to the place after `token`, which it allows and which does not end the text.
    void accept(int32_t token);

    /// How many tokens it knows.
    size_t vocabulary_size() const;
    bool allows(int32_t token) override;
    const std::vector<uint8_t> & allowed() override;

  private:
    struct Vocabulary;
    struct FreeSampler {
        void operator()(llama_sampler * sampler) const { llama_api().llama_sampler_free(sampler); }
    };
    using Sampler = std::unique_ptr<llama_sampler, FreeSampler>;

    Grammar(std::shared_ptr<const Vocabulary> vocabulary, Sampler sampler, Utf8Position utf8);
    /// Sets the logit of those that may not come next to -inf.
    void apply(const Model & model, std::vector<llama_token_data> & candidates) const;

    std::shared_ptr<const Vocabulary> vocabulary_;
    Sampler sampler_;
    // llama.cpp's grammar takes bytes that are no UTF-8 for characters.
    Utf8Position utf8_;
    std::vector<uint8_t> allowed_;  // empty until it is asked for
};

/// A place in a grammar that moves through a block of tokens; the grammar that it starts from is only read.
class GrammarCursor {
  public:
    /// Null: no grammar, and nothing happens.
    explicit GrammarCursor(std::shared_ptr<Grammar> start) : place_(std::move(start)) {}
    Grammar * get() const { return place_.get(); }
    void accept(int32_t token) {
        if (!place_) return;
        if (!moved_) place_ = std::make_shared<Grammar>(place_->clone());
        moved_ = true;
        place_->accept(token);
    }

  private:
    std::shared_ptr<Grammar> place_;
    bool moved_ = false;
};

}  // namespace eft
