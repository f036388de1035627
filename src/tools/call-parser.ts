/** Reads calls while they are written. A call is there once all of it is, and never in parts. */

import type { CallSyntax } from "../prompts/call-syntax.js";
import { commonBeginning, commonMark } from "../prompts/pair-syntax.js";
import type { JsonValue } from "../types.js";
import { behindSpace } from "./marked-value.js";
import { parsePairs } from "./pair-parser.js";
import { isArguments, isRecord, readArguments, readJson, scanJson, type JsonScan } from "./read-json.js";

/** What was called; the id is missing where the syntax has none. */
export interface ParsedCall {
    readonly id: string | undefined;
    readonly name: string;
    readonly arguments: Readonly<Record<string, JsonValue>>;
}

/** What stands at the beginning of a text. */
export interface Found {
    /**
     * Whole calls that were not there before, and the texts of those among them that name no tool, without what stands between and
     * around calls; in their order.
     */
    readonly parts: readonly (ParsedCall | string)[];
    /** `open`: more text is needed, whether it comes or not; `failed`: what follows on whole calls, if any, is no call. */
    readonly state: "open" | "closed" | "failed";
    /** Where that begins which does not belong to whole calls; 0: there was none of a tool. */
    readonly from: number;
    /** Up to here it is certain to be text, as it is where there was no call of a tool. */
    readonly to: number;
}

/** Reads the calls behind one opening. */
export interface CallScan {
    /** @param text - behind the opening, and longer each time. @param isAll - nothing comes behind it */
    read(text: string, isAll: boolean): Found;
}

export interface CallParser {
    /** What comes in front of calls; empty where they begin with a brace. */
    readonly opening: string;
    scan(): CallScan;
}

/** What may be called. */
export interface Callable {
    readonly names: ReadonlySet<string>;
    /** Whether an argument of a tool is a text, for arguments that are written one by one. Default: none is. */
    readonly isText?: (tool: string, argument: string) => boolean;
    /**
     * Where an answer may be any JSON as well: whether arguments satisfy the tool's schema. Calls that begin with a brace are
     * then written as the syntax has it, to the letter.
     */
    readonly accepts?: (tool: string, values: ParsedCall["arguments"]) => boolean;
}

/** @param syntax - marked */
export function createCallParser(syntax: CallSyntax, callable: Callable): CallParser {
    return readEnvelope(syntax, callable) ?? inTags(syntax, callable);
}

