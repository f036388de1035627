/** Reads arguments that are written one by one. */

import type { PairSyntax } from "../prompts/pair-syntax.js";
import type { JsonValue } from "../types.js";
import { unmark } from "./marks.js";
import { readJson } from "./read-json.js";
import { overlap } from "./stop-filter.js";
import { behindSpace, endOfName, readMarkedValue } from "./marked-value.js";

export type FoundPairs =
    | { readonly kind: "pairs"; readonly values: Readonly<Record<string, JsonValue>>; readonly to: number }
    /** More text is needed, whether it comes or not. */
    | { readonly kind: "unfinished" }
    | { readonly kind: "none" };

const UNFINISHED: FoundPairs = { kind: "unfinished" };
const LONGEST_NAME = 200;
/** Neither what closes a call nor what stands in for a control token. */
const BEGINS_NAME = /^[^\s}\])\udc00-\udfff]/u;

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
    const entries: [string, JsonValue][] = [];
    let at = from;
    for (let count = 0; ; count++) {
        const lead = ((count === 0 ? "" : syntax.between) + syntax.before).trim();
        const start = behindSpace(text, at);
        if (text.startsWith(lead, start) && (lead !== "" || BEGINS_NAME.test(text.slice(start))))
            at = start + lead.length;
        else if (lead.startsWith(text.slice(start)) && !(isAll && start === text.length)) return UNFINISHED;
        else return { kind: "pairs", values: Object.fromEntries(entries), to: at };

        const marks = nextMarks(text, at, syntax);
        if ((marks?.from ?? firstMark(text, at, syntax)) - at > LONGEST_NAME) return { kind: "none" };
        if (marks === undefined) return UNFINISHED;
        const name = unmark(text.slice(at, marks.from)).trim();
        const isRaw = syntax.text.middle === syntax.other.middle ? isText(name) : marks.kind === "text";
        const { middle, end } = syntax[isRaw ? "text" : "other"];
        if (end === "") {
            const found = readMarkedValue(text, marks.to, syntax.text.end);
            if (typeof found === "string") return { kind: found };
            entries.push([name, found.value]);
            at = found.to;
            continue;
        }
        const { quote } = syntax;
        const margin = middle.slice(middle.trimEnd().length);
        const quoted = marks.to + (text.startsWith(margin, marks.to) ? margin.length : 0);
        if (quote?.begin.startsWith(text.slice(quoted, quoted + quote.begin.length)) === true) {
            const inside = quoted + quote.begin.length;
            const closing = `${quote.end}${end}`.trimEnd();
            const behind = text.indexOf(closing, inside);
            if (behind < 0) return UNFINISHED;
            entries.push([name, unmark(text.slice(inside, behind))]);
            at = behind + closing.length;
            continue;
        }
        const to = text.indexOf(end.trim(), marks.to);
        if (to < 0) return UNFINISHED;
        const written = text.slice(marks.to, to);
        entries.push([name, isRaw ? unmark(withoutMargins(written, syntax.text)) : readValue(written.trim())]);
        at = to + end.trim().length;
    }
}

interface FoundMarks {
    readonly kind: "text" | "other";
    readonly from: number;
    readonly to: number;
}

/** Where what stands between a name and its value begins, or may begin, at the earliest. */
function firstMark(text: string, from: number, { text: raw, other }: PairSyntax): number {
    const places = [raw, other].map(({ middle }) => {
        const at = text.indexOf(middle.trimEnd(), from);
        return at < 0 ? text.length - overlap(text, middle.trimEnd()) : at;
    });
    return Math.min(...places);
}

/** What stands between the name at `from` and its value; undefined: it is not all there. */
function nextMarks(text: string, from: number, { text: raw, other }: PairSyntax): FoundMarks | undefined {
    if (other.end === "" && other.middle === ":") {
        const at = endOfName(text, from, raw.end);
        if (at === undefined) return undefined;
        return text.startsWith(raw.middle, at)
            ? { kind: "text", from: at, to: at + raw.middle.length }
            : { kind: "other", from: at, to: at + 1 };
    }
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

/** A value that is no text. */
function readValue(written: string): JsonValue {
    const plain = readJson(written);
    if (plain !== undefined) return plain;
    // So that words end.
    const found = readMarkedValue(`${written}]`, 0, "");
    return typeof found === "object" && found.to === written.length ? found.value : unmark(written);
}
