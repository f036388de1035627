/** Reads calls while they are written. A call is there once all of it is, and never in parts. */

import type { CallSyntax } from "../prompts/call-syntax.js";
import { parsePairs } from "./pair-parser.js";
import type { JsonValue } from "../types.js";

/** What was called; the id is missing where the syntax has none. */
export interface ParsedCall {
    readonly id: string | undefined;
    readonly name: string;
    readonly arguments: Readonly<Record<string, JsonValue>>;
}

/** What stands at the beginning of a text. */
export type Found =
    | { readonly kind: "calls"; readonly calls: readonly ParsedCall[]; readonly length: number }
    /** More text is needed, whether it comes or not. */
    | { readonly kind: "unfinished" }
    | { readonly kind: "none" };

export interface CallParser {
    /** What comes in front of calls; empty where they begin with a brace. */
    readonly opening: string;
    /** @param text - behind the opening. @param isAll - nothing comes behind it */
    parse(text: string, isAll: boolean): Found;
}

const UNFINISHED: Found = { kind: "unfinished" };
const NONE: Found = { kind: "none" };

/** @param syntax - marked. @param isText - for arguments that are written one by one */
export function createCallParser(syntax: CallSyntax, isText: IsText = () => false): CallParser {
    return readEnvelope(syntax) ?? inTags(syntax, isText);
}

/** Whether an argument of a tool is a text. */
export type IsText = (tool: string, argument: string) => boolean;

