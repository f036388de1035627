/** From tokens to what an assistant says, thinks and calls: whole UTF-8 characters, nothing of a stop string, and whole calls. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import type { ThinkingMarks } from "../types.js";
import type { CallParser, CallScan, ParsedCall } from "./call-parser.js";
import { createChannelReader, type ChannelSyntax } from "./channel-reader.js";
import { unmark, type Marks } from "./marks.js";
import { createStopFilter, overlap } from "./stop-filter.js";
import { createTokenReader, type AnswerReader, type Uttered } from "./token-reader.js";

/**
 * What comes behind the thoughts that the prompt begins. `free`: text, thoughts and calls, told apart by their marks; the others
 * are what a grammar allows: nothing but calls, nothing but JSON, or either of them. JSON may have any mark in its texts.
 */
export type AnswerForm = "free" | "calls" | "json" | "either";

const MOST_UNCLOSED = 100;

/** What may be in an answer besides text. */
export interface AnswerSyntax {
    readonly marks: Marks;
    /** Marked. */
    readonly thinking: ThinkingMarks | undefined;
    /** Whether the prompt ends in the middle of thinking. */
    readonly beginsThinking: boolean;
    readonly form: AnswerForm;
    readonly calls: CallParser | undefined;
    /** Parts are told apart by these, and by nothing of the above. */
    readonly channels?: ChannelSyntax | undefined;
}

/**
 * @param stop - texts that end the generation; the first to be whole in the answer wins, and is not part of it. What calls or
 * thoughts stand between does not make one
 * @param syntax - undefined: an answer is nothing but text
 * @param dropsSpace - one space in front of the answer is not part of it
 */