/** Calls that are JSON objects as a whole, or lists of them: what stands in which order is the model's business then. */
function readEnvelope({ open, call, close }: CallSyntax, { names, accepts }: Callable): CallParser | undefined {
    const [name, between, values, behind] = call;
    const opened = /\[?\s*\{\s*(?:"\w+": "\w*", )*"(\w+)": "$/.exec(open);
    const infix = typeof between === "object" ? /^", "(\w+)": $/.exec(between.text) : null;
    if (name !== "name" || values !== "arguments" || opened === null || infix === null) return undefined;
    const idKey = typeof behind === "object" ? /"(\w+)": "$/.exec(behind.text)?.[1] : undefined;
    const keys = { name: opened[1] ?? "", values: infix[1] ?? "", id: idKey ?? "id" };
    const opening = open.slice(0, opened.index).trimEnd();
    const closing = close.replace(/^"?[\s}\]]*/, "").trim();
    const isExact = accepts !== undefined && opening === "" && idKey === undefined;

    function toCall(json: string): ParsedCall | undefined {
        const value = readJson(json);
        if (!isRecord(value)) return undefined;
        const { [keys.name]: called, [keys.values]: given = {}, [keys.id]: id } = value;
        // Some write the arguments as JSON in a text.
        const own = typeof given === "string" ? readArguments(given) : given;
        if (typeof called !== "string" || !names.has(called) || !isArguments(own)) return undefined;
        if (isExact) {
            const lead = open.slice(open.indexOf("{")) + called + infix?.[0];
            const isCall = json.startsWith(lead) && readArguments(json.slice(lead.length, -1)) !== undefined;
            if (!isCall || !accepts(called, own)) return undefined;
        }
        return { id: typeof id === "string" ? id : undefined, name: called, arguments: own };
    }

    return {
        opening,
        scan() {
            let place: "start" | "call" | "behind" | "end" = "start";
            let at = 0;
            /** Behind the last object, or what stands behind that. */
            let last = 0;
            let isList = false;
            let json: JsonScan | undefined;
            const list = createList();
            return {
                read(text, isAll) {
                    const found = (state: Found["state"]): Found => list.found(state, last);
                    for (;;) {
                        if (place === "end") {
                            const to = skip(text, at, closing, isAll);
                            if (to === undefined) return found("open");
                            last = to;
                            return found("closed");
                        }
                        if (json === undefined) at = behindSpace(text, at);
                        const unit = text[at];
                        if (place === "behind") {
                            if (unit === undefined && !isAll && (isList || opening !== "")) return found("open");
                            if (isList && unit === ",") [place, at, last] = ["call", at + 1, at + 1];
                            else if (isList && unit === "]") [place, at, last] = ["end", at + 1, at + 1];
                            else if (isList && unit !== undefined) return found("failed");
                            // Some write several between one pair of marks.
                            else if (opening !== "" && unit === "{") place = "call";
                            else [place, at] = ["end", last];
                            continue;
                        }
                        if (unit === undefined) return found("open");
                        // So that other JSON is not held back to its end.
                        if (opening === "" && !list.hasCalls && !mayBeCall(text, keys.name, names, isExact))
                            return found("failed");
                        if (place === "start" && unit === "[" && !isExact) {
                            isList = true;
                            [place, at] = ["call", at + 1];
                            continue;
                        }
                        if (unit !== "{") return found("failed");
                        json ??= scanJson(at);
                        const end = json.end(text);
                        if (end === undefined) return found("open");
                        const written = text.slice(at, end);
                        list.add(toCall(written) ?? written);
                        json = undefined;
                        [place, at, last] = ["behind", end, end];
                        // Bare JSON is a call from its beginning on, or none.
                        if (opening === "" && !list.hasCalls) return found("failed");
                    }
                },
            };
        },
    };
}

/**
 * What has been read behind one opening. A call that names no tool is text; so is all that stands around it, unless there is a
 * call of a tool besides, which it shares that with.
 */
function createList() {
    let parts: (ParsedCall | string)[] = [];
    let hasCalls = false;
    return {
        get hasCalls() {
            return hasCalls;
        },
        /** A call, or the text of one that names no tool. */
        add(one: ParsedCall | string): void {
            parts.push(one);
            hasCalls ||= typeof one !== "string";
        },
        /** @param to - behind the last call */
        found(state: Found["state"], to: number): Found {
            if (!hasCalls) return { parts: [], state: state === "closed" ? "failed" : state, from: 0, to };
            const found = { parts, state, from: to, to };
            parts = [];
            return found;
        },
    };
}

/** Whether a text that begins with a brace, or one in a bracket unless `isExact`, may be the beginning of a call. */
function mayBeCall(text: string, key: string, names: ReadonlySet<string>, isExact: boolean): boolean {
    const dense = text.slice(0, LONGEST_LEAD).replace(/\s/g, "");
    const leads = (isExact ? ['{"'] : ['{"', '[{"']).flatMap((bracket) => [
        `${bracket}${key}":"`,
        `${bracket}type":"function","${key}":"`,
    ]);
    return leads.some((lead) =>
        dense.length <= lead.length
            ? lead.startsWith(dense)
            : dense.startsWith(lead) &&
              [...names].some((name) => {
                  const called = `${name}"`;
                  const rest = dense.slice(lead.length);
                  return rest.startsWith(called) || called.startsWith(rest);
              }),
    );
}
/** As far as a text is looked at for the name in its first call. */
const LONGEST_LEAD = 500;

const MUCH_LONGER = 1.2;
/** Of names and ids, white space in front of them included. */
const LONGEST_WORD = 200;

/** Calls with the name outside of the JSON. */
function inTags({ open, call, between, close, pairs }: CallSyntax, { names, isText }: Callable): CallParser {
    const [opening, closing] = [open.trimEnd(), close.trim()];
    const infix = between?.trim() ?? "";
    const isApart = infix.startsWith(closing) && infix.slice(closing.length).trimStart() === opening.trimStart();
    /** What the model writes between two calls, up to where the next begins; empty where each has its own opening. */
    const next = isApart ? "" : infix;
    /** What stands around each call, and not around all of them. */
    const lead = commonMark(open, between ?? "");
    const tail = commonBeginning(close, (between ?? "").slice(0, -lead.length || undefined)).trim();

    function parseOne(
        text: string,
        from: number,
        isAll: boolean,
        scan: (at: number) => JsonScan,
    ): { readonly call: ParsedCall; readonly to: number } | "open" | "failed" {
        const slots = new Map<string, string>();
        let values: ParsedCall["arguments"] | undefined;
        let at = from;
        for (const piece of call) {
            if (typeof piece === "object") {
                const to = skip(text, at, piece.text.trim(), isAll);
                if (to === undefined) return "open";
                at = to;
            } else if (piece === "arguments" && pairs !== undefined) {
                const tool = slots.get("name") ?? "";
                const found = parsePairs(text, at, pairs, (name) => isText?.(tool, name) ?? false, isAll);
                if (found.kind !== "pairs") return found.kind === "none" ? "failed" : "open";
                ({ values, to: at } = found);
            } else if (piece === "arguments") {
                const start = behindSpace(text, at);
                if (text[start] === undefined) return "open";
                if (text[start] !== "{") return "failed";
                const end = scan(start).end(text);
                if (end === undefined) return "open";
                slots.set(piece, text.slice(start, end));
                at = end;
            } else {
                const word = /^\s*([\w.-]*)/.exec(text.slice(at));
                const end = at + (word?.[0].length ?? 0);
                if (end - at > LONGEST_WORD) return "failed";
                // The word may go on, and something follows on all but the last.
                if (end === text.length && !(isAll && piece === call.at(-1))) return "open";
                slots.set(piece, word?.[1] ?? "");
                at = end;
            }
        }
        values ??= readArguments(slots.get("arguments") ?? "");
        if (!isArguments(values)) return "failed";
        return { call: { id: slots.get("id"), name: slots.get("name") ?? "", arguments: values }, to: at };
    }

    return {
        opening,
        scan() {
            let isBehind = false;
            let start = 0;
            /** Behind the last call. */
            let last = 0;
            let json: JsonScan | undefined;
            let readTo = 0;
            const list = createList();
            /** Arguments that are written one by one are read from their beginning: where they may end, or have become much longer. */
            const isWorthReading = (text: string): boolean =>
                closing === "" ||
                text.length > MUCH_LONGER * readTo ||
                [closing, next].some((mark) => mark !== "" && text.includes(mark, Math.max(0, readTo - mark.length)));
            return {
                read(text, isAll) {
                    const found = (state: Found["state"]): Found => {
                        // What closes a whole call is no text, whatever follows.
                        const ends =
                            last === 0 ? [] : [closing, tail].map((mark) => skip(text, last, mark, true) ?? last);
                        return list.found(state, Math.max(last, ...ends));
                    };
                    if (pairs !== undefined && !isAll && !isBehind && !isWorthReading(text)) return found("open");
                    readTo = text.length;
                    for (;;) {
                        if (!isBehind) {
                            const one = parseOne(text, start, isAll, (at) => (json ??= scanJson(at)));
                            if (typeof one === "string") return found(one);
                            if (pairs !== undefined && closing !== "") {
                                // Only the end says that there are no more arguments.
                                const rest = text.slice(one.to).trimStart();
                                const ends = next === "" ? [closing] : [closing, next];
                                if (!ends.some((end) => rest.startsWith(end)))
                                    return found(ends.some((end) => end.startsWith(rest)) ? "open" : "failed");
                            }
                            const isTool = names.has(one.call.name);
                            const end = isTool ? one.to : skip(text, one.to, tail, isAll);
                            if (end === undefined) return found("open");
                            list.add(isTool ? one.call : lead.trim() + text.slice(start, end));
                            json = undefined;
                            [isBehind, last] = [true, one.to];
                        }
                        const rest = text.slice(last).trimStart();
                        if (next !== "" && rest.startsWith(next)) {
                            start = text.length - rest.length + next.length;
                            isBehind = false;
                            continue;
                        }
                        // Half of a next call, even if nothing comes behind it.
                        if (next !== "" && next.startsWith(rest) && !closing.startsWith(rest)) return found("open");
                        return found(skip(text, last, closing, isAll) === undefined ? "open" : "closed");
                    }
                },
            };
        },
    };
}

/**
 * Where a mark ends that follows on white space, or that part of it which is there at the end, or `from` if it does not follow;
 * undefined: it may still come.
 */
function skip(text: string, from: number, mark: string, isAll: boolean): number | undefined {
    const rest = text.slice(from);
    const dense = rest.trimStart();
    if (dense.startsWith(mark)) return mark === "" ? from : from + (rest.length - dense.length) + mark.length;
    if (!mark.startsWith(dense)) return from;
    return isAll ? text.length : undefined;
}
