// What the jobs are to give over members that replay recorded rows, made by hand from math/ on the same rows, and runs
// of the jobs that are compared with it. For the tests of jobs.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "jobs/draft.h"
#include "jobs/step.h"
#include "replay-member.h"

using namespace eft;
using namespace eft::test;

namespace {

using TargetPointer = std::shared_ptr<const Target>;

constexpr float INF = std::numeric_limits<float>::infinity();
constexpr uint32_t VOCABULARY = 24, SEQUENCES = 4, POSITIONS = 64;
constexpr int32_t END = 21;

/// The members agree about `common` of what they say.
Recording record(uint32_t seed, size_t row_size, float common) {
    Recording recording(SEQUENCES, std::vector<Row>(POSITIONS, Row(row_size)));
    std::mt19937 random(seed), shared(1);
    std::normal_distribution<float> normal(0, 1);
    for (auto & sequence : recording) {
        for (auto & row : sequence) {
            std::vector<float> both(VOCABULARY + 4);
            for (float & logit : both) logit = 3 * normal(shared);
            for (size_t i = 0; i < row.size(); ++i) row[i] = common * both[i] + normal(random);
        }
    }
    return recording;
}

/// Three members, one with rows beyond the vocabulary and one whose rows end before it.
struct Engine {
    std::vector<Recording> recordings{record(10, VOCABULARY + 2, 1), record(11, VOCABULARY, 1),
                                      record(12, VOCABULARY - 1, 0.2f)};
    JobState state;
    std::vector<ReplayMember *> members;

    Engine() {
        state.kept.resize(SEQUENCES);
        state.continuations.resize(SEQUENCES);
        for (size_t m = 0; m < recordings.size(); ++m) {
            auto member = std::make_unique<ReplayMember>("member-" + std::to_string(m), recordings[m], m == 1);
            members.push_back(member.get());
            state.contexts.push_back(std::move(member));
        }
    }
    std::vector<uint32_t> lengths(const Target & target, uint32_t sequence) const {
        std::vector<uint32_t> result;
        for (const uint32_t id : target.contexts) result.push_back(members[id]->length(sequence));
        return result;
    }
    template <typename Texts>
    std::vector<int32_t> lengths_of(const Texts & texts) const {
        std::vector<int32_t> result;
        for (const auto & text : texts) {
            for (const uint32_t length : lengths(*text.target, text.sequence)) {
                result.push_back(static_cast<int32_t>(length));
            }
        }
        return result;
    }
    void fail(uint32_t context, const char * code, int after) {
        members[context]->failing.emplace(code, "As told.");
        members[context]->failing_after = after;
    }
    void recover() {
        for (ReplayMember * member : members) member->failing.reset();
    }
};

TargetPointer target_of(std::vector<uint32_t> contexts, std::vector<Tokens> lacking) {
    std::vector<uint8_t> kinds(VOCABULARY, 0), ends(VOCABULARY, 0);
    kinds[END] = 1;
    ends[END] = 1;
    return make_target(std::move(contexts), kinds, ends, std::move(lacking));
}

Fusion fusion_of(std::vector<double> weights) {
    Fusion fusion;
    fusion.weights = std::move(weights);
    return fusion;
}

/// A text in the making, and the recipe of it.
struct Text {
    TargetPointer target;
    Fusion fusion, drafter;
    uint32_t sequence;
    Tokens tokens;
    DrawRequest request;  // of the next token
    Coupling coupling = Coupling::gumbel;
    uint32_t history_limit = 0;
    uint32_t length = 0;  // of drafts; 0: plain
    double min_confidence = 0;
    Tokens drafts{};
    uint32_t kept_rows = 0;

