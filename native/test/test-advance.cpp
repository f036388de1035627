// Jobs of drafts and steps that follow each other: what they draw is what is drawn where everything is told anew each
// time, nobody holds more than the text, and what cannot be followed says so and changes nothing.

#include <string>
#include <utility>
#include <vector>

#include "jobs-by-hand.h"
#include "jobs/advance.h"

namespace {

DrawRequest request_of(uint64_t seed) {
    DrawRequest request;
    request.seed = seed;
    request.sampling.temperature = seed % 4 == 0 ? 0 : 1;
    return request;
}

/// A drafter that the target reads, one that it does not read, and a member that nobody reads.
std::vector<Text> three_texts(uint64_t seed, uint32_t length) {
    std::vector<Text> texts{
        {target_of({0, 1, 2}, {{}, {}, {}}), fusion_of({1, 1, -1}), fusion_of({0, 1, 0}), 0, {4, 5, 6, 7}, {}},
        {target_of({0, 1}, {{}, {}}), fusion_of({1, 0}), fusion_of({0, 1}), 1, {1, 2}, {}},
        {target_of({2, 1, 0}, {{}, {}, {}}), fusion_of({0.5, 0, 0.5}), fusion_of({1, 0, 0}), 3, {3}, {}}};
    for (Text & text : texts) {
        text.request = request_of(seed + text.sequence);
        text.length = length;
        text.request.sampling.frequency_penalty = text.sequence == 1 ? 0.5 : 0;
        text.history_limit = text.sequence == 1 ? 4 : 0;
    }
    return texts;
}

AdvanceEntry full_entry(const Engine & engine, const Text & text, uint32_t id) {
    AdvanceEntry entry;
    entry.step = step_entry(engine, text);
    for (size_t m = 0; m < text.target->size(); ++m) {
        const bool reads = is_read(text.fusion, m) || (text.length > 0 && is_read(text.drafter, m));
        if (!reads) entry.step.tokens[m].clear();
    }
    entry.step.speculation.drafter = text.drafter;
    entry.step.speculation.drafts.clear();
    entry.length = text.length;
    entry.min_confidence = text.min_confidence;
    entry.begins = id;
    return entry;
}

AdvanceEntry following_entry(const Text & text, uint32_t id) {
    AdvanceEntry entry;
    entry.step.target = text.target;
    entry.step.sequence = text.sequence;
    entry.length = text.length;
    entry.min_confidence = text.min_confidence;
    entry.follows = id;
    return entry;
}

/// Checks a result against the work of hands, and adds it to the text.
void take(const Engine & engine, Text & text, const AdvanceOutcome & outcome) {
    CHECK(!outcome.is_void);
    if (text.length > 0) {
        const DraftedByHand drafted = draft_by_hand(engine, text);
        CHECK(outcome.drafted && outcome.drafted->tokens == drafted.drafts);
        CHECK(outcome.drafted && outcome.drafted->confidences == drafted.confidences);
        text.drafts = drafted.drafts;
    }
    Tokens draws;
    for (const DrawResult & draw : outcome.step.draws) draws.push_back(draw.token);
    CHECK(draws == draw_by_hand(engine, text));
    for (const int32_t token : draws) text.request = following(text.request, token, text.history_limit);
    text.tokens.insert(text.tokens.end(), draws.begin(), draws.end());
    text.drafts.clear();
    for (const uint32_t id : text.target->contexts) {
        const Tokens & held = engine.members[id]->text(text.sequence);
        CHECK(held.size() < text.tokens.size());
        CHECK(std::equal(held.begin(), held.end(), text.tokens.begin()));
    }
}

bool has_ended(const Text & text) { return text.tokens.back() == END; }

void test_following() {
    int followed = 0, ended = 0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
        for (const uint32_t length : {0, 1, 3}) {
            Engine engine;
            std::vector<Text> texts = three_texts(seed, length);
            std::vector<uint8_t> follows(texts.size(), 0);
            while (std::all_of(texts.begin(), texts.end(),
                               [](const Text & text) { return text.tokens.size() + 5 < POSITIONS; })) {
                std::vector<AdvanceEntry> entries;
                for (size_t i = 0; i < texts.size(); ++i) {
                    // A length that changes from step to step.
                    if (length > 0) texts[i].length = 1 + (static_cast<uint32_t>(texts[i].tokens.size()) + length) % 3;
                    const auto id = static_cast<uint32_t>(100 + i);
                    entries.push_back(follows[i] != 0 ? following_entry(texts[i], id)
                                                      : full_entry(engine, texts[i], id));
                }
                const AdvanceResult result = run_advance(engine.state, std::move(entries));
                for (size_t i = 0; i < texts.size(); ++i) {
                    if (result.entries[i].is_void) {
                        // The text has ended; those who tell everything can make it go on.
                        CHECK(follows[i] != 0 && has_ended(texts[i]));
                        follows[i] = 0;
                        ended++;
                        continue;
                    }
                    take(engine, texts[i], result.entries[i]);
                    followed += follows[i];
                    follows[i] = 1;
                }
            }
        }
    }
    CHECK(followed > 500);
    CHECK(ended > 5);
}

