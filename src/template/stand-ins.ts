/**
 * Where text comes from. A template makes one text out of its own words and of what people wrote, and only its own words may
 * be control tokens. So in what people wrote, the characters that control tokens begin and end with are replaced by private
 * ones that stand in for them, and put back once every control token has been found.
 *
 * A stand-in is one code unit for one code unit, and neither a letter nor white space: texts keep their length, and trimming,
 * cutting, joining, writing as JSON and upper or lower case leave it where it is. What compares or searches texts sees what
 * it stands for.
 */

export interface StandIns {
    /** The text with stand-ins. */
    readonly mark: (text: string) => string;
    /** The text without them. */
    readonly plain: (text: string) => string;
}

/**
 * Code units that texts do not have: Unicode keeps the first range for use inside of a program, and the second for private
 * agreements.
 */
const RANGES = [
    [0xfdd0, 0xfdef],
    [0xe000, 0xf8ff],
] as const;
const PRIVATE = /[\ufdd0-\ufdef\ue000-\uf8ff]/g;

/** Nothing is marked. */
export const NO_STAND_INS: StandIns = { mark: (text) => text, plain: (text) => text };

/**
 * @param characters - that are to be told apart
 * @param texts - everything that the template is made of and is given: what occurs in them does not stand in for anything
 * @returns undefined when the texts use up all private characters
 */
export function chooseStandIns(characters: ReadonlySet<string>, texts: Iterable<string>): StandIns | undefined {
    if (characters.size === 0) return NO_STAND_INS;
    const taken = new Set<string>();
    for (const text of texts) for (const [unit] of text.matchAll(PRIVATE)) taken.add(unit);
    const free: string[] = [];
    for (const [from, to] of RANGES) {
        for (let code = from; code <= to && free.length < characters.size; code++) {
            const unit = String.fromCharCode(code);
            if (!taken.has(unit) && !characters.has(unit)) free.push(unit);
        }
    }
    if (free.length < characters.size) return undefined;
    const own = [...characters];
    const toPrivate = new Map(own.map((character, index) => [character, free[index] ?? ""]));
    const toOwn = new Map(own.map((character, index) => [free[index] ?? "", character]));
    const [marked, unmarked] = [anyOf(own), anyOf(free)];
    return {
        mark: (text) => text.replace(marked, (character) => toPrivate.get(character) ?? character),
        plain: (text) => text.replace(unmarked, (unit) => toOwn.get(unit) ?? unit),
    };
}

function anyOf(units: readonly string[]): RegExp {
    const codes = units.map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
    return new RegExp(`[${codes.join("")}]`, "g");
}
