/** Reads arguments that are written one by one. */

import type { PairSyntax } from "../prompts/pair-syntax.js";
import type { JsonValue } from "../types.js";
import { unmark } from "./marks.js";
import { readJson } from "./read-json.js";

export type FoundPairs =
    | { readonly kind: "pairs"; readonly values: Readonly<Record<string, JsonValue>>; readonly to: number }
    /** More text is needed, whether it comes or not. */
    | { readonly kind: "unfinished" }
    | { readonly kind: "none" };

const UNFINISHED: FoundPairs = { kind: "unfinished" };
const LONGEST_NAME = 200;

/**
 * @param from - where the first argument may begin
 * @param isText - whether an argument is a text, where its marks do not say so
 * @param isAll - nothing comes behind the text
 */
export function parsePairs(
    text: string,
    from: number,
    syntax: PairSyntax,
    isText: (name: string) => boolean,
    isAll: boolean,
): FoundPairs {
    const values = new Map<string, JsonValue>();
    let at = from;
    for (let count = 0; ; count++) {
        const lead = ((count === 0 ? "" : syntax.between) + syntax.before).trim();
        const start = behindSpace(text, at);
        if (text.startsWith(lead, start) && (lead !== "" || /^[\w$]/.test(text.slice(start)))) at = start + lead.length;
        else if (lead.startsWith(text.slice(start)) && !(isAll && start === text.length)) return UNFINISHED;
        else return { kind: "pairs", values: Object.fromEntries(values), to: at };

        const marks = nextMarks(text, at, syntax);
        if (marks === undefined) return text.length - at > LONGEST_NAME ? { kind: "none" } : UNFINISHED;
        const name = unmark(text.slice(at, marks.from)).trim();
        const isRaw = syntax.text.middle === syntax.other.middle ? isText(name) : marks.kind === "text";
        const { end } = syntax[isRaw ? "text" : "other"];
        const to = end === "" ? endOfBare(text, marks.to, syntax) : text.indexOf(end.trim(), marks.to);
        if (to < 0) return UNFINISHED;
        const written = text.slice(marks.to, to);
        values.set(name, isRaw ? unmark(withoutMargins(written, syntax.text)) : readValue(written.trim(), syntax));
        at = to + end.trim().length;
    }
}

interface FoundMarks {
    readonly kind: "text" | "other";
    readonly from: number;
    readonly to: number;
}

/** What stands between the name at `from` and its value. */
function nextMarks(text: string, from: number, { text: raw, other }: PairSyntax): FoundMarks | undefined {
    const find = (kind: FoundMarks["kind"], middle: string): FoundMarks | undefined => {
        const mark = middle.trimEnd();
        const at = text.indexOf(mark, from);
        return at < 0 ? undefined : { kind, from: at, to: at + mark.length };
    };
    const [one, two] = [find("text", raw.middle), find("other", other.middle)];
    // The one may begin with the other.
    const longer = raw.middle.length >= other.middle.length ? raw.middle : other.middle;
    const at = Math.min(one?.from ?? Infinity, two?.from ?? Infinity);
    if (at === Infinity || (longer.trimEnd().startsWith(text.slice(at)) && longer.trimEnd() !== text.slice(at)))
        return undefined;
    return [one, two].filter((found) => found?.from === at).sort((a, b) => (b?.to ?? 0) - (a?.to ?? 0))[0];
}

/** A text without the white space that its marks bring along. */
function withoutMargins(written: string, { middle, end }: PairSyntax["text"]): string {
    const front = middle.slice(middle.trimEnd().length);
    const back = end.slice(0, end.length - end.trimStart().length);
    const from = written.startsWith(front) ? front.length : 0;
    const to = back !== "" && written.endsWith(back) ? written.length - back.length : written.length;
    return written.slice(from, Math.max(from, to));
}

/** Where a value ends that has no mark behind it: in front of the next argument, or of what closes the call. */
function endOfBare(text: string, from: number, { between, text: { end: quote } }: PairSyntax): number {
    let depth = 0;
    for (let at = from; at < text.length; at++) {
        if (quote !== "" && text.startsWith(quote, at)) {
            const end = text.indexOf(quote, at + quote.length);
            if (end < 0) return -1;
            at = end + quote.length - 1;
        } else if (depth === 0 && between !== "" && text.startsWith(between, at)) return at;
        else if ("{[(".includes(text[at] ?? "")) depth++;
        else if ("}])".includes(text[at] ?? "") && --depth < 0) return at;
    }
    return -1;
}

const LITERALS = new Map<string, JsonValue>([
    ["True", true],
    ["False", false],
    ["None", null],
]);

/** A value that is no text, as JSON, as Python writes it, or with texts between marks and names without. */
function readValue(written: string, { text: { end: quote } }: PairSyntax): JsonValue {
    const plain = LITERALS.has(written) ? LITERALS.get(written) : readJson(written);
    if (plain !== undefined) return plain;
    const pieces = quote === "" ? [written] : written.split(quote);
    const json = pieces.map((piece, index) =>
        index % 2 === 1 ? JSON.stringify(unmark(piece)) : piece.replace(/([{,]\s*)([\w$-]+)\s*:/g, '$1"$2":'),
    );
    return readJson(json.join("")) ?? unmark(written);
}

function behindSpace(text: string, from: number): number {
    return from + text.slice(from).search(/\S|$/);
}
