#include "grammar.h"

#include <algorithm>
#include <set>
#include <utility>

#include "backend.h"
#include "failure.h"
#include "log.h"

namespace eft {

/// What all places in a grammar have in common.
struct Grammar::Vocabulary {
    enum class Kind : uint8_t { text, end, never };

    std::weak_ptr<Model> model;
    std::vector<Kind> kinds;  // one per common token id
    // A token that this model regards as the end, through which the grammar says whether the text may end here; -1 if
    // there is none. Other members' end tokens are text to llama.cpp's grammar.
    int32_t end_token = -1;

    std::shared_ptr<Model> alive() const {
        auto locked = model.lock();
        if (!locked) throw Failure("DISPOSED", "The ensemble that this grammar was made for has been disposed.");
        return locked;
    }
};

namespace {

llama_token_data candidate(int32_t token) { return {token, 0, 0}; }

bool is_rejected(const llama_token_data & candidate) { return candidate.logit == MASKED; }

}  // namespace

Grammar::Grammar(const GrammarOptions & options) {
    using Kind = Vocabulary::Kind;
    const AssertionGuard guard;
    const LogCapture log;
    sampler_.reset(
        llama_api().llama_sampler_init_grammar(options.model->vocab(), options.text.c_str(), /*grammar_root=*/"root"));
    if (!sampler_) throw Failure("GRAMMAR_INVALID", "The grammar cannot be used." + log.said());

    auto vocabulary = std::make_shared<Vocabulary>();
    vocabulary->model = options.model;
    const int32_t size = options.model->vocabulary_size();
    for (int32_t token = 0; token < size && vocabulary->end_token < 0; ++token) {
        if (options.model->ends_generation(token)) vocabulary->end_token = token;
    }
    const std::set<int32_t> lacking(options.lacking.begin(), options.lacking.end());
    for (size_t token = 0; token < options.end_of_generation.size(); ++token) {
        const auto id = static_cast<int32_t>(token);
        const int32_t attributes =
            lacking.count(id) > 0 ? LLAMA_TOKEN_ATTR_UNKNOWN : options.model->token_attributes(id);
        const bool is_hidden = (attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) != 0;
        const bool is_end = options.end_of_generation[token] != 0;
        vocabulary->kinds.push_back(is_end ? Kind::end : is_hidden ? Kind::never : Kind::text);
    }
    for (const int32_t token : options.named_tokens) {
        auto & kind = vocabulary->kinds.at(static_cast<size_t>(token));
        if (kind == Kind::never) kind = Kind::text;
    }
    vocabulary_ = std::move(vocabulary);
}

Grammar::Grammar(std::shared_ptr<const Vocabulary> vocabulary, Sampler sampler, Utf8Position utf8)
    : vocabulary_(std::move(vocabulary)), sampler_(std::move(sampler)), utf8_(utf8) {}

Grammar Grammar::clone() const {
    return Grammar(vocabulary_, Sampler(llama_api().llama_sampler_clone(sampler_.get())), utf8_);
}

void Grammar::accept(int32_t token) {
    const auto model = vocabulary_->alive();
    // llama.cpp throws if the grammar does not allow the token.
    const AssertionGuard guard;
    llama_api().llama_sampler_accept(sampler_.get(), token);
    utf8_.advance(model->detokenize({token}, true));
    allowed_.clear();
}

void Grammar::apply(const Model & model, std::vector<llama_token_data> & candidates) const {
    llama_token_data_array array{candidates.data(), candidates.size(), -1, false};
    llama_api().llama_sampler_apply(sampler_.get(), &array);
    const auto & splits_characters = model.splits_characters();
    for (auto & entry : candidates) {
        if (is_rejected(entry) || splits_characters[static_cast<size_t>(entry.id)] == 0) continue;
        Utf8Position position = utf8_;
        if (!position.advance(model.detokenize({entry.id}, true))) entry.logit = MASKED;
    }
}

size_t Grammar::vocabulary_size() const { return vocabulary_->kinds.size(); }

bool Grammar::allows(int32_t token) {
    using Kind = Vocabulary::Kind;
    if (!allowed_.empty()) return allowed_[static_cast<size_t>(token)] != 0;
    const Kind kind = vocabulary_->kinds[static_cast<size_t>(token)];
    const int32_t asked = kind == Kind::end ? vocabulary_->end_token : token;
    if (kind == Kind::never || asked < 0) return false;
    std::vector<llama_token_data> candidates{candidate(asked)};
    apply(*vocabulary_->alive(), candidates);
    return !is_rejected(candidates[0]);
}

const std::vector<uint8_t> & Grammar::allowed() {
    using Kind = Vocabulary::Kind;
    if (!allowed_.empty()) return allowed_;
    const auto & kinds = vocabulary_->kinds;
    std::vector<llama_token_data> candidates;
    candidates.reserve(kinds.size());
    bool may_end = false;
    for (size_t token = 0; token < kinds.size(); ++token) {
        if (kinds[token] == Kind::text) candidates.push_back(candidate(static_cast<int32_t>(token)));
        // Asked once, for all of them.
        if (kinds[token] == Kind::end && !may_end) may_end = allows(static_cast<int32_t>(token));
    }
    apply(*vocabulary_->alive(), candidates);
    std::vector<uint8_t> allowed(kinds.size(), 0);
    for (const auto & entry : candidates) allowed[static_cast<size_t>(entry.id)] = is_rejected(entry) ? 0 : 1;
    for (size_t token = 0; token < kinds.size(); ++token) {
        if (kinds[token] == Kind::end) allowed[token] = may_end ? 1 : 0;
    }
    allowed_ = std::move(allowed);
    return allowed_;
}

}  // namespace eft
