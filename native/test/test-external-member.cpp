// A member whose rows are handed over, beside others that replay recorded rows: the jobs make the same of it as of a
// member that replays the same rows, and what is no row is refused.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "jobs/draft.h"
#include "jobs/external-member.h"
#include "jobs/step.h"
#include "replay-member.h"

using namespace eft;
using namespace eft::test;

namespace {

constexpr uint32_t VOCABULARY = 40, ROW_SIZE = 43, SEQUENCES = 3, POSITIONS = 48;
constexpr double INF = std::numeric_limits<double>::infinity();

Recording record(uint32_t seed, size_t row_size) {
    Recording recording(SEQUENCES, std::vector<Row>(POSITIONS, Row(row_size)));
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, 2);
    for (auto & sequence : recording) {
        for (Row & row : sequence) std::generate(row.begin(), row.end(), [&] { return normal(random); });
    }
    return recording;
}

const std::vector<Recording> & recordings() {
    static const std::vector<Recording> all{record(20, ROW_SIZE), record(21, VOCABULARY), record(22, VOCABULARY)};
    return all;
}

/// Three members; the first is one that replays, or one whose rows are handed over.
struct Engine {
    JobState state;
    std::shared_ptr<const Target> target;
    bool is_external;

    explicit Engine(bool is_external_) : is_external(is_external_) {
        state.kept.resize(SEQUENCES);
        for (size_t m = 0; m < 3; ++m) {
            if (m == 0 && is_external) {
                state.contexts.push_back(std::make_unique<ExternalMember>("far", ROW_SIZE, SEQUENCES));
            } else {
                state.contexts.push_back(
                    std::make_unique<ReplayMember>("member-" + std::to_string(m), recordings()[m], m == 1));
            }
        }
        std::vector<uint8_t> kinds(VOCABULARY, 0), ends(VOCABULARY, 0);
        kinds[2] = kinds[3] = 1;
        target = make_target({0, 1, 2}, kinds, ends, {{7}, {}, {}});
    }
    std::vector<uint32_t> lengths(uint32_t sequence) const {
        std::vector<uint32_t> result;
        for (const auto & context : state.contexts) result.push_back(context->length(sequence));
        return result;
    }
};

const Fusion FILTERED{{1, 1, -1}, {0, 1, 0}, true, 0.8, true};

ExternalRow whole_row(uint32_t sequence, uint32_t position) { return {recordings()[0][sequence][position], {}}; }

ExternalRow known_row(uint32_t sequence, uint32_t position, const Tokens & ids) {
    const Row & row = recordings()[0][sequence][position];
    double sum = 0;
    for (const float logit : row) sum += std::exp(static_cast<double>(logit));
    KnownIds known;
    for (const int32_t id : ids) {
        known.ids.push_back(id);
        known.logprobs.push_back(static_cast<double>(row[static_cast<size_t>(id)]) - std::log(sum));
    }
    return {{}, known};
}

/// Which ids of the far member a step at a position asks for, given that it knows none: what a caller does.
Tokens wanted_at(uint32_t sequence, uint32_t position);

/// The step of a text that goes on at `keep`.
StepEntry entry_of(const Engine & engine, uint32_t sequence, uint32_t keep, const Tokens & tokens) {
    StepEntry entry;
    entry.target = engine.target;
    entry.sequence = sequence;
    entry.keep.assign(3, keep);
    entry.tokens.assign(3, tokens);
    entry.fusion = FILTERED;
    DrawRequest request;
    request.seed = 5 + sequence;
    request.position = keep;
    request.members = true;
    request.scores = true;
    entry.draw = request;
    return entry;
}

/// Hands over the last rows of an entry.
void hand_over(StepEntry & entry, const std::function<ExternalRow(uint32_t position)> & make) {
    entry.external_rows.resize(3);
    const auto end = entry.keep[0] + static_cast<uint32_t>(entry.tokens[0].size());
    for (uint32_t position = end - entry.rows(); position < end; ++position) {
        entry.external_rows[0].push_back(make(position));
    }
}