/// A failure at any decode leaves what was there, and nothing to follow.
void test_failures() {
    int failures = 0;
    for (uint64_t seed = 0; seed < 6; ++seed) {
        for (uint32_t id = 0; id < 3; ++id) {
            for (int after = 0; after < 4; ++after) {
                Engine engine;
                std::vector<Text> texts = three_texts(seed, 2);
                const auto full = [&] {
                    std::vector<AdvanceEntry> entries;
                    for (const Text & text : texts) entries.push_back(full_entry(engine, text, 7));
                    return entries;
                };
                const auto following_all = [&] {
                    std::vector<AdvanceEntry> entries;
                    for (const Text & text : texts) entries.push_back(following_entry(text, 7));
                    return entries;
                };
                AdvanceResult result = run_advance(engine.state, full());
                for (size_t i = 0; i < texts.size(); ++i) take(engine, texts[i], result.entries[i]);
                if (std::any_of(texts.begin(), texts.end(), has_ended)) continue;
                std::vector<std::vector<uint32_t>> before;
                for (const Text & text : texts) before.push_back(engine.lengths(*text.target, text.sequence));

                engine.fail(id, after % 2 == 0 ? "ABORTED" : "DECODE_FAILED", after);
                const std::string code = code_of([&] { run_advance(engine.state, following_all()); });
                engine.recover();
                if (code.empty()) continue;
                failures++;
                for (size_t i = 0; i < texts.size(); ++i) {
                    CHECK(engine.lengths(*texts[i].target, texts[i].sequence) == before[i]);
                    CHECK(engine.state.kept[texts[i].sequence].rows == 0);
                }
                result = run_advance(engine.state, following_all());
                for (const AdvanceOutcome & outcome : result.entries) CHECK(outcome.is_void);
                CHECK(result.lengths == std::vector<int32_t>(8, 0));
                result = run_advance(engine.state, full());
                for (size_t i = 0; i < texts.size(); ++i) take(engine, texts[i], result.entries[i]);
            }
        }
    }
    CHECK(failures > 30);
}

void test_nothing_to_follow() {
    Engine engine;
    Text text = three_texts(1, 0)[0];
    const auto is_void = [&](const AdvanceEntry & entry) {
        return run_advance(engine.state, {entry}).entries[0].is_void;
    };
    CHECK(is_void(following_entry(text, 7)));
    take(engine, text, run_advance(engine.state, {full_entry(engine, text, 7)}).entries[0]);
    // Another number, and then not even its own.
    CHECK(is_void(following_entry(text, 8)));
    CHECK(is_void(following_entry(text, 7)));

    // The drafter of this one has not been read, so nobody knows what it lacks.
    Text other = three_texts(1, 0)[1];
    take(engine, other, run_advance(engine.state, {full_entry(engine, other, 7)}).entries[0]);
    other.length = 2;
    CHECK(is_void(following_entry(other, 7)));

    // A token that a member lacks is read as its text, which only the other side knows.
    Engine lacking;
    Text lacked = three_texts(1, 0)[0];
    const int32_t token = draw_by_hand(lacking, lacked)[0];
    std::vector<uint8_t> kinds(VOCABULARY, 0), ends(VOCABULARY, 0);
    ends[END] = 1;
    lacked.target = make_target({0, 1, 2}, kinds, ends, {{}, {}, {token}});
    lacked.fusion = fusion_of({1, 1, 0});
    for (int32_t i = 0; i < static_cast<int32_t>(VOCABULARY); ++i) {
        if (i != token) lacked.request.bias.push_back({i, -INF});
    }
    const AdvanceResult result = run_advance(lacking.state, {full_entry(lacking, lacked, 7)});
    CHECK(result.entries[0].step.draws[0].token == token);
    CHECK(run_advance(lacking.state, {following_entry(lacked, 7)}).entries[0].is_void);
}

