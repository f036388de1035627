/** Reads answers whose parts name their channels: `analysis` is thinking, calls go to `functions.` and a name, all else is text. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import type { ChannelMarks } from "../prompts/channels.js";
import type { AnswerReader, Uttered } from "./answer-reader.js";
import type { ParsedCall } from "./call-parser.js";
import { unmark, type Marks } from "./marks.js";
import { readArguments, scanJson, type JsonScan } from "./read-json.js";
import { createStopFilter, overlap } from "./stop-filter.js";

/** What the parts of an answer are told apart by. */
export interface ChannelSyntax {
    /** Marked. */
    readonly marks: ChannelMarks;
    /** Of the tools. */
    readonly names: ReadonlySet<string>;
}

/**
 * @param stop - texts that end the generation, looked for in the text of a part
 * @param standIn - of a token that is part of a mark
 */
export function createChannelReader(
    texts: Pick<TokenTexts, "detokenize">,
    stop: readonly string[],
    { marks: { start, channel, message, end }, names }: ChannelSyntax,
    standIn: Marks["standIn"],
): AnswerReader {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const filter = createStopFilter(stop);
    /** `begin`: a header, or text without one. */
    let state: "begin" | "header" | "text" | "thinking" | "call" = "begin";
    let pending = "";
    let header = "";
    let tool = "";
    /** Of a call's arguments, and how much has been looked through for the end of its part. */
    let json: JsonScan | undefined;
    let seen = 0;
    let thinkingTokens = 0;
    let uttered: { text: string; thinking: string; calls: ParsedCall[] } = { text: "", thinking: "", calls: [] };

    const say = (text: string): void => void (uttered.text += filter.push(unmark(text)));

    function begin(isAll: boolean): boolean {
        const rest = pending.trimStart();
        const openings = [start, channel, "to=functions."];
        if (openings.some((opening) => rest.startsWith(opening))) state = "header";
        else if (!isAll && openings.some((opening) => opening.startsWith(rest))) return false;
        else state = "text";
        return pending !== "";
    }

    function readHeader(isAll: boolean, isCutOff: boolean): boolean {
        const at = pending.indexOf(message);
        if (at < 0) {
            if (isAll && !isCutOff && pending.trim() !== "") say(pending);
            if (isAll) pending = "";
            return false;
        }
        header = pending.slice(0, at);
        pending = pending.slice(at + message.length);
        tool = /\bto=functions\.([\w.-]+)/.exec(header)?.[1] ?? "";
        const named = header.slice(header.indexOf(channel) + channel.length).trimStart();
        state = tool !== "" ? "call" : named.startsWith("analysis") ? "thinking" : "text";
        if (state !== "text") uttered.text += filter.flush();
        [json, seen] = [undefined, 0];
        return true;
    }

    /** Up to the end of a part, or what is certain not to belong to it. */
    function take(isAll: boolean, isCutOff: boolean): { readonly text: string; readonly isOver: boolean } {
        const ends = [end, start].map((mark) => pending.indexOf(mark)).filter((at) => at >= 0);
        const isOver = ends.length > 0;
        const half = Math.max(overlap(pending, end), overlap(pending, start));
        const to = isOver ? Math.min(...ends) : pending.length - (isAll && !isCutOff ? 0 : half);
        const text = pending.slice(0, to);
        pending = isAll && !isOver ? "" : pending.slice(to);
        if (isOver) {
            if (pending.startsWith(end)) pending = pending.slice(end.length);
            state = "header";
        }
        return { text, isOver };
    }

    function readPart(isAll: boolean, isCutOff: boolean): boolean {
        const isText = state === "text";
        const { text, isOver } = take(isAll, isCutOff);
        if (isText) say(text);
        else uttered.thinking += unmark(text);
        return isOver && pending !== "";
    }

    function readCall(isAll: boolean, isCutOff: boolean): boolean {
        const from = pending.search(/\S/);
        if (pending[from] === "{") json ??= scanJson(from);
        const to = json?.end(pending);
        const values = to === undefined ? undefined : readArguments(pending.slice(from, to));
        if (values !== undefined && names.has(tool)) {
            uttered.calls.push({ id: undefined, name: tool, arguments: values });
            pending = pending.slice(to);
            // What follows up to the end of the part is nothing.
            state = "header";
            return pending !== "";
        }
        const isWhole = [end, start].some((mark) => pending.includes(mark, Math.max(0, seen - mark.length)));
        seen = pending.length;
        if (!isWhole && !isAll) return false;
        if (!isWhole && isCutOff && to === undefined) {
            pending = "";
            return false;
        }
        const { text, isOver } = take(isAll, isCutOff);
        say(`${header.trimStart()} ${text}`);
        return isOver && pending !== "";
    }

    function read(isAll: boolean, isCutOff: boolean): Uttered {
        const steps = { begin, header: readHeader, text: readPart, thinking: readPart, call: readCall };
        while (filter.stoppedBy === undefined && steps[state](isAll, isCutOff));
        const result = uttered;
        uttered = { text: "", thinking: "", calls: [] };
        return result;
    }

    return {
        push(token) {
            if (filter.stoppedBy !== undefined) return { text: "", thinking: "", calls: [] };
            pending +=
                standIn(token) ?? decoder.decode(texts.detokenize(Int32Array.of(token), false), { stream: true });
            const wasThinking = state === "thinking";
            const certain = read(false, false);
            if (wasThinking || certain.thinking !== "") thinkingTokens++;
            return certain;
        },
        flush(isCutOff) {
            pending += decoder.decode();
            const last = read(true, isCutOff);
            return { ...last, text: last.text + filter.flush() };
        },
        get stoppedBy() {
            return filter.stoppedBy;
        },
        get thinkingTokens() {
            return thinkingTokens;
        },
    };
}
