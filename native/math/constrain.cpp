// Why what is drawn here is what would be drawn if all that is forbidden were masked first (M below):
//
// - The heaviest token of M is the first in the order of probability that is allowed, the *leader*. What is heavier is
//   masked here too. So the maximum that weights are relative to is the same, and so is the weight of every allowed
//   token, to the bit.
// - Temperature 0 draws the leader, in M too.
// - Top-k keeps the first k of M, in M's order. These are the first k that are allowed in the order of the row, and
//   top-p and min-p look only at what top-k has left.
// - Min-p keeps what weighs enough, compared with the leader. That is a bound on a token's own weight, whoever else is
//   allowed. The winner of a race among any runners is also the winner among those of them that are allowed, if it is
//   allowed: so the winner in M is the best runner that is allowed.
// - Top-p keeps a token c if B < p (B + C), where B is the mass of M before c, and C is that of c and all behind it.
//   Neither is known. But B <= b and C >= a, where b is the mass before c of all but what is known to be forbidden, and
//   a what is known to be allowed from c on; and (1 - p) b < p a proves (1 - p) B < p C, hence c stays. In the same way
//   the other bounds can prove that c goes. Then all that comes after c goes too, and what is left is raced for again;
//   the leader always stays. Bounds that are closer than rounding prove nothing. Where nothing is proved, everything is
//   masked.

#include "math/constrain.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "math/vector-math.h"

namespace eft {

namespace {

/// As many tokens are asked about before all are.
constexpr size_t LEADERS = 32;
/// Bounds have to be apart by this factor: the sums of M and of this file are of other orders.
constexpr double MARGIN = 1 + 1e-5;

struct Masses {
    double from = 0;   // of the tokens whose log-probability is `bound` or more
    double below = 0;  // of the others
};

EFT_VECTORIZED void add_masses(const float * row, size_t n, float max, float scale, float bound, Masses & masses) {
    double from = 0;
    double below = 0;
    EFT_PRAGMA(omp simd reduction(+ : from, below))
    for (size_t i = 0; i < n; i++) {
        const float weight = exp_nonpositive((row[i] - max) * scale);
        from += static_cast<double>(row[i] >= bound ? weight : 0.0f);
        below += static_cast<double>(row[i] >= bound ? 0.0f : weight);
    }
    masses.from += from;
    masses.below += below;
}

/// Asks the constraint, and masks what it refuses: in a copy of the row, once there is something.
class Asking final : public Constraint {
  public:
    Asking(Constraint & constraint, const float *& row, size_t n, std::vector<float> & copy)
        : constraint_(constraint), row_(row), n_(n), copy_(copy) {}
    bool allows(int32_t token) override {
        if (row_[token] == MASKED) return false;
        if (constraint_.allows(token)) return true;
        if (row_ != copy_.data()) copy_.assign(row_, row_ + n_);
        row_ = copy_.data();
        copy_[static_cast<size_t>(token)] = MASKED;
        return false;
    }
    const std::vector<uint8_t> & allowed() override { return constraint_.allowed(); }

  private:
    Constraint & constraint_;
    const float *& row_;
    size_t n_;
    std::vector<float> & copy_;
};

/// Whether top-p keeps a token.
class TopP {
  public:
    /// `leaders`: the first tokens of the row, before any were masked; `leader`: the first of them that is allowed.
    /// `are_all`: there are no other tokens. `row` changes with what is asked.
    TopP(const std::vector<TokenLogprob> & leaders, TokenLogprob leader, bool are_all, const float * const & row,
         size_t n, const SamplingParameters & sampling, Constraint & asking)
        : leaders_(leaders),
          leader_(leader),
          are_all_(are_all),
          row_(row),
          n_(n),
          scale_(inverse_temperature(sampling)),
          p_(sampling.top_p),
          asking_(asking) {}

    /// Nothing: it cannot be told without many more questions.
    std::optional<bool> keeps(TokenLogprob token) {
        if (token.token == leader_.token) return true;
        token_ = token;
        const auto c = static_cast<size_t>(token.token);
        Masses masses;
        add_masses(row_, c, leader_.logprob, scale_, token.logprob, masses);
        add_masses(row_ + c, n_ - c, leader_.logprob, scale_, std::nextafter(token.logprob, -MASKED), masses);
        before_ = masses.from;
        rest_ = masses.below;
        allowed_before_ = 0;
        allowed_rest_ = weight(token.logprob);
        for (const TokenLogprob & leader : leaders_) {
            if (verdict()) return verdict();
            if (leader.token != token.token && row_[leader.token] != MASKED) ask(leader);
        }
        return verdict() || are_all_ ? verdict() : ask_followers();
    }

