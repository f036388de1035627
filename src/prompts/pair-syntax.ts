/** Arguments that a template writes one by one, each with its name, and not as one JSON object. */

/** How a value is marked. */
export interface ValueMarks {
    /** Between name and value. */
    readonly middle: string;
    /** Behind the value. */
    readonly end: string;
}

/**
 * Arguments are `before`, a name and a value with its marks, and as often as there are more `between`, and the same again.
 * Values that are not texts are written as JSON.
 */
export interface PairSyntax {
    readonly before: string;
    readonly between: string;
    /** The same, where a text is not told from other values. */
    readonly text: ValueMarks;
    readonly other: ValueMarks;
    /** What stands around a text besides, inside of its marks, where it has characters that XML would take for its own. */
    readonly quote?: TextQuote | undefined;
}

/** Such as `<![CDATA[` and `]]>`. */
export interface TextQuote {
    readonly begin: string;
    readonly end: string;
}

/** What stands around three arguments: a text, another value, and a text. */
export interface PairLayout {
    /** In front of the first name. */
    readonly start: string;
    /** Between a name and its value. */
    readonly middles: readonly [string, string, string];
    /** Between a value and the next name. */
    readonly gaps: readonly [string, string];
    /** Behind the last value. */
    readonly rest: string;
}

/** @returns with what stands in front and behind of all arguments; undefined where texts and other values do not differ in a way that we know */
export function readPairs({
    start,
    middles: [middle, other, third],
    gaps: [afterText, afterOther],
    rest,
}: PairLayout): { readonly syntax: PairSyntax; readonly lead: string; readonly close: string } | undefined {
    // Kinds of values that differ from each other, and quotation marks, which texts may contain, are not understood.
    if (middle !== third || /number|integer/.test(other)) return undefined;
    const gap = commonEnd(afterText, afterOther);
    const [textEnd, otherEnd] = [
        afterText.slice(0, -gap.length || undefined),
        afterOther.slice(0, -gap.length || undefined),
    ];
    if (!rest.startsWith(textEnd) || /^["']$/.test(textEnd)) return undefined;
    const before = commonMark(start, gap);
    const separator = gap.slice(0, gap.length - before.length);
    const behind = rest.slice(textEnd.length);
    // What ends every argument stands in front of the next one and of the end alike.
    const closing = commonBeginning(separator, behind);
    return {
        syntax: {
            before,
            between: separator.slice(closing.length),
            text: { middle, end: textEnd + closing },
            other: { middle: other, end: otherEnd + closing },
        },
        lead: start.slice(0, start.length - before.length),
        close: behind.slice(closing.length),
    };
}

/** A text in its quote, where it needs one. */
export function quoteText(text: string, { quote }: PairSyntax): string {
    return quote !== undefined && /[<&\n]/.test(text) ? `${quote.begin}${text}${quote.end}` : text;
}

/**
 * The mark that both texts end with. What only ends the mark in front of it, such as the `>` of `<function=find>` in front of
 * `<parameter=`, is there without it as well.
 */
export function commonMark(one: string, other: string): string {
    return commonEnd(one, other).replace(/^[^<[({]*[>\])}]\s*/, "");
}

function commonEnd(one: string, other: string): string {
    let length = 0;
    while (length < Math.min(one.length, other.length) && one.at(-1 - length) === other.at(-1 - length)) length++;
    return length === 0 ? "" : one.slice(-length);
}

export function commonBeginning(one: string, other: string): string {
    let length = 0;
    while (length < Math.min(one.length, other.length) && one[length] === other[length]) length++;
    return one.slice(0, length);
}