Tokens wanted_at(uint32_t sequence, uint32_t position) {
    Engine engine(true);
    StepEntry before = entry_of(engine, sequence, 0, Tokens(position, 1));
    before.draw.reset();
    if (position > 0) run_step(engine.state, {before});
    StepEntry entry = entry_of(engine, sequence, position, {1});
    hand_over(entry, [&](uint32_t at) { return known_row(sequence, at, {}); });
    const StepResult result = run_step(engine.state, {entry});
    CHECK(result.entries[0].draws.empty() && result.entries[0].uncovered.size() == 1);
    CHECK(engine.lengths(sequence) == std::vector<uint32_t>(3, position + 1));
    return result.entries[0].uncovered.empty() ? Tokens{} : result.entries[0].uncovered[0].missing;
}

void check_same(const StepResult & actual, const StepResult & expected, double tolerance) {
    CHECK(actual.entries.size() == expected.entries.size());
    for (size_t i = 0; i < expected.entries.size(); ++i) {
        const auto & draws = actual.entries[i].draws;
        const auto & others = expected.entries[i].draws;
        CHECK(actual.entries[i].uncovered.empty());
        CHECK(draws.size() == others.size());
        for (size_t row = 0; row < std::min(draws.size(), others.size()); ++row) {
            CHECK(draws[row].token == others[row].token);
            CHECK_NEAR(draws[row].logprob, others[row].logprob, tolerance);
            for (size_t token = 0; token < VOCABULARY; ++token) {
                CHECK_NEAR(draws[row].scores[token], others[row].scores[token], tolerance);
            }
            for (size_t m = 0; m < 3; ++m) {
                // The members' own, where the drawn token is known.
                if (!std::isnan(draws[row].member_logprobs[m])) {
                    CHECK_NEAR(draws[row].member_logprobs[m], others[row].member_logprobs[m], tolerance);
                }
            }
        }
    }
}

/// Prompts, plain steps and blocks of drafts of two sequences, with rows of both kinds.
void test_same_as_local() {
    for (const bool is_whole : {true, false}) {
        Engine local(false), external(true);
        const auto make_of = [&](uint32_t sequence) {
            return [=](uint32_t position) {
                if (is_whole) return whole_row(sequence, position);
                Tokens ids = wanted_at(sequence, position);
                // In another order than that of ids, and more than are needed.
                for (const int32_t more : {0, 39, 42}) {
                    if (std::find(ids.begin(), ids.end(), more) == ids.end()) ids.insert(ids.begin(), more);
                }
                std::reverse(ids.begin(), ids.end());
                return known_row(sequence, position, ids);
            };
        };
        const double tolerance = is_whole ? 0 : 1e-5;
        uint32_t accepted = 0;
        std::vector<uint32_t> lengths(2, 0);
        std::vector<int32_t> last(2, 1);
        for (int i = 0; i < 8; ++i) {
            std::vector<StepEntry> entries, others;
            for (uint32_t sequence = 0; sequence < 2; ++sequence) {
                Tokens tokens{last[sequence]};
                if (i == 0) tokens = {1, 4, 5, 6};
                StepEntry entry = entry_of(local, sequence, lengths[sequence], tokens);
                if (i % 2 == 1) {
                    // The first drafts are right; they are what the same step draws without.
                    Engine twin(false);
                    StepEntry before = entry_of(twin, sequence, 0, Tokens(lengths[sequence], 1));
                    before.draw.reset();
                    run_step(twin.state, {before});
                    StepEntry next = entry_of(twin, sequence, lengths[sequence], tokens);
                    const int32_t right = run_step(twin.state, {next}).entries[0].draws[0].token;
                    entry.speculation.drafts = {right, 9};
                    for (Tokens & all : entry.tokens) all.insert(all.end(), {right, 9});
                }
                others.push_back(entry);
                entry.target = external.target;
                hand_over(entry, make_of(sequence));
                entries.push_back(entry);
            }
            const StepResult expected = run_step(local.state, others);
            const StepResult actual = run_step(external.state, entries);
            check_same(actual, expected, tolerance);
            for (uint32_t sequence = 0; sequence < 2; ++sequence) {
                const auto & draws = expected.entries[sequence].draws;
                accepted += static_cast<uint32_t>(draws.size()) - 1;
                lengths[sequence] += static_cast<uint32_t>(i == 0 ? 4 : draws.size());
                last[sequence] = draws.back().token;
            }
        }
        CHECK(accepted >= 8);
    }
}