    uint32_t position() const { return static_cast<uint32_t>(tokens.size()) - 1; }  // of the next row
    bool has_drafted(size_t m) const { return kept_rows > 0 && is_read(drafter, m); }
};

// What math/ alone makes of the recordings:

std::vector<Row> rows_of(const Engine & engine, const Text & text, uint32_t position) {
    std::vector<Row> rows;
    for (size_t m = 0; m < text.target->size(); ++m) {
        Row row = engine.recordings[text.target->contexts[m]][text.sequence][position];
        row.resize(std::min<size_t>(row.size(), VOCABULARY));
        for (const int32_t token : text.target->lacking[m]) row[static_cast<size_t>(token)] = -INF;
        rows.push_back(std::move(row));
    }
    return rows;
}

Row fuse(const Engine & engine, const Text & text, const Fusion & fusion, uint32_t position) {
    const std::vector<Row> rows = rows_of(engine, text, position);
    std::vector<MemberRow> views;
    for (const Row & row : rows) views.push_back({row.data(), row.size()});
    FuseScratch scratch;
    const FuseResult fused = fuse_rows(views.data(), fusion, views.size(), VOCABULARY, text.target->groups, scratch);
    CHECK(fused.fault == RowFault::none);
    return {fused.target, fused.target + VOCABULARY};
}

DrawRequest following(DrawRequest request, int32_t token, uint32_t history_limit) {
    request.position++;
    if (history_limit == 0) return request;
    request.history.push_back(token);
    if (request.history.size() > history_limit) request.history.erase(request.history.begin());
    return request;
}

struct DraftedByHand {
    Tokens drafts;
    std::vector<float> confidences;
    int32_t declined = -1;
};

DraftedByHand draft_by_hand(const Engine & engine, const Text & text) {
    DraftedByHand result;
    DrawRequest request = text.request;
    while (result.drafts.size() < text.length) {
        const auto position = text.position() + static_cast<uint32_t>(result.drafts.size());
        const Row row = fuse(engine, text, text.drafter, position);
        SpeculationScratch scratch;
        const Draft draft = draw_draft(row.data(), VOCABULARY, request, text.coupling, scratch);
        result.confidences.push_back(static_cast<float>(draft.confidence));
        if (draft.confidence < text.min_confidence) {
            result.declined = draft.token;
            break;
        }
        result.drafts.push_back(draft.token);
        if (draft.token == END) break;
        request = following(request, draft.token, text.history_limit);
    }
    return result;
}

Tokens draw_by_hand(const Engine & engine, const Text & text) {
    Tokens result;
    DrawRequest request = text.request;
    for (size_t i = 0; i <= text.drafts.size(); ++i) {
        const auto position = text.position() + static_cast<uint32_t>(i);
        const Row row = fuse(engine, text, text.fusion, position);
        const bool is_drafted = i < text.drafts.size();
        DrawScratch scratch;
        int32_t token = draw_token(row.data(), VOCABULARY, request, scratch);
        if (is_drafted && text.coupling == Coupling::maximal) {
            const Row drafter = fuse(engine, text, text.drafter, position);
            SpeculationScratch both;
            token = verify_draft(row.data(), drafter.data(), VOCABULARY, text.drafts[i], request, request,
                                 Coupling::maximal, both);
        }
        result.push_back(token);
        if (token == END || (is_drafted && token != text.drafts[i])) break;
        request = following(request, token, text.history_limit);
    }
    return result;
}

/// Whether the drafter's members have to evaluate the last draft after all.
bool is_late(const Text & text, const Tokens & draws) {
    return draws.size() > text.drafts.size() && text.kept_rows > 0 && text.kept_rows == text.drafts.size();
}

// The same by jobs:

std::vector<uint32_t> lengths_to_keep(const Engine & engine, const Text & text, uint32_t most) {
    std::vector<uint32_t> keep = engine.lengths(*text.target, text.sequence);
    for (uint32_t & length : keep) length = std::min(length, most);
    return keep;
}

DraftEntry draft_entry(const Engine & engine, const Text & text) {
    DraftEntry entry;
    entry.target = text.target;
    entry.sequence = text.sequence;
    entry.keep = lengths_to_keep(engine, text, text.position());
    entry.tokens.resize(text.target->size());
    for (size_t m = 0; m < entry.tokens.size(); ++m) {
        if (is_read(text.drafter, m)) entry.tokens[m].assign(text.tokens.begin() + entry.keep[m], text.tokens.end());
    }
    entry.drafter = text.drafter;
    entry.draw = text.request;
    entry.coupling = text.coupling;
    entry.history_limit = text.history_limit;
    entry.length = text.length;
    entry.min_confidence = text.min_confidence;
    return entry;
}

StepEntry step_entry(const Engine & engine, const Text & text) {
    StepEntry entry;
    entry.target = text.target;
    entry.sequence = text.sequence;
    entry.keep = lengths_to_keep(engine, text, text.position());
    Tokens all = text.tokens;
    all.insert(all.end(), text.drafts.begin(), text.drafts.end());
    for (size_t m = 0; m < text.target->size(); ++m) {
        const bool has_drafted = text.has_drafted(m);
        if (has_drafted) entry.keep[m] = engine.lengths(*text.target, text.sequence)[m];
        entry.tokens.emplace_back(has_drafted ? all.end() : all.begin() + entry.keep[m], all.end());
    }
    entry.fusion = text.fusion;
    entry.draw = text.request;
    entry.speculation.drafts = text.drafts;
    entry.speculation.kept_rows = text.kept_rows;
    entry.speculation.coupling = text.coupling;
    entry.speculation.history_limit = text.history_limit;
    if (text.length > 0) entry.speculation.drafter = text.drafter;
    return entry;
}

template <typename Entry>
void check_at_keep(const Engine & engine, const std::vector<Entry> & entries) {
    for (const Entry & entry : entries) CHECK(engine.lengths(*entry.target, entry.sequence) == entry.keep);
}

/// Every member holds a beginning of the text, but for a draft that was rejected and what follows it.
void check_texts(const Engine & engine, const Text & text) {
    for (const uint32_t id : text.target->contexts) {
        const Tokens & held = engine.members[id]->text(text.sequence);
        const size_t size = std::min<size_t>(held.size(), text.position());
        CHECK(std::equal(held.begin(), held.begin() + static_cast<std::ptrdiff_t>(size), text.tokens.begin()));
    }
}

struct Counts {
    int drafts = 0, accepted = 0, rejected = 0, late = 0, late_together = 0, declined = 0, failures = 0;
};

/// Fails at every decode of every member in turn.
template <typename Entry>
void fail_everywhere(Engine & engine, const std::vector<Entry> & entries, const std::vector<DecodeCost> & decodes,
                     const std::function<void()> & job, Counts & counts) {
    for (uint32_t id = 0; id < engine.members.size(); ++id) {
        const auto is_of = [&](const DecodeCost & cost) { return cost.context == id; };
        const auto times = static_cast<int>(std::count_if(decodes.begin(), decodes.end(), is_of));
        for (int after = 0; after < times; ++after) {
            engine.fail(id, after % 2 == 0 ? "ABORTED" : "DECODE_FAILED", after);
            CHECK(code_of(job) == engine.members[id]->failing->code);
            engine.recover();
            check_at_keep(engine, entries);
            counts.failures++;
        }
    }
}

/// Which contexts decode how many tokens, in this order.
void check_decodes(const std::vector<DecodeCost> & decodes,
                   const std::vector<std::pair<uint32_t, uint32_t>> & expected) {
    CHECK(decodes.size() == expected.size());
    for (size_t i = 0; i < std::min(decodes.size(), expected.size()); ++i) {
        CHECK(decodes[i].context == expected[i].first);
        CHECK(decodes[i].tokens == expected[i].second);
    }
}

void draft(Engine & engine, std::vector<Text> & texts, bool failing, Counts & counts) {
    std::vector<DraftEntry> entries;
    std::vector<DraftedByHand> expected;
    for (const Text & text : texts) {
        entries.push_back(draft_entry(engine, text));
        expected.push_back(draft_by_hand(engine, text));
    }
    if (failing) {
        // What decodes is found out where it cannot be wrong: on an engine in the same state.
        Engine twin;
        for (const Text & text : texts) {
            for (const uint32_t id : text.target->contexts) {
                const Tokens & held = engine.members[id]->text(text.sequence);
                if (!held.empty()) twin.members[id]->enqueue(text.sequence, held, 0);
            }
        }
        const std::vector<DecodeCost> decodes = run_draft(twin.state, entries).decodes;
        fail_everywhere(
            engine, entries, decodes, [&] { run_draft(engine.state, entries); }, counts);
        for (const Text & text : texts) CHECK(engine.state.kept[text.sequence].rows == 0);
    }
    std::vector<std::vector<uint32_t>> before;
    for (const Text & text : texts) before.push_back(engine.lengths(*text.target, text.sequence));
    const DraftResult result = run_draft(engine.state, entries);
    std::vector<int32_t> lengths;
    for (size_t i = 0; i < texts.size(); ++i) {
        Text & text = texts[i];
        CHECK(result.entries[i].tokens == expected[i].drafts);
        CHECK(result.entries[i].confidences == expected[i].confidences);
        CHECK(result.entries[i].declined == expected[i].declined);
        text.drafts = result.entries[i].tokens;
        text.kept_rows = engine.state.kept[text.sequence].rows;
        CHECK(text.kept_rows == result.entries[i].confidences.size());
        counts.drafts += static_cast<int>(text.drafts.size());
        counts.declined += result.entries[i].declined >= 0 ? 1 : 0;
        for (size_t m = 0; m < text.target->size(); ++m) {
            const bool reads = is_read(text.drafter, m);
            lengths.push_back(static_cast<int32_t>(reads ? text.position() + text.kept_rows : before[i][m]));
        }
    }
    CHECK(engine.lengths_of(texts) == lengths);
}

void step(Engine & engine, std::vector<Text> & texts, bool failing, Counts & counts) {
    std::vector<StepEntry> entries;
    std::vector<Tokens> expected;
    std::vector<uint32_t> together(engine.members.size(), 0), late(engine.members.size(), 0);
    int waiting = 0;
    for (const Text & text : texts) {
        entries.push_back(step_entry(engine, text));
        expected.push_back(draw_by_hand(engine, text));
        const bool waits = is_late(text, expected.back());
        waiting += waits ? 1 : 0;
        for (size_t m = 0; m < text.target->size(); ++m) {
            const uint32_t id = text.target->contexts[m];
            together[id] += static_cast<uint32_t>(entries.back().tokens[m].size());
            late[id] += waits && text.has_drafted(m) ? 1 : 0;
        }
    }
    std::vector<std::pair<uint32_t, uint32_t>> batches;
    std::vector<DecodeCost> decodes;
    for (const auto * tokens : {&together, &late}) {
        for (uint32_t id = 0; id < tokens->size(); ++id) {
            if ((*tokens)[id] == 0) continue;
            batches.emplace_back(id, (*tokens)[id]);
            decodes.push_back({id, (*tokens)[id], 0});
        }
    }
    // Kept rows outlast a failure, so that the step can be repeated.
    if (failing)
        fail_everywhere(
            engine, entries, decodes, [&] { run_step(engine.state, entries); }, counts);

    const StepResult result = run_step(engine.state, entries);
    check_decodes(result.decodes, batches);
    counts.late += waiting;
    counts.late_together += waiting > 1 ? 1 : 0;
    std::vector<int32_t> lengths;
    for (size_t i = 0; i < texts.size(); ++i) {
        Text & text = texts[i];
        Tokens draws;
        for (const DrawResult & draw : result.entries[i].draws) {
            const auto position = text.position() + static_cast<uint32_t>(draws.size());
            CHECK(draw.logprob == fuse(engine, text, text.fusion, position)[static_cast<size_t>(draw.token)]);
            draws.push_back(draw.token);
        }
        CHECK(draws == expected[i]);
        CHECK(engine.state.kept[text.sequence].rows == 0);
        const bool is_rejected = draws.size() <= text.drafts.size();
        counts.rejected += is_rejected ? 1 : 0;
        counts.accepted += static_cast<int>(draws.size()) - 1;
        for (size_t m = 0; m < text.target->size(); ++m) {
            const auto evaluated = static_cast<uint32_t>(entries[i].tokens[m].size());
            const uint32_t more = text.has_drafted(m) && is_late(text, draws) ? 1 : 0;
            lengths.push_back(static_cast<int32_t>(entries[i].keep[m] + evaluated + more));
        }
        for (const int32_t token : draws) text.request = following(text.request, token, text.history_limit);
        text.tokens.insert(text.tokens.end(), draws.begin(), draws.end());
        text.drafts.clear();
        text.kept_rows = 0;
        // An end token is one like others here: the text goes on.
        check_texts(engine, text);
    }
    CHECK(engine.lengths_of(texts) == lengths);
}

/// As many steps as fit into the recordings.
[[maybe_unused]] void go_on(Engine & engine, std::vector<Text> & texts, bool failing, Counts & counts) {
    const auto has_room = [](const Text & text) { return text.tokens.size() + text.length + 1 < POSITIONS; };
    const bool speculative = texts[0].length > 0;
    while (std::all_of(texts.begin(), texts.end(), has_room)) {
        if (speculative) draft(engine, texts, failing, counts);
        step(engine, texts, failing, counts);
    }
}

}  // namespace