  private:
    double weight(float logprob) const {
        return static_cast<double>(exp_nonpositive((logprob - leader_.logprob) * scale_));
    }

    std::optional<bool> verdict() const {
        if ((1 - p_) * before_ * MARGIN < p_ * allowed_rest_) return true;
        if ((1 - p_) * allowed_before_ > p_ * rest_ * MARGIN) return false;
        return std::nullopt;
    }

    void ask(TokenLogprob other) {
        const bool comes_before = ranks_before(other, token_);
        const double mass = weight(other.logprob);
        if (asking_.allows(other.token)) {
            (comes_before ? allowed_before_ : allowed_rest_) += mass;
        } else {
            (comes_before ? before_ : rest_) -= mass;
        }
    }

    /// Asks about tokens that come after the token and all leaders, and are not much lighter.
    std::optional<bool> ask_followers() {
        constexpr float LIGHTER = 2.0f;  // log of a factor of 7
        constexpr size_t STRIDE = 128;
        constexpr int MOST_ASKED = 4096;
        const TokenLogprob last = ranks_before(token_, leaders_.back()) ? leaders_.back() : token_;
        const float least = last.logprob - LIGHTER / scale_;
        int asked = 0;
        for (size_t begin = 0; begin < n_; begin += STRIDE) {
            const size_t end = std::min(begin + STRIDE, n_);
            if (max_of(row_ + begin, end - begin) < least) continue;
            for (size_t i = begin; i < end; i++) {
                const TokenLogprob other{static_cast<int32_t>(i), row_[i]};
                if (other.logprob < least || !ranks_before(last, other)) continue;
                ask(other);
                if (verdict() || ++asked == MOST_ASKED) return verdict();
            }
        }
        return std::nullopt;
    }

    const std::vector<TokenLogprob> & leaders_;
    TokenLogprob leader_;
    bool are_all_;
    const float * const & row_;
    size_t n_;
    float scale_;
    double p_;
    Constraint & asking_;

