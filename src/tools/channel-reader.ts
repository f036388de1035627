/** Reads answers whose parts name their channels: `analysis` is thinking, calls go to `functions.` and a name, all else is text. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import type { ChannelMarks } from "../prompts/channels.js";
import type { ParsedCall } from "./call-parser.js";
import { unmark, type Marks } from "./marks.js";
import { readArguments, scanJson, type JsonScan } from "./read-json.js";
import { createStopFilter, overlap } from "./stop-filter.js";
import { createTokenReader, type AnswerReader, type Uttered } from "./token-reader.js";

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
    const filter = createStopFilter(stop);
    /** `begin`: a header, or text without one. `behind`: what follows on a call up to the next part, which is nothing. */
    let state: "begin" | "header" | "text" | "thinking" | "call" | "behind" = "begin";
    let pending = "";
    let header = "";
    let tool = "";
    /** Of a call's arguments, and how much has been looked through for the end of its part. */
    let json: JsonScan | undefined;
    let seen = 0;
    let uttered: { text: string; thinking: string; calls: ParsedCall[] } = { text: "", thinking: "", calls: [] };

    /** Of a part. Where another one begins, this one is over. */
    const ends = [end, start, channel];
    const say = (text: string): void => void (uttered.text += filter.push(unmark(text)));
    const think = (text: string): void => void (uttered.thinking += unmark(text));

    function begin(isAll: boolean, isCutOff: boolean): boolean {
        const rest = pending.trimStart();
        const openings = [start, channel, "to=functions."];
        if (openings.some((opening) => rest.startsWith(opening))) {
            state = "header";
        } else if (openings.some((opening) => opening.startsWith(rest)) && (!isAll || isCutOff || rest === "")) {
            if (isAll) pending = "";
            return false;
        } else {
            state = "text";
        }
        return true;
    }

    function readHeader(isAll: boolean, isCutOff: boolean): boolean {
        const at = pending.indexOf(message);
        if (at < 0) {
            const isMarked = [start, channel].some((mark) => pending.trimStart().startsWith(mark));
            if (isAll && !isCutOff && !isMarked) say(pending);
            if (isAll) pending = "";
            return false;
        }
        header = pending.slice(0, at).trimStart();
        pending = pending.slice(at + message.length);
        tool = /\bto=functions\.([\w.-]+)/.exec(header)?.[1] ?? "";
        const [, named = ""] = header.split(channel);
        state = tool !== "" ? "call" : named.trimStart().startsWith("analysis") ? "thinking" : "text";
        [json, seen] = [undefined, 0];
        return true;
    }

    /** Up to the end of a part, or what is certain not to belong to it. @returns whether it is over */
    function take(isAll: boolean, isCutOff: boolean, use: (text: string) => void): boolean {
        const found = ends.map((mark) => pending.indexOf(mark)).filter((at) => at >= 0);
        const isOver = found.length > 0;
        const half = Math.max(...ends.map((mark) => overlap(pending, mark)));
        const to = isOver ? Math.min(...found) : pending.length - (isAll && !isCutOff ? 0 : half);
        use(pending.slice(0, to));
        pending = isAll && !isOver ? "" : pending.slice(to);
        if (!isOver) return false;
        if (pending.startsWith(end)) pending = pending.slice(end.length);
        uttered.text += filter.flush();
        state = "begin";
        return true;
    }

    const readText = (isAll: boolean, isCutOff: boolean): boolean => take(isAll, isCutOff, say);
    const readThinking = (isAll: boolean, isCutOff: boolean): boolean => take(isAll, isCutOff, think);
    const skip = (isAll: boolean, isCutOff: boolean): boolean => take(isAll, isCutOff, () => undefined);

    function readCall(isAll: boolean, isCutOff: boolean): boolean {
        const from = pending.search(/\S/);
        if (pending[from] === "{") json ??= scanJson(from);
        const to = json?.end(pending);
        const values = to === undefined ? undefined : readArguments(pending.slice(from, to));
        if (values !== undefined && names.has(tool)) {
            uttered.calls.push({ id: undefined, name: tool, arguments: values });
            pending = pending.slice(to);
            state = "behind";
            return true;
        }
        const isWhole = ends.some((mark) => pending.includes(mark, Math.max(0, seen - mark.length)));
        seen = pending.length;
        if (!isWhole && !isAll) return false;
        if (!isWhole && isCutOff && to === undefined) {
            pending = "";
            return false;
        }
        // Who speaks is the template's to say.
        const written = header.startsWith(start) ? header.slice(start.length).replace(/^\w+\s*/, "") : header;
        return take(isAll, isCutOff, (text) => say(`${written}${message}${text}`));
    }

    function read(isAll: boolean, isCutOff: boolean): Uttered {
        const steps = {
            begin,
            header: readHeader,
            text: readText,
            thinking: readThinking,
            call: readCall,
            behind: skip,
        };
        while (filter.stoppedBy === undefined && steps[state](isAll, isCutOff));
        const result = uttered;
        uttered = { text: "", thinking: "", calls: [] };
        return result;
    }

    return createTokenReader(texts, filter, standIn, {
        add: (text) => void (pending += text),
        read,
        isThinking: () => state === "thinking",
    });
}