export function createAnswerReader(
    texts: Pick<TokenTexts, "detokenize">,
    stop: readonly string[],
    syntax?: AnswerSyntax,
    dropsSpace = false,
): AnswerReader {
    if (syntax?.channels !== undefined)
        return createChannelReader(texts, stop, syntax.channels, (token) => syntax.marks.standIn(token));
    const filter = createStopFilter(stop);
    const { thinking, calls: parser } = syntax ?? {};
    let form = syntax?.form ?? "json";
    let state: "answer" | "thinking" | "calls" = syntax?.beginsThinking === true ? "thinking" : "answer";
    let pending = "";
    /** White space around thoughts and calls belongs to the template. */
    let trims = state === "thinking";
    /** Nothing of the answer has been seen yet: calls that look like any JSON come only here. */
    let isStart = true;
    let hasCalled = false;
    /** Openings at the end of the answer whose calls do not end: each of them is looked for to the end. */
    let unclosed = 0;
    /** The answer may begin with a space that is not part of it. */
    let hasSpace = dropsSpace;
    let scan: CallScan | undefined;
    /** What was read in front of the scan's text, and is text if no call follows. */
    let said = "";
    let uttered: { text: string; thinking: string; calls: ParsedCall[] } = { text: "", thinking: "", calls: [] };

    function say(text: string): void {
        if (text.trim() !== "") isStart = false;
        // Between calls that are forced, there is nothing but what belongs to them.
        if (text === "" || form === "calls") return;
        const unmarked = unmark(text);
        uttered.text += filter.push(hasSpace ? unmarked.replace(/^ /, "") : unmarked);
        hasSpace &&= unmarked === "";
    }

    function beginCalls(opening: string): true {
        pending = pending.slice(opening.length);
        said = opening;
        scan = parser?.scan();
        state = "calls";
        return true;
    }

    /** @returns whether there is more to do */
    function readAnswer(isAll: boolean, isCutOff: boolean): boolean {
        if (trims) pending = pending.trimStart();
        if (form === "either") return readStart(isAll, isCutOff);
        const begin = form === "free" ? thinking?.begin : undefined;
        const opening = form === "json" ? undefined : parser?.opening;
        if (opening === "" && isStart) {
            if (/^\s*[[{]/.test(pending)) return beginCalls("");
            // In front of a call it is no text.
            if (!isAll && pending.trim() === "") return false;
        }
        const [think = -1, call = -1] = [begin, opening].map((mark) => (mark ? pending.indexOf(mark) : -1));
        if (begin !== undefined && think >= 0 && (call < 0 || think < call)) {
            say(pending.slice(0, think));
            uttered.text += filter.flush();
            pending = pending.slice(think + begin.length);
            state = "thinking";
            trims = true;
            return true;
        }
        if (opening && call >= 0) {
            say(pending.slice(0, call));
            pending = pending.slice(call);
            return beginCalls(opening);
        }
        const beginning = Math.max(0, ...[begin, opening].map((mark) => (mark ? overlap(pending, mark) : 0)));
        // Behind a call, another one may have been cut off.
        const keep = isAll && !(isCutOff && hasCalled) ? 0 : beginning;
        const certain = pending.slice(0, pending.length - keep);
        pending = isAll ? "" : pending.slice(certain.length);
        if (certain !== "") trims = false;
        say(certain);
        return false;
    }

    /** Of calls or JSON: no JSON begins as calls that have a mark do. */
    function readStart(isAll: boolean, isCutOff: boolean): boolean {
        const opening = parser?.opening ?? "";
        const rest = pending.trimStart();
        if (rest !== "" && rest.startsWith(opening)) {
            if (opening !== "") pending = rest;
            return beginCalls(opening);
        }
        if (!isAll && opening.startsWith(rest)) return false;
        if (isCutOff && opening.startsWith(rest)) pending = "";
        form = "json";
        return pending !== "";
    }

    function readThinking(isAll: boolean, isCutOff: boolean): boolean {
        const end = thinking?.end ?? "";
        if (trims) pending = pending.trimStart();
        const at = pending.indexOf(end);
        if (at >= 0) {
            uttered.thinking += unmark(pending.slice(0, at).trimEnd());
            pending = pending.slice(at + end.length);
            state = "answer";
            trims = true;
            return true;
        }
        const keep = isAll && !isCutOff ? 0 : overlap(pending, end);
        const thought = pending.slice(0, pending.length - keep);
        const certain = isAll ? thought : thought.trimEnd();
        if (certain !== "") trims = false;
        uttered.thinking += unmark(certain);
        pending = isAll ? "" : pending.slice(certain.length);
        return false;
    }

    function readCalls(isAll: boolean, isCutOff: boolean): boolean {
        const found = scan?.read(pending, isAll) ?? { parts: [], state: "failed", from: 0, to: 0 };
        for (const part of found.parts) {
            if (typeof part === "string") {
                say(part);
                if (filter.stoppedBy !== undefined) return false;
                continue;
            }
            uttered.text += filter.flush();
            uttered.calls.push(part);
            hasCalled = true;
            said = "";
        }
        if (found.state === "open") {
            if (isCutOff) {
                if (found.from === 0 && found.to > 0) say(said + pending.slice(0, found.to));
                pending = "";
            }
            if (isCutOff || !isAll) return false;
        }
        const isCall = found.from > 0;
        if (form === "either") form = isCall ? "calls" : "json";
        pending = pending.slice(found.from);
        trims = isCall;
        if (!isCall) {
            // Text after all, and what looked like the beginning of a call is not looked at again.
            const [first = ""] = pending;
            const isHopeless = found.state === "open" && ++unclosed > MOST_UNCLOSED;
            const length = isHopeless ? pending.length : Math.max(found.to, first.length);
            say(said + pending.slice(0, length));
            pending = pending.slice(length);
            trims = false;
        }
        state = "answer";
        return pending !== "";
    }

    function read(isAll: boolean, isCutOff: boolean): Uttered {
        const steps = { answer: readAnswer, thinking: readThinking, calls: readCalls };
        while (filter.stoppedBy === undefined && steps[state](isAll, isCutOff));
        const result = uttered;
        uttered = { text: "", thinking: "", calls: [] };
        return result;
    }

    return createTokenReader(texts, filter, (token) => syntax?.marks.standIn(token), {
        add: (text) => void (pending += text),
        read,
        isThinking: () => state === "thinking",
    });
}