    TokenLogprob token_{-1, 0};
    double before_ = 0, rest_ = 0;  // masses of what is not known to be forbidden; the token is in the rest
    double allowed_before_ = 0, allowed_rest_ = 0;  // masses of what is known to be allowed
};

/// Leaves only the tokens that rank before `token`.
void keep_before(TokenLogprob token, const float * row, Distribution & distribution) {
    size_t count = 0;
    for (size_t i = 0; i < distribution.tokens.size(); i++) {
        const int32_t other = distribution.tokens[i];
        distribution.tokens[count] = other;
        distribution.weights[count] = distribution.weights[i];
        count += ranks_before({other, row[other]}, token);
    }
    distribution.tokens.resize(count);
    distribution.weights.resize(count);
}

/// Whether top-p keeps nothing but leaders: those that are allowed have its mass even if everything else is allowed.
/// Then the distribution becomes that of these leaders; its total is that of all but what is known to be forbidden.
bool take_leaders(const std::vector<TokenLogprob> & allowed, const float * row, size_t n,
                  const SamplingParameters & sampling, Distribution & distribution) {
    auto & tokens = distribution.tokens;
    auto & weights = distribution.weights;
    weights.resize(n);
    distribution.total = exponentials(row, n, allowed[0].logprob, inverse_temperature(sampling), weights.data());
    tokens.clear();
    double mass = 0;
    for (const TokenLogprob & leader : allowed) {
        tokens.push_back(leader.token);
        mass += weights[static_cast<size_t>(leader.token)];
    }
    if (mass <= sampling.top_p * distribution.total * MARGIN) return false;
    std::sort(tokens.begin(), tokens.end());
    const float least = least_weight(sampling);
    size_t count = 0;
    for (const int32_t token : tokens) {
        const float weight = weights[static_cast<size_t>(token)];
        tokens[count] = token;
        weights[count] = weight;  // in place: no token is less than the number of those before it
        count += weight >= least;
    }
    tokens.resize(count);
    weights.resize(count);
    return true;
}

/// Of `total`, the mass of all but what is known to be forbidden, how much is allowed: as if it were as much of what
/// has not been asked about as of the leaders.
double estimate_allowed(const std::vector<TokenLogprob> & leaders, const std::vector<TokenLogprob> & allowed,
                        const SamplingParameters & sampling, double total) {
    const auto mass_of = [&](const std::vector<TokenLogprob> & tokens) {
        double mass = 0;
        for (const TokenLogprob & token : tokens) {
            mass += std::exp((static_cast<double>(token.logprob) - allowed[0].logprob) * inverse_temperature(sampling));
        }
        return mass;
    };
    const double known = mass_of(allowed);
    return known + std::max(0.0, total - known) * known / mass_of(leaders);
}

/// Nothing: it would take too many questions.
std::optional<int32_t> draw_by_asking(const float *& row, size_t n, const DrawRequest & request, NoiseStream stream,
                                      DrawScratch & scratch) {
    const SamplingParameters & sampling = request.sampling;
    const bool is_greedy = sampling.temperature == 0;
    const bool has_top_k = !is_greedy && sampling.top_k > 0 && static_cast<size_t>(sampling.top_k) < n;
    const size_t wanted = has_top_k ? static_cast<size_t>(sampling.top_k) : 1;
    const size_t count = std::min(n, LEADERS + 2 * wanted);
    auto & leaders = scratch.leaders;
    top_logprobs(row, n, count, leaders);
    const bool are_all = leaders.size() < count || count == n;

    constexpr size_t LARGE = 1024;  // so many of top-k that asking about all is as quick
    if (wanted > LARGE && !are_all) return std::nullopt;

    Asking asking(*request.constraint, row, n, scratch.row);
    std::vector<TokenLogprob> allowed;
    for (const TokenLogprob & leader : leaders) {
        if (has_top_k && allowed.size() == wanted) break;
        if (asking.allows(leader.token)) allowed.push_back(leader);
    }
    if (allowed.empty() && are_all) return -1;
    if (allowed.size() < wanted && !are_all) return std::nullopt;

    Distribution & distribution = scratch.distribution;
    if (is_greedy) {
        distribution.tokens.assign(1, allowed[0].token);
        distribution.weights.assign(1, 1.0f);
        distribution.total = 1;
        return allowed[0].token;
    }
    if (has_top_k) {
        scratch.row.assign(n, MASKED);
        row = scratch.row.data();
        for (const TokenLogprob & token : allowed) scratch.row[static_cast<size_t>(token.token)] = token.logprob;
        shape_distribution(row, n, sampling, distribution);
        return draw_gumbel(distribution, request.seed, request.position, stream);
    }

    const bool has_top_p = sampling.top_p < 1;
    if (!has_top_p || !take_leaders(allowed, row, n, sampling, distribution)) {
        SamplingParameters without_top_p = sampling;
        without_top_p.top_p = 1;
        shape_distribution(row, n, without_top_p, distribution);
    }
    const double mass = estimate_allowed(leaders, allowed, sampling, distribution.total);
    distribution.total = std::max(1.0, sampling.top_p * mass);
    if (!has_top_p) return draw_gumbel(distribution, request.seed, request.position, stream, &asking);

    TopP top_p(leaders, allowed[0], are_all, row, n, sampling, asking);
    constexpr int MOST_RACES = 8;
    for (int race = 0; race < MOST_RACES; race++) {
        const int32_t winner = draw_gumbel(distribution, request.seed, request.position, stream, &asking);
        const std::optional<bool> stays = top_p.keeps({winner, row[winner]});
        if (!stays) return std::nullopt;
        if (*stays) return winner;
        keep_before({winner, row[winner]}, row, distribution);
    }
    return std::nullopt;
}

}  // namespace

const float * constrain(const float * row, size_t n, const DrawRequest & request, DrawScratch & scratch) {
    if (!request.constraint) return row;
    const uint8_t * allowed = request.constraint->allowed().data();
    if (row != scratch.row.data()) scratch.row.assign(row, row + n);
    for (size_t i = 0; i < n; i++) scratch.row[i] = allowed[i] != 0 ? scratch.row[i] : MASKED;
    return scratch.row.data();
}

int32_t draw_constrained(const float *& row, size_t n, const DrawRequest & request, NoiseStream stream,
                         DrawScratch & scratch) {
    if (request.constraint) {
        const std::optional<int32_t> token = draw_by_asking(row, n, request, stream, scratch);
        if (token) return *token;
        row = constrain(row, n, request, scratch);
    }
    return draw_shaped(row, n, request.sampling, request.seed, request.position, stream, scratch.distribution);
}

}  // namespace eft