/** Calls that are JSON objects as a whole, or lists of them: what stands in which order is the model's business then. */
function readEnvelope({ open, call, close }: CallSyntax): CallParser | undefined {
    const [name, between, values, behind] = call;
    const opened = /\[?\s*\{\s*(?:"\w+": "\w*", )*"(\w+)": "$/.exec(open);
    const infix = typeof between === "object" ? /^", "(\w+)": $/.exec(between.text) : null;
    if (name !== "name" || values !== "arguments" || opened === null || infix === null) return undefined;
    const idKey = typeof behind === "object" ? /"(\w+)": "$/.exec(behind.text)?.[1] : undefined;
    const keys = { name: opened[1] ?? "", values: infix[1] ?? "", id: idKey ?? "id" };
    const opening = open.slice(0, opened.index).trimEnd();
    const closing = close.replace(/^"?[\s}\]]*/, "").trim();

    function toCalls(json: string): readonly ParsedCall[] | undefined {
        let value: unknown;
        try {
            value = JSON.parse(json);
        } catch {
            return undefined;
        }
        const calls = (Array.isArray(value) ? (value as unknown[]) : [value]).map((each) => {
            if (!isRecord(each)) return undefined;
            const { [keys.name]: called, [keys.values]: given = {}, [keys.id]: id } = each;
            // Some write the arguments as JSON in a text.
            const own = typeof given === "string" ? parseRecord(given) : given;
            return typeof called === "string" && isRecord(own)
                ? { id: typeof id === "string" ? id : undefined, name: called, arguments: own }
                : undefined;
        });
        return calls.includes(undefined) ? undefined : (calls as ParsedCall[]);
    }

    return {
        opening,
        parse(text, isAll) {
            const from = text.length - text.trimStart().length;
            const first = text[from];
            if (first === undefined) return UNFINISHED;
            if (first !== "{" && first !== "[") return NONE;
            // So that other JSON is not held back to its end.
            if (opening === "" && !mayBeCall(text.slice(from), keys.name)) return NONE;
            const calls: ParsedCall[] = [];
            for (let at = from; ;) {
                const to = endOfJson(text, at);
                if (to === undefined) return UNFINISHED;
                const more = toCalls(text.slice(at, to));
                if (more === undefined) return NONE;
                calls.push(...more);
                // Some write several between one pair of marks.
                at = to + text.slice(to).search(/\S|$/);
                if (opening !== "" && text[at] === "{") continue;
                const length = skip(text, to, closing, isAll);
                return length === undefined ? UNFINISHED : { kind: "calls", calls, length };
            }
        },
    };
}

/** Whether a text that begins with a brace may be the beginning of a call. */
function mayBeCall(text: string, key: string): boolean {
    const dense = text.replace(/\s/g, "");
    return ['{"', '[{"'].some((bracket) =>
        [`${bracket}${key}":"`, `${bracket}type":"function","${key}":"`].some(
            (beginning) => dense.startsWith(beginning) || beginning.startsWith(dense),
        ),
    );
}

/** Calls with the name outside of the JSON. */
function inTags({ open, call, between, close, pairs }: CallSyntax, isText: IsText): CallParser {
    const [opening, closing] = [open.trimEnd(), close.trim()];
    /** What the model writes between two calls, up to where the next begins. */
    const next = between?.trim();

    function parseOne(text: string, from: number, isAll: boolean): { call: ParsedCall; to: number } | Found {
        const slots = new Map<string, string>();
        let values: ParsedCall["arguments"] | undefined;
        let at = from;
        for (const piece of call) {
            if (typeof piece === "object") {
                const to = skip(text, at, piece.text.trim(), isAll);
                if (to === undefined) return UNFINISHED;
                at = to;
            } else if (piece === "arguments" && pairs !== undefined) {
                const tool = slots.get("name") ?? "";
                const found = parsePairs(text, at, pairs, (name) => isText(tool, name), isAll);
                if (found.kind !== "pairs") return found;
                ({ values, to: at } = found);
            } else if (piece === "arguments") {
                const start = at + (text.slice(at).length - text.slice(at).trimStart().length);
                if (text[start] === undefined) return UNFINISHED;
                const end = text[start] === "{" ? endOfJson(text, start) : -1;
                if (end === undefined) return UNFINISHED;
                if (end < 0) return NONE;
                slots.set(piece, text.slice(start, end));
                at = end;
            } else {
                const word = /^\s*([\w.-]*)/.exec(text.slice(at));
                const end = at + (word?.[0].length ?? 0);
                // The word may go on.
                if (end === text.length && !isAll) return text.length - at > 200 ? NONE : UNFINISHED;
                slots.set(piece, word?.[1] ?? "");
                at = end;
            }
        }
        values ??= parseRecord(slots.get("arguments") ?? "");
        if (values === undefined) return NONE;
        return { call: { id: slots.get("id"), name: slots.get("name") ?? "", arguments: values }, to: at };
    }

    return {
        opening,
        parse(text, isAll) {
            const calls: ParsedCall[] = [];
            let at = 0;
            for (;;) {
                const found = parseOne(text, at, isAll);
                // What is not a call behind one that was is text.
                if ("kind" in found)
                    return found.kind === "none" && calls.length > 0 ? { kind: "calls", calls, length: at } : found;
                calls.push(found.call);
                at = found.to;
                const rest = text.slice(at).trimStart();
                if (next !== undefined && next !== "" && rest.startsWith(next)) {
                    at = text.indexOf(next, at) + next.length;
                    continue;
                }
                if (!isAll && next?.startsWith(rest) && !closing.startsWith(rest)) return UNFINISHED;
                const length = skip(text, at, closing, isAll);
                if (length === undefined) return UNFINISHED;
                // Only the end says that there are no more arguments.
                if (pairs !== undefined && closing !== "" && length === at) return isAll ? UNFINISHED : NONE;
                return { kind: "calls", calls, length };
            }
        },
    };
}

/** Where a mark ends that follows on white space, if it does follow; undefined: it may still come. */
function skip(text: string, from: number, mark: string, isAll: boolean): number | undefined {
    const rest = text.slice(from);
    const dense = rest.trimStart();
    if (dense.startsWith(mark)) return mark === "" ? from : from + (rest.length - dense.length) + mark.length;
    return !isAll && mark.startsWith(dense) ? undefined : from;
}

/** Where the JSON object or list ends that begins at `from`. */
function endOfJson(text: string, from: number): number | undefined {
    let depth = 0;
    let isText = false;
    for (let at = from; at < text.length; at++) {
        const unit = text[at];
        if (isText) {
            if (unit === "\\") at++;
            else if (unit === '"') isText = false;
        } else if (unit === '"') isText = true;
        else if (unit === "{" || unit === "[") depth++;
        else if ((unit === "}" || unit === "]") && --depth === 0) return at + 1;
    }
    return undefined;
}

function parseRecord(json: string): Readonly<Record<string, JsonValue>> | undefined {
    try {
        const value: unknown = JSON.parse(json);
        return isRecord(value) ? value : undefined;
    } catch {
        return undefined;
    }
}

function isRecord(value: unknown): value is Readonly<Record<string, JsonValue>> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