/// A row of which too little is known ends its entry and nobody else's.
void test_uncovered() {
    Engine engine(true), local(false);
    StepEntry entry = entry_of(engine, 0, 0, {1, 4, 5});
    entry.speculation.drafts = {4, 5};
    // The right drafts, row after row.
    for (size_t row = 0; row < 2; ++row) {
        Engine twin(false);
        StepEntry plain = entry_of(twin, 0, 0, {1, entry.speculation.drafts[0], entry.speculation.drafts[1]});
        plain.speculation.drafts = entry.speculation.drafts;
        const auto draws = run_step(twin.state, {plain}).entries[0].draws;
        entry.speculation.drafts[row] = draws[row].token;
    }
    for (Tokens & tokens : entry.tokens) tokens = {1, entry.speculation.drafts[0], entry.speculation.drafts[1]};
    StepEntry same = entry;
    same.target = local.target;
    const auto expected = run_step(local.state, {same}).entries[0].draws;
    CHECK(expected.size() == 3);

    const Tokens wanted = wanted_at(0, 1);
    const int32_t dropped = wanted.back();
    hand_over(entry, [&](uint32_t position) {
        Tokens ids = wanted;
        ids.pop_back();
        return position == 1 ? known_row(0, 1, ids) : whole_row(0, position);
    });
    StepEntry other = entry_of(engine, 2, 0, {1});
    hand_over(other, [](uint32_t position) { return whole_row(2, position); });
    const StepResult result = run_step(engine.state, {entry, other});
    CHECK(result.entries[0].draws.size() == 1 && result.entries[0].draws[0].token == expected[0].token);
    CHECK(result.entries[0].uncovered.size() == 1);
    if (result.entries[0].uncovered.empty()) return;
    const Uncovered & uncovered = result.entries[0].uncovered[0];
    CHECK(uncovered.member == 0 && uncovered.missing == Tokens{dropped});
    CHECK(uncovered.known_mass > 0 && uncovered.known_mass < 1);
    CHECK(result.entries[1].draws.size() == 1 && result.entries[1].uncovered.empty());
    CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 3));
    CHECK(engine.lengths(2) == std::vector<uint32_t>(3, 1));

    // Asked again with what was missing, it goes on as if nothing had happened.
    StepEntry again = entry_of(engine, 0, 1, {entry.tokens[0][1], entry.tokens[0][2]});
    again.speculation.drafts = {entry.speculation.drafts[1]};
    hand_over(again,
              [&](uint32_t position) { return position == 1 ? known_row(0, 1, wanted) : whole_row(0, position); });
    const auto draws = run_step(engine.state, {again}).entries[0].draws;
    CHECK(draws.size() == 2 && draws[0].token == expected[1].token && draws[1].token == expected[2].token);

    // Queries end before such a row.
    Engine scoring(true);
    StepEntry queries = entry_of(scoring, 0, 0, {1, 4, 5});
    queries.draw.reset();
    queries.queries = Queries{3, {0, 1, 1, 2}, {4, 5, 6, 7}, 0, false};
    hand_over(queries, [&](uint32_t position) { return position == 1 ? known_row(0, 1, {}) : whole_row(0, position); });
    const EntryResult scored = run_step(scoring.state, {queries}).entries[0];
    CHECK(scored.queries->logprobs.size() == 1 && scored.uncovered.size() == 1);

    // Without a filter there is nothing to ask for but the whole row.
    StepEntry plain = entry_of(engine, 1, 0, {1});
    plain.fusion = {{1, 1, -1}, {}, false, 1, false};
    hand_over(plain, [&](uint32_t position) { return known_row(1, position, wanted_at(1, position)); });
    const EntryResult refused = run_step(engine.state, {plain}).entries[0];
    CHECK(refused.draws.empty() && refused.uncovered.size() == 1 && refused.uncovered[0].missing.empty());
}

