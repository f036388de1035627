// Rounds of contenders that take turns, so that ratios mean something also on a machine whose speed drifts.

/**
 * Each round begins with another contender, so that nobody's place is the best one.
 *
 * @param options - `rounds`: most of them; `warmUp` (default 1): rounds before, whose results are dropped; `until` (default
 *   Infinity): the `performance.now()` after which no further round begins, as soon as one is measured
 * @param contenders - in their order
 * @param body - gets the number of the round, below 0 while warming up, and the contenders in its order
 * @returns what `body` returned, round by round
 */
export async function runRounds({ rounds, warmUp = 1, until = Infinity }, contenders, body) {
    const results = [];
    for (let i = -warmUp; i < rounds; i++) {
        if (performance.now() > until) {
            if (results.length > 0) break;
            i = Math.max(i, 0);
        }
        const first = (i + warmUp) % contenders.length;
        const result = await body(i, [...contenders.slice(first), ...contenders.slice(0, first)]);
        if (i >= 0) results.push(result);
    }
    return results;
}
