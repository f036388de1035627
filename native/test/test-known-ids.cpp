// Targets from rows of which only some ids are known, against plain double arithmetic on the whole rows.

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "check.h"
#include "math/fuse.h"

using namespace eft;

namespace {

constexpr double INF = std::numeric_limits<double>::infinity();
constexpr double TOLERANCE = 1e-5;

using Values = std::vector<double>;
using Ids = std::set<int32_t>;

/// large + chat - small in the conservative set of chat. Of large only some ids are known.
struct Case {
    size_t n = 0;        // ids of the target
    Values large;        // logits; may have more ids
    Values chat, small;  // logits
    Ids lacking;         // of large, although it has logits for them
    Ids apart;
    double top_p = 0.9, weight = 1;

    size_t size() const { return large.size(); }
};

double log_sum_exp(const Values & values) {
    const double max = *std::max_element(values.begin(), values.end());
    if (max == -INF) return -INF;
    double sum = 0;
    for (const double value : values) sum += std::exp(value - max);
    return max + std::log(sum);
}

Values shifted(Values values, double amount) {
    for (double & value : values) value += amount;
    return values;
}

Values without(Values values, const Ids & ids) {
    for (const int32_t id : ids) {
        if (static_cast<size_t>(id) < values.size()) values[static_cast<size_t>(id)] = -INF;
    }
    return values;
}

/// The most probable tokens of chat with the mass, ties to lower ids.
Ids conservative_set(const Case & given) {
    Values row = without(given.chat, given.apart);
    row = shifted(row, -log_sum_exp(row));
    std::vector<int32_t> ranking;
    for (size_t i = 0; i < given.n; ++i) {
        if (row[i] > -INF) ranking.push_back(static_cast<int32_t>(i));
    }
    const auto of = [&](int32_t id) { return row[static_cast<size_t>(id)]; };
    std::stable_sort(ranking.begin(), ranking.end(), [&](int32_t a, int32_t b) { return of(a) > of(b); });
    Ids result;
    double mass = 0;
    for (const int32_t id : ranking) {
        if (mass >= given.top_p) break;
        result.insert(id);
        mass += std::exp(of(id));
    }
    return result;
}

/// The target from whole rows.
Values target_of(const Case & given) {
    Values large(given.large.begin(),
                 given.large.begin() + static_cast<std::ptrdiff_t>(std::min(given.n, given.size())));
    large.resize(given.n, -INF);
    large = without(large, given.lacking);
    const auto among_others = [&](const Values & row) {
        const Values others = without(row, given.apart);
        return shifted(others, -log_sum_exp(others));
    };
    const Values base = among_others(large), chat = among_others(given.chat), small = among_others(given.small);
    Values mixed = chat;
    for (const int32_t id : conservative_set(given)) {
        const auto i = static_cast<size_t>(id);
        const bool is_possible = base[i] > -INF && chat[i] > -INF && small[i] > -INF;
        mixed[i] = is_possible ? given.weight * base[i] + chat[i] - given.weight * small[i] : -INF;
    }
    const Values all = shifted(given.chat, -log_sum_exp(given.chat));
    double rest = 1;
    for (const int32_t id : given.apart) rest -= std::exp(all[static_cast<size_t>(id)]);
    const bool only_apart = log_sum_exp(mixed) == -INF;
    Values result = only_apart ? mixed : shifted(mixed, std::log(rest) - log_sum_exp(mixed));
    for (const int32_t id : given.apart) result[static_cast<size_t>(id)] = all[static_cast<size_t>(id)];
    return only_apart ? shifted(result, -log_sum_exp(result)) : result;
}

/// What has to be known of large: the conservative set, and what its normaliser leaves out.
Ids needed(const Case & given) {
    Ids result = given.lacking;
    for (const int32_t id : conservative_set(given)) {
        const auto i = static_cast<size_t>(id);
        if (i < given.size() && given.small[i] > -INF) result.insert(id);
    }
    for (const int32_t id : given.apart) {
        if (static_cast<size_t>(id) < given.size()) result.insert(id);
    }
    for (size_t id = given.n; id < given.size(); ++id) result.insert(static_cast<int32_t>(id));
    return result;
}

KnownIds known_of(const Case & given, const Ids & ids) {
    const Values logprobs = shifted(given.large, -log_sum_exp(given.large));
    KnownIds known;
    known.size = given.size();
    for (const int32_t id : ids) {
        known.ids.push_back(id);
        known.logprobs.push_back(logprobs[static_cast<size_t>(id)]);
        known.mass += std::exp(known.logprobs.back());
    }
    return known;
}

std::vector<float> to_floats(const Values & values) { return {values.begin(), values.end()}; }

/// Fuses what is known of large with the other two.
FuseResult fuse(const Case & given, const KnownIds & known, Fusion fusion, FuseScratch & scratch) {
    // Rows end at the target's vocabulary, and what the member lacks is masked: so they come from the jobs.
    std::vector<float> large = spread_known_ids(known);
    for (const int32_t id : given.lacking) large[static_cast<size_t>(id)] = MASKED;
    const std::vector<float> chat = to_floats(given.chat), small = to_floats(given.small);
    const MemberRow rows[] = {{large.data(), std::min(large.size(), given.n), &known},
                              {chat.data(), chat.size()},
                              {small.data(), small.size()}};
    const TokenGroups groups{{}, {given.apart.begin(), given.apart.end()}};
    return fuse_rows(rows, fusion, 3, given.n, groups, scratch);
}

/// The one row of which too little was known.
Uncovered the_one(const FuseScratch & scratch) {
    CHECK(scratch.uncovered.size() == 1);
    return scratch.uncovered.size() == 1 ? scratch.uncovered[0] : Uncovered{99, -1, {-1}};
}

Fusion fusion_of(const Case & given) {
    return {{given.weight, 1, -given.weight}, {0, 1, 0}, true, given.top_p, !given.apart.empty()};
}

/// Quarters of numbers below 16, so that there are ties, but for a bit that keeps the mass from being met exactly.
Values random_row(std::mt19937 & random, size_t n) {
    Values row(n);
    for (double & logit : row) logit = static_cast<double>(random() % 64) / 4;
    return row;
}

Case random_case(std::mt19937 & random) {
    Case given;
    given.n = 2 + random() % 60;
    const size_t size = given.n + 3 - std::min<size_t>(random() % 6, given.n);
    given.large = random_row(random, size);
    given.chat = random_row(random, given.n);
    given.small = random_row(random, given.n);
    given.top_p = 0.012345 + 0.97 * static_cast<double>(random() % 1000) / 1000;
    given.weight = random() % 2 == 0 ? 1 : -0.5;
    const auto choose = [&](size_t count, size_t below) {
        Ids ids;
        for (size_t i = 0; i < count; ++i) ids.insert(static_cast<int32_t>(random() % below));
        return ids;
    };
    // Ids of chat and small stay possible outside of those that stand apart.
    if (random() % 2 == 0) given.apart = choose(random() % 3, given.n - 1);
    if (random() % 2 == 0) given.lacking = choose(random() % 3, std::min(size, given.n));
    if (random() % 4 == 0) given.small[random() % given.n] = -INF;
    if (random() % 4 == 0) given.large[random() % size] = -INF;
    return given;
}

/// How much of large's mass its normaliser keeps.
double share_of(const Case & given) {
    const Values logprobs = shifted(given.large, -log_sum_exp(given.large));
    double share = 0;
    for (size_t i = 0; i < std::min(given.n, given.size()); ++i) {
        const auto id = static_cast<int32_t>(i);
        if (given.apart.count(id) == 0 && given.lacking.count(id) == 0) share += std::exp(logprobs[i]);
    }
    return share;
}

void test_at_random() {
    std::mt19937 random(7);
    FuseScratch scratch;
    int exact = 0, missing = 0, too_small = 0;
    for (int i = 0; i < 4000; ++i) {
        const Case given = random_case(random);
        const Values expected = target_of(given);
        if (std::all_of(expected.begin(), expected.end(), [](double value) { return !(value > -INF); })) continue;
        const Ids wanted = needed(given);
        Ids known = wanted;
        for (size_t id = 0; id < given.size(); ++id) {
            if (random() % 4 == 0) known.insert(static_cast<int32_t>(id));
        }
        const double share = share_of(given);
        if (share > 0.0099 && share < 0.0101) continue;

        const FuseResult result = fuse(given, known_of(given, known), fusion_of(given), scratch);
        if (share < 0.01) {
            CHECK(result.fault == RowFault::uncovered);
            const Uncovered uncovered = the_one(scratch);
            CHECK(uncovered.member == 0 && uncovered.missing.empty());
            ++too_small;
            continue;
        }
        CHECK(result.fault == RowFault::none && scratch.uncovered.empty());
        if (result.fault != RowFault::none) continue;
        for (size_t id = 0; id < given.n; ++id) CHECK_NEAR(result.target[id], expected[id], TOLERANCE);
        ++exact;

        // Without some of those that are needed: exactly they are missing.
        Ids fewer;
        std::vector<int32_t> left_out;
        for (const int32_t id : known) {
            const bool leaves = wanted.count(id) > 0 && random() % 3 == 0;
            if (leaves) left_out.push_back(id);
            if (!leaves) fewer.insert(id);
        }
        if (left_out.empty()) continue;
        const KnownIds less = known_of(given, fewer);
        CHECK(fuse(given, less, fusion_of(given), scratch).fault == RowFault::uncovered);
        const Uncovered uncovered = the_one(scratch);
        CHECK(uncovered.member == 0 && uncovered.missing == left_out && uncovered.known_mass == less.mass);
        ++missing;
    }
    CHECK(exact > 2500);
    CHECK(missing > 1500);
    CHECK(too_small > 20);
}

/// Nothing at all is known: what is missing is what to ask for.
void test_nothing_known() {
    std::mt19937 random(8);
    FuseScratch scratch;
    for (int i = 0; i < 50; ++i) {
        Case given = random_case(random);
        const Ids wanted = needed(given);
        if (wanted.empty()) continue;
        CHECK(fuse(given, known_of(given, {}), fusion_of(given), scratch).fault == RowFault::uncovered);
        const Uncovered uncovered = the_one(scratch);
        CHECK((uncovered.missing == std::vector<int32_t>(wanted.begin(), wanted.end())));
        CHECK(uncovered.known_mass == 0);
    }
}

/// Ids at the edge of the conservative set that are as probable as each other: the lower ones are in it.
void test_ties() {
    FuseScratch scratch;
    Case given;
    given.n = 6;
    given.large = {0, 1, 2, 3, 2, 1};
    given.chat = {1, 3, 1, 3, 1, 1};
    given.small = {1, 0, 1, 0, 1, 0};
    const double total = 2 * std::exp(3) + 4 * std::exp(1);
    given.top_p = (2 * std::exp(3) + 1.5 * std::exp(1)) / total;
    CHECK((needed(given) == Ids{0, 1, 2, 3}));
    const FuseResult result = fuse(given, known_of(given, {0, 1, 2, 3}), fusion_of(given), scratch);
    CHECK(result.fault == RowFault::none);
    const Values expected = target_of(given);
    for (size_t id = 0; id < given.n; ++id) CHECK_NEAR(result.target[id], expected[id], TOLERANCE);
    // One that is not in it is not asked for, and one that is in it cannot take its place.
    CHECK(fuse(given, known_of(given, {0, 1, 3, 4, 5}), fusion_of(given), scratch).fault == RowFault::uncovered);
    CHECK((the_one(scratch).missing == std::vector<int32_t>{2}));
}

/// Where every id of a row is read, only a whole row will do, however much is known.
void test_whole_rows_needed() {
    FuseScratch scratch;
    Case given;
    given.n = 4;
    given.large = {0, 1, 2, 3};
    given.chat = {3, 1, 0, 1};
    given.small = {1, 0, 1, 0};
    const KnownIds all = known_of(given, {0, 1, 2, 3});
    const auto is_refused = [&](const Fusion & fusion) {
        const FuseResult result = fuse(given, all, fusion, scratch);
        if (result.fault != RowFault::uncovered) return false;
        const Uncovered uncovered = the_one(scratch);
        return uncovered.missing.empty() && std::abs(uncovered.known_mass - 1) < 1e-12;
    };
    CHECK(!is_refused({{1, 1, -1}, {0, 1, 0}, true, 0.9, false}));
    CHECK(is_refused({{1, 1, -1}, {0, 1, 0}, true, 1, false}));      // no mass is left out
    CHECK(is_refused({{1, 1, -1}, {}, false, 1, false}));            // no fallback
    CHECK(is_refused({{1, 1, -1}, {1, 0, 0}, true, 0.9, false}));    // it is the fallback
    CHECK(is_refused({{0, 1, -1}, {0.5, 1, 0}, true, 0.9, false}));  // or in it
    // It is not read.
    CHECK(fuse(given, all, {{0, 1, -1}, {0, 1, 0}, true, 0.9, false}, scratch).fault == RowFault::none);

    // Nobody takes such a row for a whole one by mistake.
    const std::vector<float> row = spread_known_ids(known_of(given, {0, 3}));
    CHECK(summarize_row(row.data(), row.size()).fault == RowFault::not_a_number);
}

/// Several members of that kind: all of them are named, and what is impossible for one is not asked of another.
void test_several() {
    FuseScratch scratch;
    const std::vector<float> chat = {3, 3, 0, -9};
    KnownIds one, other;
    one.size = other.size = 4;
    one.ids = {0};
    one.logprobs = {std::log(0.5)};
    one.mass = 0.5;
    other.ids = {1};
    other.logprobs = {-INF};
    const std::vector<float> first = spread_known_ids(one), second = spread_known_ids(other);
    const MemberRow rows[] = {{first.data(), 4, &one}, {chat.data(), 4}, {second.data(), 4, &other}};
    const Fusion fusion{{1, 1, -1}, {0, 1, 0}, true, 0.9, false};
    CHECK(fuse_rows(rows, fusion, 3, 4, {}, scratch).fault == RowFault::uncovered);
    // Token 1 is impossible for the other member, so nobody needs to know what the first one thinks of it.
    const Uncovered uncovered = the_one(scratch);
    CHECK(uncovered.member == 2 && uncovered.missing == std::vector<int32_t>{0});

    other.logprobs = {-1};
    const std::vector<float> third = spread_known_ids(other);
    const MemberRow both[] = {rows[0], rows[1], {third.data(), 4, &other}};
    CHECK(fuse_rows(both, fusion, 3, 4, {}, scratch).fault == RowFault::uncovered);
    std::vector<std::pair<size_t, std::vector<int32_t>>> found;
    for (const Uncovered & each : scratch.uncovered) found.emplace_back(each.member, each.missing);
    CHECK((found == std::vector<std::pair<size_t, std::vector<int32_t>>>{{0, {1}}, {2, {0}}}));
    // What is found on the way to a fault of another kind is forgotten.
    const Fusion plain{{0, 1, 0}, {}, false, 1, false};
    CHECK(fuse_rows(both, plain, 3, 4, {}, scratch).fault == RowFault::none && scratch.uncovered.empty());
}

}  // namespace

int main() {
    test_at_random();
    test_nothing_known();
    test_ties();
    test_whole_rows_needed();
    test_several();
    return test::failures() == 0 ? 0 : 1;
}
