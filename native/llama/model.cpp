#include "llama/model.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <limits>
#include <numeric>

#include "failure.h"
#include "llama/backend.h"
#include "llama/copies.h"
#include "llama/hash.h"
#include "llama/header.h"
#include "llama/log.h"
#include "llama/stack.h"

namespace eft {
namespace {

/// Runs a part of the tokenizer or reads the table of tokens, which throws or fails an assertion where a vocabulary
/// lacks what every other has.
template <typename Body>
auto tokenizing(const std::string & path, Body && body) {
    const AssertionGuard guard;
    try {
        return body();
    } catch (...) {
        throw Failure("MODEL_INVALID", "The tokenizer of " + path +
                                           " fails. If it fails on every text, its vocabulary is damaged; download or "
                                           "convert it again. llama.cpp says: " +
                                           words_of_exception());
    }
}

// Many pre-tokenizers of llama.cpp match with std::regex, whose GNU implementation recurses once for each character of
// a match: 355 bytes of stack each, the same for all of them (x64).
constexpr size_t kStackPerCharacter = 1024, kStackBesides = 1 << 18;
constexpr size_t kMaxStretch = 1000000;
// Half a megabyte at most, which every thread has; so ordinary prompts need no other one.
constexpr size_t kMaxStretchHere = 500;

// At each digit the pattern of this pre-tokenizer looks ahead over the rest of a number: 5 s for 8,000 digits.
constexpr const char * kSlowNumbers = "superbpe";
constexpr size_t kMaxSlowDigits = 1000;

bool has_slow_numbers(const llama_model * model) {
    std::string name(std::strlen(kSlowNumbers) + 2, '\0');
    const int32_t length = llama_api().llama_model_meta_val_str(model, "tokenizer.ggml.pre", name.data(), name.size());
    return length > 0 && std::strcmp(name.c_str(), kSlowNumbers) == 0;
}

size_t longest_number(const std::string & text) {
    size_t longest = 0, length = 0;
    for (const char character : text) {
        length = character >= '0' && character <= '9' ? length + 1 : 0;
        longest = std::max(longest, length);
    }
    return longest;
}

/// Whether the character at a place may be white space to a pre-tokenizer: any that Unicode knows.
bool starts_white_space(const std::string & text, size_t at) {
    if (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r')) return true;
    const auto is = [&](const char * character) { return text.compare(at, std::strlen(character), character) == 0; };
    // U+0085, 00A0, 1680, 202F, 205F, 3000, and 2000 to 200F and 2028 to 202B, which have a few more.
    return is("\xC2\x85") || is("\xC2\xA0") || is("\xE1\x9A\x80") || is("\xE2\x80\xAF") || is("\xE2\x81\x9F") ||
           is("\xE3\x80\x80") ||
           (is("\xE2\x80") && at + 2 < text.size() && ((text[at + 2] & 0xF0) == 0x80 || (text[at + 2] & 0xFC) == 0xA8));
}

/// More than the longest match of a pre-tokenizer, in characters. Matches may reach over spaces and over many line
/// ends, but behind a line end they go on with nothing else than white space and, in some patterns, slashes.
size_t longest_stretch(const std::string & text) {
    size_t longest = 0, length = 0, since_end = 0;
    bool ended = false;
    for (size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if ((byte & 0xC0) == 0x80) continue;
        if (byte == '\n' || byte == '\r') {
            ended = true;
            since_end = 0;
        } else if (ended && byte != '/' && !starts_white_space(text, at)) {
            ended = false;
            // Or they begin behind the line end.
            length = since_end;
        }
        ++since_end;
        // The line end before it may belong to it, too.
        longest = std::max(longest, ++length + 1);
    }
    return longest;
}

/// Parts of different models have tensors of the same names; llama.cpp names the tensor, and not its file.
std::string suspect_part(const std::string & path, uint32_t parts, const std::string & said) {
    const std::string mark = "tensor '";
    const size_t start = said.find(mark) + mark.size(), end = said.find('\'', start);
    if (parts < 2 || start < mark.size() || end == std::string::npos) return "";
    const std::string part = part_with_tensor(path, parts, said.substr(start, end - start));
    return part.empty() ? "" : " That tensor is in " + part + "; is this a part of the same model?";
}

}  // namespace

Model::Model(llama_model * model, std::string path, uint64_t tokenizer_hash)
    : model_(model),
      vocab_(llama_api().llama_model_get_vocab(model)),
      path_(std::move(path)),
      tokenizer_hash_(tokenizer_hash),
      slow_numbers_(has_slow_numbers(model)) {}

Model::~Model() {
    for (const auto & [identity, adapter] : adapters_) llama_api().llama_adapter_lora_free(adapter);
    llama_api().llama_model_free(model_);
}

std::shared_ptr<Model> Model::load(const ModelOptions & options, const std::function<bool(float)> & progress) {
    const LlamaApi & api = llama_api();
    const Header header = read_header(options.path);
    if (header.type == "adapter") {
        throw Failure("MODEL_UNSUPPORTED", options.path +
                                               " is a LoRA adapter, not a model: name it as `lora` of a member "
                                               "whose `model` is the adapter's base.");
    }

    const RegistryLock registry(RegistryLock::shared);
    std::vector<ggml_backend_dev_t> devices;
    for (const auto & name : options.devices) {
        ggml_backend_dev_t device = api.ggml_backend_dev_by_name(name.c_str());
        if (!device) throw Failure("BACKEND_UNAVAILABLE", "There is no device named " + name + ".");
        devices.push_back(device);
    }
    devices.push_back(nullptr);

    struct Progress {
        const std::function<bool(float)> & report;
        bool aborted;
    } state{progress, false};
    llama_model_params parameters = api.llama_model_default_params();
    parameters.devices = devices.data();
    parameters.n_gpu_layers = options.gpu_layers;
    parameters.vocab_only = options.vocabulary_only;
    parameters.progress_callback_user_data = &state;
    parameters.progress_callback = [](float fraction, void * data) {
        auto * progress_state = static_cast<Progress *>(data);
        if (!progress_state->report(fraction)) progress_state->aborted = true;
        return !progress_state->aborted;
    };

    const AssertionGuard guard;
    const LogCapture log;
    llama_model * model = nullptr;
    try {
        model = api.llama_model_load_from_file(options.path.c_str(), parameters);
    } catch (...) {
        // Nothing of a half-loaded model is shared with anything else, so the process can go on without it.
        throw Failure("MODEL_INVALID", options.path + " cannot be loaded. llama.cpp says: " + words_of_exception());
    }
    if (state.aborted) {
        if (model) api.llama_model_free(model);
        throw Failure("ABORTED", "Loading " + options.path + " was aborted.");
    }
    if (!model) {
        const std::string said = log.said();
        throw Failure("MODEL_LOAD_FAILED", options.path + " cannot be loaded." + said +
                                               suspect_part(options.path, header.split_count, said));
    }
    const std::shared_ptr<Model> loaded(new Model(model, options.path, header.tokenizer_hash));
    const bool needs_sections = (api.llama_model_rope_type(model) & LLAMA_ROPE_TYPE_MROPE) != 0;
    if (needs_sections && !header.has_rope_sections) {
        throw Failure("MODEL_INVALID", options.path + " cannot be loaded: its header lacks " + header.architecture +
                                           ".rope.dimension_sections. Download or convert it again.");
    }
    if (api.llama_vocab_type(loaded->vocab_) != LLAMA_VOCAB_TYPE_NONE) {
        loaded->table_hash_ = loaded->hash_tokens(loaded->vocabulary_size());
    }
    return loaded;
}

int32_t Model::vocabulary_size() const { return llama_api().llama_vocab_n_tokens(vocab_); }

void Model::check_token(int32_t token) const {
    if (token < 0 || token >= vocabulary_size()) {
        throw Failure("OPTION_INVALID", "Token id " + std::to_string(token) + " is outside the vocabulary of " + path_ +
                                            " (0 to " + std::to_string(vocabulary_size() - 1) + ").");
    }
}

std::vector<int32_t> Model::tokenize(const std::string & text, bool add_special, bool parse_special) const {
    const LlamaApi & api = llama_api();
    if (text.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max() / 2)) {
        throw Failure("OPTION_INVALID", "The text is too long to tokenize (more than 1 GiB).");
    }
    if (slow_numbers_ && longest_number(text) > kMaxSlowDigits) {
        throw Failure("OPTION_INVALID", "The text has a number of more than " + std::to_string(kMaxSlowDigits) +
                                            " digits, for which the tokenizer of " + path_ +
                                            " takes very long. Break it up.");
    }
    const auto length = static_cast<int32_t>(text.size());
    const auto into = [&](std::vector<int32_t> & tokens) {
        return tokenizing(path_, [&] {
            return api.llama_tokenize(vocab_, text.data(), length, tokens.data(), static_cast<int32_t>(tokens.size()),
                                      add_special, parse_special);
        });
    };
    std::vector<int32_t> tokens(text.size() + 2);
    int32_t count = 0;
    const auto run = [&] {
        count = into(tokens);
        if (count < 0 && count != std::numeric_limits<int32_t>::min()) {
            tokens.resize(static_cast<size_t>(-count));
            count = into(tokens);
        }
    };
    const size_t stretch = llama_api().llama_vocab_type(vocab_) == LLAMA_VOCAB_TYPE_BPE ? longest_stretch(text) : 0;
    if (stretch <= kMaxStretchHere) {
        run();
    } else {
        if (stretch > kMaxStretch) {
            throw Failure("OPTION_INVALID", "The text has " + std::to_string(stretch) +
                                                " characters without a line end, and the tokenizer of " + path_ +
                                                " can take " + std::to_string(kMaxStretch) + ". Break it into lines.");
        }
        run_with_stack(stretch * kStackPerCharacter + kStackBesides, run);
    }
    if (count < 0) throw Failure("OPTION_INVALID", "The tokenizer of " + path_ + " cannot handle this text.");
    tokens.resize(static_cast<size_t>(count));
    return tokens;
}

std::string Model::detokenize(const std::vector<int32_t> & tokens, bool render_special) const {
    std::string text;
    for_each_piece(tokens, render_special, [&](const char * piece, size_t length) { text.append(piece, length); });
    return text;
}

template <typename Take>
void Model::for_each_piece(const std::vector<int32_t> & tokens, bool render_special, Take && take) const {
    const LlamaApi & api = llama_api();
    std::string piece(64, '\0');
    for (const int32_t token : tokens) check_token(token);
    // One guard for all of them: there may be a quarter of a million.
    tokenizing(path_, [&] {
        for (const int32_t token : tokens) {
            const auto into_piece = [&] {
                return api.llama_token_to_piece(vocab_, token, piece.data(), static_cast<int32_t>(piece.size()),
                                                /*lstrip=*/0, render_special);
            };
            int32_t length = into_piece();
            if (length < 0) {
                piece.resize(static_cast<size_t>(-length));
                length = into_piece();
            }
            take(piece.data(), static_cast<size_t>(std::max(length, 0)));
        }
    });
}

const char * Model::token_text(int32_t token) const {
    check_token(token);
    return tokenizing(path_, [&] { return llama_api().llama_vocab_get_text(vocab_, token); });
}

std::vector<int32_t> Model::token_attributes() const {
    const LlamaApi & api = llama_api();
    std::vector<int32_t> attributes;
    attributes.reserve(static_cast<size_t>(vocabulary_size()));
    // One guard for all of them: there may be a quarter of a million.
    tokenizing(path_, [&] {
        for (int32_t token = 0; token < vocabulary_size(); ++token) {
            attributes.push_back(static_cast<int32_t>(api.llama_vocab_get_attr(vocab_, token)));
        }
    });
    return attributes;
}

bool Model::ends_generation(int32_t token) const { return llama_api().llama_vocab_is_eog(vocab_, token); }

std::shared_ptr<const TokenTexts> Model::texts() const {
    std::call_once(texts_once_, [&] {
        std::vector<int32_t> tokens(static_cast<size_t>(vocabulary_size()));
        std::iota(tokens.begin(), tokens.end(), 0);
        std::vector<std::string> texts;
        texts.reserve(tokens.size());
        for_each_piece(tokens, true, [&](const char * piece, size_t length) { texts.emplace_back(piece, length); });
        std::vector<uint8_t> is_control;
        is_control.reserve(tokens.size());
        for (const int32_t attributes : token_attributes()) {
            constexpr int32_t CONTROL = LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN;
            is_control.push_back((attributes & CONTROL) != 0 ? 1 : 0);
        }
        texts_ = std::make_shared<const TokenTexts>(std::move(texts), std::move(is_control));
    });
    return texts_;
}

uint64_t Model::vocabulary_hash(int32_t to) const {
    if (to > 0) check_token(to - 1);
    return to == vocabulary_size() ? table_hash_ : hash_tokens(to);
}

uint64_t Model::hash_tokens(int32_t to) const {
    const LlamaApi & api = llama_api();
    ContentHash hash;
    tokenizing(path_, [&] {
        for (int32_t token = 0; token < to; ++token) {
            const auto attributes = static_cast<int32_t>(api.llama_vocab_get_attr(vocab_, token));
            hash.add_text(api.llama_vocab_get_text(vocab_, token));
            hash.add(&attributes, sizeof(attributes));
        }
    });
    return hash.value();
}

void check_adapter(const std::string & path) {
    const Header header = read_header(path);
    if (header.type != "adapter") {
        throw Failure("LORA_INVALID", path + " is not a LoRA adapter (its GGUF says type \"" + header.type + "\").");
    }
    if (header.tensor_count == 0) {
        throw Failure("LORA_INVALID",
                      path + " is a LoRA adapter without tensors, which would change nothing; convert it again.");
    }
    if (header.is_activated_lora) {
        throw Failure("MODEL_UNSUPPORTED", path +
                                               " is an activated LoRA adapter, which counts only behind its invocation "
                                               "tokens; here an adapter counts for "
                                               "every token. Take an ordinary LoRA adapter.");
    }
}

llama_adapter_lora * Model::adapter(const std::string & path) {
    const std::lock_guard<std::mutex> lock(adapters_mutex_);
    const std::string identity = file_identity(path);
    const auto found = adapters_.find(identity);
    if (found != adapters_.end()) return found->second;

    check_adapter(path);
    const AssertionGuard guard;
    const LogCapture log;
    llama_adapter_lora * adapter = llama_api().llama_adapter_lora_init(model_, path.c_str());
    if (!adapter) throw Failure("LORA_INVALID", path + " does not fit " + path_ + "." + log.said());
    adapters_.emplace(identity, adapter);
    return adapter;
}

std::shared_ptr<Model> SharedModel::get(const std::function<std::shared_ptr<Model>()> & load,
                                        const std::function<bool()> & cancelled) {
    std::unique_lock<std::mutex> lock(mutex_);
    while (loading_) {
        if (cancelled()) throw Failure("ABORTED", "Loading was aborted.");
        // A cancellation wakes nobody.
        loaded_.wait_for(lock, std::chrono::milliseconds(10));
    }
    if (auto model = model_.lock(); model && !model->retired()) return model;
    loading_ = true;
    lock.unlock();
    std::shared_ptr<Model> model;
    const auto finish = [&] {
        lock.lock();
        model_ = model;
        loading_ = false;
        loaded_.notify_all();
    };
    try {
        model = load();
    } catch (...) {
        finish();
        throw;
    }
    finish();
    return model;
}

}  // namespace eft