void test_faults() {
    const auto nan = std::numeric_limits<double>::quiet_NaN();
    const auto known = [](Tokens ids, std::vector<double> logprobs) {
        KnownIds result;
        result.ids = std::move(ids);
        result.logprobs = std::move(logprobs);
        return ExternalRow{{}, result};
    };
    const auto whole = [](size_t size, float value) {
        Row row(size, 0);
        row[2] = value;
        return ExternalRow{row, {}};
    };
    const auto infinite = static_cast<float>(INF);
    const std::pair<const char *, std::vector<ExternalRow>> faults[] = {
        {"OPTION_INVALID", {}},
        {"OPTION_INVALID", {whole(ROW_SIZE, 0), whole(ROW_SIZE, 0)}},
        {"OPTION_INVALID", {whole(ROW_SIZE - 1, 0)}},
        {"OPTION_INVALID", {whole(ROW_SIZE + 1, 0)}},
        {"OPTION_INVALID", {ExternalRow{}}},
        {"NON_FINITE_LOGITS", {whole(ROW_SIZE, static_cast<float>(nan))}},
        {"NON_FINITE_LOGITS", {whole(ROW_SIZE, infinite)}},
        {"NO_TOKEN_LEFT", {ExternalRow{Row(ROW_SIZE, -infinite), {}}}},
        {"OPTION_INVALID", {known({-1}, {-1})}},
        {"OPTION_INVALID", {known({ROW_SIZE}, {-1})}},
        {"OPTION_INVALID", {known({std::numeric_limits<int32_t>::max()}, {-1})}},
        {"OPTION_INVALID", {known({std::numeric_limits<int32_t>::min()}, {-1})}},
        {"OPTION_INVALID", {known({5, 4, 5}, {-1, -2, -3})}},
        {"OPTION_INVALID", {known({5, 4}, {-1})}},
        {"OPTION_INVALID", {known({5}, {-1, -2})}},
        {"NON_FINITE_LOGITS", {known({5, 4}, {-1, nan})}},
        {"OPTION_INVALID", {known({5, 4}, {-1, INF})}},
        {"OPTION_INVALID", {known({5, 4}, {-0.5, -0.5})}},
        {"OPTION_INVALID", {known({5}, {12})}},
    };
    for (const auto & [code, rows] : faults) {
        Engine engine(true);
        StepEntry before = entry_of(engine, 0, 0, {1, 2});
        before.draw.reset();
        run_step(engine.state, {before});
        CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 2));
        StepEntry entry = entry_of(engine, 0, 2, {3});
        entry.external_rows = {rows, {}, {}};
        CHECK(code_of([&] { run_step(engine.state, {entry}); }) == code);
        CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 2));
        // What was refused is not there for the next step.
        entry.external_rows = {};
        CHECK(code_of([&] { run_step(engine.state, {entry}); }) == "OPTION_INVALID");
        hand_over(entry, [](uint32_t position) { return whole_row(0, position); });
        CHECK(run_step(engine.state, {entry}).entries[0].draws.size() == 1);
    }

    // Rows for a member that evaluates its tokens itself.
    Engine engine(true);
    StepEntry entry = entry_of(engine, 0, 0, {1});
    entry.external_rows = {{whole_row(0, 0)}, {whole_row(0, 0)}, {}};
    CHECK(code_of([&] { run_step(engine.state, {entry}); }) == "OPTION_INVALID");
    CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 0));

    // A drafter that reads it has no rows.
    DraftEntry draft;
    draft.target = engine.target;
    draft.keep.assign(3, 0);
    draft.tokens = {{1}, {}, {}};
    draft.drafter = {{1, 0, 0}, {}, false, 1, false};
    CHECK(code_of([&] { run_draft(engine.state, {draft}); }) == "OPTION_INVALID");

    for (const int32_t size : {-1, 0, 1 << 30}) {
        CHECK(code_of([&] { ExternalMember("far", size, 1); }) == "OPTION_INVALID");
    }
}

/// A sequence that begins with what another one holds, and one that goes back.
void test_share_and_rewind() {
    Engine engine(true);
    StepEntry before = entry_of(engine, 0, 0, {1, 2, 3, 4});
    before.draw.reset();
    run_step(engine.state, {before});
    StepEntry entry = entry_of(engine, 1, 3, {9});
    entry.copy_from = 0;
    hand_over(entry, [](uint32_t position) { return whole_row(1, position); });
    run_step(engine.state, {entry});
    CHECK(engine.lengths(1) == std::vector<uint32_t>(3, 4));
    CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 4));
    entry = entry_of(engine, 0, 1, {9, 9});
    entry.draw.reset();
    run_step(engine.state, {entry});
    CHECK(engine.lengths(0) == std::vector<uint32_t>(3, 3));
    entry.keep[0] = 9;
    CHECK(code_of([&] { run_step(engine.state, {entry}); }) == "DECODE_FAILED");
    entry.keep[0] = 3;
    entry.copy_from = 2;
    CHECK(code_of([&] { run_step(engine.state, {entry}); }) == "DECODE_FAILED");
}

}  // namespace

int main() {
    test_same_as_local();
    test_uncovered();
    test_faults();
    test_share_and_rewind();
    return test::failures() == 0 ? 0 : 1;
}
