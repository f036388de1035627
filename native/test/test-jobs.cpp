// The jobs over members that replay recorded rows: what they draw is what math/ makes of the same rows, and what every
// member holds afterwards is what the job says, whether it succeeds or fails.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "jobs-by-hand.h"

namespace {

DrawRequest request_of(uint64_t seed, double temperature) {
    DrawRequest request;
    request.seed = seed;
    request.sampling.temperature = temperature;
    request.sampling.top_p = 0.95;
    return request;
}

/// EFT over three members, and a second recipe that shares two of them in another order. Each lacks other tokens.
std::vector<Text> two_texts(uint64_t seed, double temperature) {
    Text one{target_of({0, 1, 2}, {{3, 99}, {}, {5, 6}}),
             fusion_of({1, 1, -1}),
             fusion_of({0, 1, 0}),
             0,
             {4, 5, 6, 7},
             request_of(seed, temperature)};
    Text other{target_of({1, 0}, {{7, 8}, {9}}),    fusion_of({0.5, 0.75}), fusion_of({0, 1}), 2, {1, 2},
               request_of(seed + 1000, temperature)};
    other.request.sampling.frequency_penalty = 0.5;
    other.history_limit = 5;
    return {one, other};
}

void test_plain() {
    Counts counts;
    for (uint64_t seed = 0; seed < 8; ++seed) {
        Engine engine;
        std::vector<Text> texts = two_texts(seed, seed % 4 == 0 ? 0 : 1);
        go_on(engine, texts, seed % 2 == 0, counts);
    }
    CHECK(counts.failures > 0);
    CHECK(counts.accepted == 0);
}

void test_speculation() {
    for (const Coupling coupling : {Coupling::gumbel, Coupling::maximal}) {
        for (const double min_confidence : {0.0, 0.6}) {
            Counts counts;
            for (uint64_t seed = 0; seed < 12; ++seed) {
                Engine engine;
                std::vector<Text> texts = two_texts(seed, seed % 4 == 0 ? 0 : 1);
                for (Text & text : texts) {
                    text.coupling = coupling;
                    text.length = text.sequence == 0 ? 2 : 3;
                    text.min_confidence = min_confidence;
                }
                go_on(engine, texts, seed % 3 == 0, counts);
            }
            CHECK(counts.accepted > 50);
            CHECK(counts.rejected > 50);
            CHECK(counts.late > 20);
            CHECK((counts.late_together > 5) == (min_confidence == 0));
            CHECK(counts.failures > 100);
            CHECK((counts.declined > 20) == (min_confidence > 0));
        }
    }
}

/// With the target's noise, drafts change nothing about the text.
void test_same_text() {
    for (uint64_t seed = 0; seed < 8; ++seed) {
        std::vector<Tokens> written;
        for (const uint32_t length : {0, 1, 4}) {
            Counts counts;
            Engine engine;
            std::vector<Text> texts = two_texts(seed, 1);
            texts.pop_back();
            texts[0].length = length;
            go_on(engine, texts, false, counts);
            texts[0].tokens.resize(POSITIONS - 8);
            written.push_back(texts[0].tokens);
        }
        CHECK(written[0] == written[1]);
        CHECK(written[0] == written[2]);
    }
}

void test_reports() {
    Engine engine;
    Text text = two_texts(5, 1)[0];
    StepEntry entry = step_entry(engine, text);
    entry.draw->top = 3;
    entry.draw->members = true;
    entry.draw->scores = true;
    const StepResult result = run_step(engine.state, {entry});
    const DrawResult & draw = result.entries[0].draws[0];
    const Row row = fuse(engine, text, text.fusion, text.position());
    CHECK(draw.scores == row);
    CHECK(draw.top.size() == 3);
    const std::vector<Row> rows = rows_of(engine, text, text.position());
    for (size_t m = 0; m < rows.size(); ++m) {
        const double normalizer = summarize_row(rows[m].data(), rows[m].size()).log_normalizer;
        const auto logprob = [&](int32_t token) {
            return static_cast<double>(rows[m][static_cast<size_t>(token)]) - normalizer;
        };
        CHECK_NEAR(draw.member_logprobs[m], logprob(draw.token), 1e-9);
        for (size_t i = 0; i < draw.top.size(); ++i) {
            CHECK_NEAR(draw.top_member_logprobs[i * rows.size() + m], logprob(draw.top[i].token), 1e-5);
        }
    }

    // Given tokens instead of drawn ones: the last three rows of a longer text.
    text.tokens = {4, 5, 6, 7, 8, 9};
    entry = step_entry(engine, text);
    entry.draw.reset();
    entry.queries = Queries{3, {0, 1, 1, 2}, {1, 2, 3, 4}, 4, false};
    entry.keep.assign(3, 1);
    entry.tokens.assign(3, {5, 6, 7, 8, 9});
    const StepResult scored = run_step(engine.state, {entry});
    const QueryResult & queries = *scored.entries[0].queries;
    CHECK(queries.logprobs.size() == 4);
    for (size_t i = 0; i < queries.logprobs.size(); ++i) {
        const Row target = fuse(engine, text, text.fusion, 3 + static_cast<uint32_t>(entry.queries->row[i]));
        CHECK(queries.logprobs[i] == static_cast<double>(target[static_cast<size_t>(entry.queries->token[i])]));
        std::vector<TokenLogprob> top;
        top_logprobs(target.data(), target.size(), 4, top);
        for (size_t rank = 0; rank < 4; ++rank) {
            CHECK(queries.top[4 * i + rank].token == top[rank].token);
            CHECK(queries.top[4 * i + rank].logprob == top[rank].logprob);
        }
    }
    CHECK(queries.top.size() == 16);
    // The first of them is the argmax, and of more than there are the rest is none.
    const int32_t argmax = queries.top[4 * 3].token;
    entry.queries = Queries{1, {0, 0}, {argmax, argmax == 0 ? 1 : 0}, VOCABULARY + 1, false};
    const StepResult again = run_step(engine.state, {entry});
    const QueryResult & all = *again.entries[0].queries;
    CHECK(all.is_argmax == std::vector<uint8_t>({1, 0}));
    CHECK(all.top.size() == 2 * (VOCABULARY + 1));
    CHECK(all.top[0].token == argmax && all.top[VOCABULARY].token == -1 && all.top[2 * VOCABULARY + 1].token == -1);
    CHECK(engine.lengths(*text.target, 0) == std::vector<uint32_t>(3, 6));
}

/// A step that begins with what another sequence holds.
void test_share() {
    Engine engine;
    Counts counts;
    std::vector<Text> texts = two_texts(3, 1);
    texts.pop_back();
    step(engine, texts, false, counts);

    Text text = texts[0];
    text.sequence = 3;
    text.tokens = {4, 5, 6, 11, 12};
    StepEntry entry = step_entry(engine, text);
    entry.copy_from = 0;
    entry.keep = {3, 2, 0};
    entry.tokens = {{11, 12}, {6, 11, 12}, {4, 5, 6, 11, 12}};
    const std::vector<uint32_t> lengths = engine.lengths(*text.target, 0);
    fail_everywhere(
        engine, std::vector<StepEntry>{entry}, {{0, 2, 0}, {1, 3, 0}, {2, 5, 0}},
        [&] { run_step(engine.state, {entry}); }, counts);
    CHECK(counts.failures == 3);
    const StepResult result = run_step(engine.state, {entry});
    CHECK(result.entries[0].draws[0].token == draw_by_hand(engine, text)[0]);
    CHECK(engine.lengths(*text.target, 3) == std::vector<uint32_t>(3, 5));
    for (const ReplayMember * member : engine.members) CHECK(member->text(3) == text.tokens);
    CHECK(engine.lengths(*text.target, 0) == lengths);

    // More than is there: nothing was reached, and nothing is lost.
    entry.copy_from = 1;
    CHECK(code_of([&] { run_step(engine.state, {entry}); }) == "DECODE_FAILED");
    CHECK(engine.lengths(*text.target, 0) == lengths);
}

void test_faults() {
    const std::pair<const char *, std::function<void(Engine &, StepEntry &)>> faults[] = {
        {"CONTEXT_OVERFLOW", [](Engine &, StepEntry & entry) { entry.tokens[2].assign(POSITIONS, 1); }},
        {"DECODE_FAILED", [](Engine &, StepEntry & entry) { entry.tokens[1].clear(); }},
        {"DECODE_FAILED",
         [](Engine &, StepEntry & entry) {
             entry.speculation.drafts = {1, 2, 3, 4, 5};
         }},
        {"DECODE_FAILED", [](Engine &, StepEntry & entry) { entry.speculation.kept_rows = 2; }},
        {"NON_FINITE_LOGITS", [](Engine & engine, StepEntry &) { engine.recordings[1][0][5][2] = NAN; }},
        {"NO_TOKEN_LEFT",
         [](Engine & engine, StepEntry &) { engine.recordings[0][0][5].assign(VOCABULARY + 2, -INF); }},
        {"NO_TOKEN_LEFT",
         [](Engine &, StepEntry & entry) {
             for (int32_t token = 0; token < static_cast<int32_t>(VOCABULARY); ++token) {
                 entry.draw->bias.push_back({token, -INF});
             }
         }},
    };
    for (const auto & [code, make] : faults) {
        Engine engine;
        Counts counts;
        std::vector<Text> texts = two_texts(3, 1);
        step(engine, texts, false, counts);
        texts[0].tokens.push_back(3);
        std::vector<StepEntry> entries{step_entry(engine, texts[1]), step_entry(engine, texts[0])};
        make(engine, entries[1]);
        CHECK(code_of([&] { run_step(engine.state, entries); }) == code);
        check_at_keep(engine, entries);
    }

    // After an internal failure nothing is touched.
    Engine engine;
    const Text text = two_texts(3, 1)[0];
    engine.members[1]->stops = true;
    bool stopped = false;
    try {
        run_step(engine.state, {step_entry(engine, text)});
    } catch (const Failure &) {
    } catch (const std::runtime_error &) {
        stopped = true;
    }
    CHECK(stopped);
    CHECK(engine.lengths(*text.target, 0) == std::vector<uint32_t>(3, 4));
}

/// Jobs of a recipe of which a context has been removed meanwhile. Those who do without it go on.
void test_removed() {
    for (size_t removed = 0; removed < 3; ++removed) {
        Engine engine;
        Counts counts;
        std::vector<Text> texts = two_texts(3, 1);
        for (Text & text : texts) text.length = 2;
        step(engine, texts, false, counts);
        std::vector<DraftEntry> drafts;
        std::vector<StepEntry> steps;
        for (const Text & text : texts) {
            drafts.push_back(draft_entry(engine, text));
            steps.push_back(step_entry(engine, text));
        }
        std::swap(drafts[0], drafts[1]);
        std::swap(steps[0], steps[1]);
        engine.state.contexts[removed].reset();
        const auto check_others = [&](const auto & entries) {
            for (const auto & entry : entries) {
                for (size_t m = 0; m < entry.target->size(); ++m) {
                    const uint32_t id = entry.target->contexts[m];
                    if (id != removed) CHECK(engine.members[id]->length(entry.sequence) == entry.keep[m]);
                }
            }
        };
        CHECK(code_of([&] { run_draft(engine.state, drafts); }) == "DISPOSED");
        for (const Text & text : texts) CHECK(engine.state.kept[text.sequence].rows == 0);
        check_others(drafts);
        CHECK(code_of([&] { run_step(engine.state, steps); }) == "DISPOSED");
        check_others(steps);

        if (removed != 2) continue;
        texts.erase(texts.begin());
        go_on(engine, texts, false, counts);
    }
}

}  // namespace

int main() {
    test_plain();
    test_speculation();
    test_same_text();
    test_reports();
    test_share();
    test_faults();
    test_removed();
    return test::failures() == 0 ? 0 : 1;
}
