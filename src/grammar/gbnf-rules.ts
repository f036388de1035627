/** The rules of a grammar once groups and repetitions are rules of their own, and what can be known of them. */

/** A character by its code point, or ranges of them, inclusive; disjoint and ascending. */
export type CharacterRanges = readonly (readonly [first: number, last: number])[];

export type GrammarSymbol =
    | { readonly kind: "characters"; readonly ranges: CharacterRanges }
    /** By its place among the rules. */
    | { readonly kind: "rule"; readonly rule: number }
    /** By its place among the tokens that the grammar names; `isExcluded`: any other token. */
    | { readonly kind: "token"; readonly token: number; readonly isExcluded: boolean };

export type Alternative = readonly GrammarSymbol[];

export interface GrammarRule {
    /** Undefined: a group or a repetition. */
    readonly name?: string;
    /** Where in the text it is defined. */
    readonly at: number;
    readonly alternatives: readonly Alternative[];
}

/** Calls back for the rules that an alternative mentions. */
function eachRule(
    rules: readonly GrammarRule[],
    visit: (user: number, alternative: Alternative, used: number) => void,
) {
    rules.forEach(({ alternatives }, user) => {
        for (const alternative of alternatives) {
            for (const symbol of alternative) if (symbol.kind === "rule") visit(user, alternative, symbol.rule);
        }
    });
}

/** Of each rule, whether it may stand for no text at all. Linear in the size of the grammar. */
export function findEmpty(rules: readonly GrammarRule[]): Uint8Array {
    const empty = new Uint8Array(rules.length);
    const uses: { user: number; alternative: Alternative }[][] = rules.map(() => []);
    eachRule(rules, (user, alternative, used) => uses[used]?.push({ user, alternative }));
    /** How many symbols of an alternative are not known to be empty. */
    const left = new Map<Alternative, number>();
    const done: number[] = [];
    const markEmpty = (rule: number): void => {
        if (empty[rule] === 1) return;
        empty[rule] = 1;
        done.push(rule);
    };
    rules.forEach(({ alternatives }, rule) => {
        for (const alternative of alternatives) {
            left.set(alternative, alternative.length);
            if (alternative.length === 0) markEmpty(rule);
        }
    });
    // It grows while it is walked through.
    for (const rule of done) {
        for (const { user, alternative } of uses[rule] ?? []) {
            const count = (left.get(alternative) ?? 0) - 1;
            left.set(alternative, count);
            if (count === 0) markEmpty(user);
        }
    }
    return empty;
}

/**
 * The rules in an order in which each comes before all that it may begin with. Linear in the size of the grammar.
 *
 * @returns or, if there is no such order, a rule that may begin with itself
 */
export function orderRules(
    rules: readonly GrammarRule[],
    empty: Uint8Array,
): { readonly order: readonly number[] } | { readonly leftRecursive: GrammarRule } {
    const beginnings = rules.map(({ alternatives }) => {
        const found: number[] = [];
        for (const alternative of alternatives) {
            for (const symbol of alternative) {
                if (symbol.kind !== "rule") break;
                found.push(symbol.rule);
                if (empty[symbol.rule] === 0) break;
            }
        }
        return found;
    });
    const users: number[][] = rules.map(() => []);
    beginnings.forEach((found, rule) => {
        for (const other of found) users[other]?.push(rule);
    });
    // Rules are taken away once all that they may begin with is away; what stays goes round in circles.
    const left = beginnings.map(({ length }) => length);
    const done = [...rules.keys()].filter((rule) => left[rule] === 0);
    for (const rule of done) {
        for (const user of users[rule] ?? []) {
            left[user] = (left[user] ?? 0) - 1;
            if (left[user] === 0) done.push(user);
        }
    }
    if (done.length === rules.length) return { order: done.reverse() };
    // Some of what stays only leads into a circle; whoever follows the arrows long enough is on it. Each circle leads
    // through a rule that has a name, since groups and repetitions hold only what was written inside of them.
    const next = beginnings.map((found) => found.find((other) => (left[other] ?? 0) > 0) ?? -1);
    let rule = left.findIndex((count) => count > 0);
    for (let step = 0; step < rules.length || rules[rule]?.name === undefined; step++) rule = next[rule] ?? -1;
    return { leftRecursive: rules[rule] as GrammarRule };
}
