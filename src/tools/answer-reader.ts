/** From tokens to what an assistant says, thinks and calls: whole UTF-8 characters, nothing of a stop string, and whole calls. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import type { ThinkingMarks } from "../types.js";
import type { CallParser, ParsedCall } from "./call-parser.js";
import { unmark, type Marks } from "./marks.js";

/** What became certain. */
export interface Uttered {
    /** Of the answer. */
    readonly text: string;
    readonly thinking: string;
    readonly calls: readonly ParsedCall[];
}

export interface AnswerReader {
    /** Adds a token; what is certain now is often of earlier tokens too. */
    push(token: number): Uttered;
    /** What was held back, if it is not the beginning of something after all. */
    flush(): Uttered;
    /** The stop string that was met; nothing is released after it. */
    readonly stoppedBy: string | undefined;
}

/** How the text of an answer is told from the rest. */
export interface AnswerForm {
    /** Undefined: an answer is nothing but text. */
    readonly answer?: AnswerSyntax | undefined;
    /** One space in front of the answer is not part of it. */
    readonly dropsSpace?: boolean;
}

/** What may be in an answer besides text. */
export interface AnswerSyntax {
    readonly marks: Marks;
    /** Marked. */
    readonly thinking: ThinkingMarks | undefined;
    /** Whether the prompt ends in the middle of thinking. */
    readonly beginsThinking: boolean;
    readonly calls: CallParser | undefined;
    /** Names of tools; a call of anything else is text. */
    readonly tools: ReadonlySet<string>;
}

/**
 * @param stop - texts that end the generation; the first to occur in the answer wins, and is not part of it
 */
export function createAnswerReader(
    texts: Pick<TokenTexts, "detokenize">,
    stop: readonly string[],
    { answer: syntax, dropsSpace = false }: AnswerForm = {},
): AnswerReader {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const filter = createStopFilter(stop);
    const thinking = syntax?.thinking;
    const parser = syntax?.calls;
    let state: "answer" | "thinking" | "calls" = syntax?.beginsThinking === true ? "thinking" : "answer";
    let pending = "";
    /** White space around thoughts and calls belongs to the template. */
    let trims = state === "thinking";
    /** Nothing of the answer has been seen yet: calls that look like any JSON come only here. */
    let isStart = true;
    let hasCalled = false;
    /** The answer may begin with a space that is not part of it. */
    let hasSpace = dropsSpace;
    /** The last calls turned out to be text. */
    let said = "";
    let uttered: { text: string; thinking: string; calls: ParsedCall[] } = { text: "", thinking: "", calls: [] };

    function say(text: string): void {
        if (text === "") return;
        if (text.trim() !== "") isStart = false;
        const unmarked = unmark(text);
        uttered.text += filter.push(hasSpace ? unmarked.replace(/^ /, "") : unmarked);
        hasSpace &&= unmarked === "";
    }

    /** @returns whether there is more to do */
    function readAnswer(isAll: boolean): boolean {
        if (trims) pending = pending.trimStart();
        const openings = [thinking?.begin, parser?.opening].map((mark) => (mark ? pending.indexOf(mark) : -1));
        const [think = -1, call = -1] = openings;
        if (think >= 0 && (call < 0 || think < call)) {
            say(pending.slice(0, think));
            pending = pending.slice(think + (thinking?.begin.length ?? 0));
            state = "thinking";
            trims = true;
            return true;
        }
        if (call >= 0 && parser !== undefined && (parser.opening !== "" || isStart)) {
            say(pending.slice(0, call));
            pending = pending.slice(call + parser.opening.length);
            said = parser.opening;
            state = "calls";
            return true;
        }
        const isBare = parser?.opening === "" && isStart && /^\s*[[{]/.test(pending);
        if (isBare) {
            said = "";
            state = "calls";
            return true;
        }
        const beginning = Math.max(
            0,
            ...[thinking?.begin, parser?.opening].map((mark) => (mark ? overlap(pending, mark) : 0)),
        );
        // Behind a call, another one may have been cut off.
        const keep = isAll && !hasCalled ? 0 : beginning;
        const certain = pending.slice(0, pending.length - keep);
        pending = isAll ? "" : pending.slice(certain.length);
        if (certain !== "") trims = false;
        say(certain);
        return false;
    }

    function readThinking(isAll: boolean): boolean {
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
        const certain = isAll ? pending : pending.slice(0, pending.length - overlap(pending, end)).trimEnd();
        if (certain !== "") trims = false;
        uttered.thinking += unmark(certain);
        pending = pending.slice(certain.length);
        return false;
    }

    function readCalls(isAll: boolean): boolean {
        const found = parser?.parse(pending, isAll) ?? { kind: "none" as const };
        if (found.kind === "unfinished") {
            // A call that was cut off is neither a call nor something that was said.
            if (isAll) pending = "";
            return false;
        }
        if (found.kind === "calls" && found.calls.every(({ name }) => syntax?.tools.has(name))) {
            uttered.calls.push(...found.calls);
            hasCalled = true;
            pending = pending.slice(found.length);
            trims = true;
        } else {
            // Text after all, and what looked like the beginning of a call is not looked at again.
            const length = found.kind === "calls" ? found.length : Math.min(1, pending.length);
            say(said + pending.slice(0, length));
            pending = pending.slice(length);
            trims = false;
        }
        state = "answer";
        return pending !== "";
    }

    function read(isAll: boolean): Uttered {
        const steps = { answer: readAnswer, thinking: readThinking, calls: readCalls };
        while (filter.stoppedBy === undefined && steps[state](isAll));
        const result = uttered;
        uttered = { text: "", thinking: "", calls: [] };
        return result;
    }

    return {
        push(token) {
            if (filter.stoppedBy !== undefined) return { text: "", thinking: "", calls: [] };
            pending +=
                syntax?.marks.standIn(token) ??
                decoder.decode(texts.detokenize(Int32Array.of(token), false), { stream: true });
            return read(false);
        },
        flush() {
            const unfinished = decoder.decode();
            if (state !== "calls") pending += unfinished;
            const last = read(true);
            return { ...last, text: last.text + filter.flush() };
        },
        get stoppedBy() {
            return filter.stoppedBy;
        },
    };
}

/** Holds text back as long as it may become a stop string. */
function createStopFilter(stop: readonly string[]) {
    let pending = "";
    let stoppedBy: string | undefined;
    return {
        push(more: string): string {
            if (stoppedBy !== undefined) return "";
            pending += more;
            const found = stop
                .map((text) => ({ text, at: pending.indexOf(text) }))
                .filter(({ at }) => at >= 0)
                .sort((a, b) => a.at - b.at)[0];
            stoppedBy = found?.text;
            const keep = Math.max(0, ...stop.map((text) => overlap(pending, text)));
            const text = pending.slice(0, found?.at ?? pending.length - keep);
            pending = found === undefined ? pending.slice(text.length) : "";
            return text;
        },
        flush(): string {
            const text = pending;
            pending = "";
            return text;
        },
        get stoppedBy() {
            return stoppedBy;
        },
    };
}

/** Length of the longest end of `text` that is a beginning of `mark`, and not all of it. */
function overlap(text: string, mark: string): number {
    for (let length = Math.min(text.length, mark.length - 1); length > 0; length--)
        if (text.endsWith(mark.slice(0, length))) return length;
    return 0;
}
