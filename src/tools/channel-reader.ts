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

const TO = "to=functions.";
/** In front of the first mark of a header there is the name of a tool, and one word at most; else it is text. */
const ADDRESS = /^to=functions\.[\w.-]*(?:\s+\w*)?\s*/;

/**
 * @param stop - texts that end the generation, looked for in the text of a part
 * @param standIn - of a token that is part of a mark
 */
export function createChannelReader(
    texts: Pick<TokenTexts, "detokenize">,
    stop: readonly string[],
    { marks: { end, ...headed }, names }: ChannelSyntax,
    standIn: Marks["standIn"],
): AnswerReader {
    const filter = createStopFilter(stop);
    const { start, channel, message } = headed;
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
    /** Of a header, unless that begins with the address of a call. */
    const openings = Object.values(headed);
    const say = (text: string): void => void (uttered.text += filter.push(unmark(text)));
    const think = (text: string): void => void (uttered.thinking += unmark(text));

    function begin(isAll: boolean, isCutOff: boolean): boolean {
        const rest = pending.trimStart();
        if (rest.startsWith(end)) {
            pending = rest.slice(end.length);
            return true;
        }
        const behind = names.size === 0 ? rest : rest.replace(ADDRESS, "");
        if (openings.some((mark) => behind.startsWith(mark))) {
            pending = rest;
            state = "header";
            return true;
        }
        const isHalf = [...openings, end].some((mark) => mark.startsWith(behind));
        const mayBeAddress = names.size > 0 && TO.startsWith(rest);
        if (!isAll && (isHalf || mayBeAddress)) return false;
        if (isHalf && (isCutOff || rest === "")) {
            pending = "";
            return false;
        }
        state = "text";
        return true;
    }

    /** A header is over where its part begins, or ends without a text. What another header breaks off says nothing. */
    function readHeader(isAll: boolean): boolean {
        const [at, over] = [message, end].map((mark) => pending.indexOf(mark)) as [number, number];
        if (over >= 0 && (at < 0 || over < at)) {
            pending = pending.slice(over + end.length);
            state = "begin";
            return true;
        }
        if (at < 0) {
            if (isAll) pending = "";
            return false;
        }
        const turns = pending.slice(0, at).split(start);
        const [front = "", ...channels] = (turns.at(-1) ?? "").split(channel);
        const last = channels.at(-1);
        // Who speaks is the template's to say.
        const address = turns.length > 1 ? front.replace(/^(?!to=)\w+\s*/, "") : front;
        header = last === undefined ? address : `${address}${channel}${last}`;
        pending = pending.slice(at + message.length);
        tool = /\bto=functions\.([\w.-]+)/.exec(header)?.[1] ?? "";
        state = tool !== "" ? "call" : last?.trimStart().startsWith("analysis") === true ? "thinking" : "text";
        [json, seen] = [undefined, 0];
        return true;
    }

    /** Up to the end of a part, or what is certain not to belong to it. @returns whether it is over */
    function take(isAll: boolean, isCutOff: boolean, use: (text: string) => void): boolean {
        const over = indexOfAny(pending, ends);
        const half = isAll && !isCutOff ? 0 : Math.max(...ends.map((mark) => overlap(pending, mark)));
        const to = over ?? pending.length - half;
        use(pending.slice(0, to));
        pending = isAll && over === undefined ? "" : pending.slice(to);
        if (over === undefined) return false;
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
        const over = indexOfAny(pending, ends, seen);
        const isOver = over !== undefined && (to === undefined || over < to);
        const values = to === undefined || isOver ? undefined : readArguments(pending.slice(from, to));
        if (values !== undefined && names.has(tool)) {
            uttered.calls.push({ id: undefined, name: tool, arguments: values });
            pending = pending.slice(to);
            state = "behind";
            return true;
        }
        seen = pending.length;
        if (over === undefined && !isAll) return false;
        if (over === undefined && isCutOff && to === undefined) {
            pending = "";
            return false;
        }
        return take(isAll, isCutOff, (text) => say(`${header}${message}${text}`));
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

/** Where the first of some marks is; undefined: nowhere. @param seen - so much of the text has none of them */
function indexOfAny(text: string, marks: readonly string[], seen = 0): number | undefined {
    const found = marks.map((mark) => text.indexOf(mark, Math.max(0, seen - mark.length))).filter((at) => at >= 0);
    return found.length === 0 ? undefined : Math.min(...found);
}
