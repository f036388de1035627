/** Integers between bounds, as a grammar writes them. */

/** Numbers of up to 15 digits are exact in JSON's doubles. */
export const LARGEST_INTEGER = 10 ** 15 - 1;

/**
 * GBNF of the whole numbers from `min` to `max` (inclusive, `min <= max`), without leading zeros and `-0`.
 *
 * @param min - -{@link LARGEST_INTEGER} or more
 * @param max - {@link LARGEST_INTEGER} or less
 */
export function integerRange(min: number, max: number): string {
    const alternatives: string[] = [];
    if (min < 0) alternatives.push(`"-" (${ofEachLength(Math.max(1, -max), -min).join(" | ")})`);
    if (max >= 0) alternatives.push(...ofEachLength(Math.max(0, min), max));
    return `(${alternatives.join(" | ")})`;
}

/** @param min - not negative */
function ofEachLength(min: number, max: number): string[] {
    const lengths = Array.from({ length: String(max).length }, (_, index) => index + 1);
    return lengths
        .filter((length) => length >= String(min).length)
        .map((length) => {
            const smallest = length === 1 ? 0 : 10 ** (length - 1);
            return sameLength(String(Math.max(min, smallest)), String(Math.min(max, 10 ** length - 1)));
        });
}

/** @param low - as long as `high`, and not larger; zeros in front count */
function sameLength(low: string, high: string): string {
    const rest = low.length - 1;
    const [[first = "", ...lows], [last = "", ...highs]] = [[...low], [...high]];
    if (rest === 0) return `[${first}-${last}]`;
    if (/^0+$/.test(low) && /^9+$/.test(high)) return `[0-9]{${low.length}}`;
    if (first === last) return `"${first}" ${group(sameLength(lows.join(""), highs.join("")))}`;
    const [lowest, highest] = ["0".repeat(rest), "9".repeat(rest)];
    const alternatives = [`"${first}" ${group(sameLength(lows.join(""), highest))}`];
    if (Number(last) - Number(first) > 1) {
        alternatives.push(`[${Number(first) + 1}-${Number(last) - 1}] [0-9]{${rest}}`);
    }
    alternatives.push(`"${last}" ${group(sameLength(lowest, highs.join("")))}`);
    return alternatives.join(" | ");
}

function group(text: string): string {
    return text.includes("|") ? `(${text})` : text;
}