/// A bookmark stays where it was asked for, whoever follows.
void test_bookmarks() {
    Engine engine;
    Text text = three_texts(1, 2)[0];
    AdvanceEntry entry = full_entry(engine, text, 7);
    entry.step.bookmarks = {0, 2};
    take(engine, text, run_advance(engine.state, {entry}).entries[0]);
    CHECK(!has_ended(text));
    const auto held = [&](size_t m) { return static_cast<uint32_t>(engine.members[m]->text(text.sequence).size()); };
    using Bookmarks = std::vector<std::pair<uint32_t, uint32_t>>;
    const Bookmarks first{{text.sequence, held(0)}}, last{{text.sequence, held(2)}};
    take(engine, text, run_advance(engine.state, {following_entry(text, 7)}).entries[0]);
    CHECK(engine.members[0]->bookmarks == first);
    CHECK(engine.members[1]->bookmarks.empty());
    CHECK(engine.members[2]->bookmarks == last);

    // Nobody has one where nobody knows what the caches hold.
    Engine failing;
    text = three_texts(1, 2)[0];
    entry = full_entry(failing, text, 7);
    entry.step.bookmarks = {0};
    failing.fail(2, "DECODE_FAILED", 0);
    CHECK(code_of([&] { run_advance(failing.state, {entry}); }) == "DECODE_FAILED");
    CHECK(failing.members[0]->bookmarks.empty());
}

/// Selective fusion by hand: the drafter's draw where its distribution has little entropy, else the target's.
Tokens draw_selectively(const Engine & engine, const Text & text, double selective, size_t count) {
    Tokens result;
    DrawRequest request = text.request;
    while (result.size() < count) {
        const auto position = text.position() + static_cast<uint32_t>(result.size());
        const Row own = fuse(engine, text, text.drafter, position);
        const bool asks = entropy(own.data(), VOCABULARY) >= selective;
        const Row row = asks ? fuse(engine, text, text.fusion, position) : own;
        DrawScratch scratch;
        result.push_back(draw_token(row.data(), VOCABULARY, request, scratch));
        if (result.back() == END) break;
        request = following(request, result.back(), text.history_limit);
    }
    return result;
}

/// What is drawn does not depend on how many tokens the drafter may go ahead, nor on whether somebody compares.
void test_selective() {
    int unasked = 0, asked = 0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
        for (const uint32_t length : {0, 1, 3, 8}) {
            for (const bool compares : {false, true}) {
                constexpr double SELECTIVE = 0.6;
                Engine engine;
                Text text = three_texts(seed, length)[0];
                const Tokens expected = draw_selectively(engine, text, SELECTIVE, 24);
                AdvanceEntry entry = full_entry(engine, text, 7);
                entry.step.speculation.selective = SELECTIVE;
                Tokens drawn;
                while (drawn.size() < expected.size()) {
                    entry.step.speculation.compare = compares;
                    const AdvanceOutcome outcome = run_advance(engine.state, {entry}).entries[0];
                    CHECK(!outcome.is_void);
                    if (outcome.is_void) return;
                    for (const DrawResult & draw : outcome.step.draws) {
                        drawn.push_back(draw.token);
                        (draw.is_unasked ? unasked : asked)++;
                        CHECK(draw.drafter.has_value() == compares);
                    }
                    entry = following_entry(text, 7);
                }
                drawn.resize(expected.size());
                CHECK(drawn == expected);
            }
        }
    }
    CHECK(unasked > 200);
    CHECK(asked > 200);
}

}  // namespace

int main() {
    test_following();
    test_failures();
    test_nothing_to_follow();
    test_bookmarks();
    test_selective();
    return test::failures() == 0 ? 0 : 1;
}
