/** How a chat template writes an assistant's calls of tools: found out by showing it two, and looking where their parts are. */

import type { JsonValue } from "../types.js";
import { CHANNEL_SYNTAX } from "./channels.js";
import type { ChatMessage } from "./messages.js";
import { readPairs, type PairSyntax, type TextQuote } from "./pair-syntax.js";

/** One part of a call. */
export type CallSlot = "name" | "arguments" | "id";

/**
 * The text of calls: `open`, a call, and as often as there are more `between` and a call, then `close`. No part of a call varies but
 * its slots.
 */
export interface CallSyntax {
    readonly open: string;
    /** Slots and the texts between them; begins and ends with a slot. */
    readonly call: readonly (CallSlot | { readonly text: string })[];
    /** Undefined: the template writes one call only. */
    readonly between: string | undefined;
    readonly close: string;
    /** How the arguments are written; undefined: as a JSON object. */
    readonly pairs?: PairSyntax | undefined;
}

/** What a template makes of calls and their results, which it shows. */
export interface CallTraits {
    /** Undefined: it does not tell of the tools, or writes calls in another way. */
    readonly syntax: CallSyntax | undefined;
    /** Arguments have to be given to it as JSON text. */
    readonly wantsText: boolean;
    /** It shows one call of a message, or fails at several. */
    readonly isSingle: boolean;
}

/** Where no template says otherwise, and every template can show it, since it is plain text. */
export const GENERIC_SYNTAX: CallSyntax = {
    open: '<tool_call>\n{"name": "',
    call: ["name", { text: '", "arguments": ' }, "arguments"],
    between: '}\n</tool_call>\n<tool_call>\n{"name": "',
    close: "}\n</tool_call>",
};

interface SampleCall {
    readonly id: string;
    readonly name: string;
    readonly values: readonly [string, number, string];
}

/** Nine letters and digits: Mistral's templates take no other ids. */
const SAMPLES: readonly [SampleCall, SampleCall] = [
    { id: "sample001", name: "find_harbour", values: ["Lima", 7, "Paita"] },
    { id: "sample002", name: "find_harbour", values: ["Quito", 8, "Manta"] },
];
const QUESTION = "Which harbour is it?";
const ANSWER = "It is that one.";
const RESULT = "The harbour of Callao";

const TOOL_DESCRIPTION = "Finds a harbour.";
const SAMPLE_TOOL: JsonValue = {
    type: "function",
    function: {
        name: "find_harbour",
        description: TOOL_DESCRIPTION,
        parameters: {
            type: "object",
            properties: {
                first: { type: "string", description: "A city." },
                second: { type: "integer", description: "A number." },
                third: { type: "string", description: "Another city." },
            },
            required: ["first", "second", "third"],
        },
    },
};

/** Renders a conversation. @throws where the template fails */
export type RenderSample = (
    messages: readonly ChatMessage[],
    variables: Readonly<Record<string, JsonValue>>,
    generationPrompt: boolean,
) => string;

/**
 * @param endsOfText - texts of tokens that end an answer
 * @param hasChannels - whether each part of an answer names its channel
 * @returns undefined for a template that leaves calls or results out, or fails at them
 */
export function tryCalls(
    render: RenderSample,
    endsOfText: readonly string[],
    hasChannels: boolean,
): CallTraits | undefined {
    const wantsText = !showsCalls(render, [FIRST_SAMPLE], false);
    // Only what fails with data wants text.
    if (wantsText && !showsCalls(render, [FIRST_SAMPLE], true)) return undefined;
    const isSingle = !showsCalls(render, SAMPLES, wantsText);
    const header = renderBehind(render, [], true);
    // A template that tells of the tools does so in front of the answer.
    if (header === undefined || !`${header.before}${header.text}`.includes(TOOL_DESCRIPTION))
        return { syntax: undefined, wantsText, isSingle };
    const syntax = hasChannels ? CHANNEL_SYNTAX : trySyntax(render, header.text, endsOfText, wantsText);
    return { syntax, wantsText, isSingle };
}

const question: ChatMessage = { role: "user", content: QUESTION };
const [FIRST_SAMPLE] = SAMPLES;

function calling(samples: readonly SampleCall[], wantsText: boolean): ChatMessage {
    return {
        ...{ role: "assistant", content: "" },
        tool_calls: samples.map(({ id, name, values: [first, second, third] }) => {
            const values = { first, second, third };
            return { id, type: "function", function: { name, arguments: wantsText ? JSON.stringify(values) : values } };
        }),
    };
}

/** What is rendered behind the question; undefined where the template fails. */
function renderBehind(
    render: RenderSample,
    messages: readonly ChatMessage[],
    generationPrompt = false,
): { readonly before: string; readonly text: string } | undefined {
    try {
        const text = render([question, ...messages], { tools: [SAMPLE_TOOL] }, generationPrompt);
        const at = text.lastIndexOf(QUESTION);
        return at < 0 ? undefined : { before: text.slice(0, at), text: text.slice(at + QUESTION.length) };
    } catch {
        return undefined;
    }
}

function showsCalls(render: RenderSample, samples: readonly SampleCall[], wantsText: boolean): boolean {
    const results = samples.map(({ id, name }, index): ChatMessage => {
        return { role: "tool", content: `${RESULT} ${index}`, tool_call_id: id, name };
    });
    const { text = "" } = renderBehind(render, [calling(samples, wantsText), ...results]) ?? {};
    return samples.every(({ name, values: [value] }, index) =>
        [name, value, `${RESULT} ${index}`].every((part) => text.includes(part)),
    );
}

/** @param header - of the answer */
function trySyntax(
    render: RenderSample,
    header: string,
    endsOfText: readonly string[],
    wantsText: boolean,
): CallSyntax | undefined {
    const answered = renderBehind(render, [{ role: "assistant", content: ANSWER }])?.text;
    const single = renderBehind(render, [calling([FIRST_SAMPLE], wantsText)])?.text;
    if (answered === undefined || single === undefined) return undefined;
    const ends = [answered.slice(answered.indexOf(ANSWER) + ANSWER.length), ...endsOfText];
    const read = (text: string, samples: readonly SampleCall[]): CallSyntax | undefined =>
        readLayout(text.slice(commonLength(header, text)), samples, ends);
    const alone = read(single, [FIRST_SAMPLE]);
    if (alone === undefined || alone.open === "") return undefined;
    const several = renderBehind(render, [calling(SAMPLES, wantsText)])?.text;
    const both = several === undefined ? undefined : read(several, SAMPLES);
    const key = (each: CallSyntax): string => JSON.stringify({ ...each, between: undefined });
    const { pairs } = alone;
    const quote = pairs && tryQuote(render, pairs, wantsText);
    return {
        ...alone,
        between: both && key(both) === key(alone) ? both.between : undefined,
        ...(quote && { pairs: { ...pairs, quote } }),
    };
}

/** What stands around a text that has marks of XML in it; undefined: nothing, or the text is not shown as it is. */
function tryQuote(
    render: RenderSample,
    { text: { middle, end } }: PairSyntax,
    wantsText: boolean,
): TextQuote | undefined {
    const value = "Rio <b> & Santos";
    const sample: SampleCall = { ...FIRST_SAMPLE, values: [value, 7, "Paita"] };
    const { text = "" } = renderBehind(render, [calling([sample], wantsText)]) ?? {};
    const at = text.indexOf(value);
    const from = text.lastIndexOf(middle, at) + middle.length;
    const to = text.indexOf(end, at + value.length);
    if (at < 0 || from < middle.length || to < 0 || middle === "" || end === "") return undefined;
    const [begin, behind] = [text.slice(from, at), text.slice(at + value.length, to)];
    return begin.trim() === "" || behind.trim() === "" ? undefined : { begin, end: behind };
}

/** @param text - of the assistant's turn, behind its header */
function readLayout(text: string, samples: readonly SampleCall[], ends: readonly string[]): CallSyntax | undefined {
    const calls: {
        readonly from: number;
        readonly to: number;
        readonly call: CallSyntax["call"];
        readonly pairs: PairSyntax | undefined;
    }[] = [];
    let behind = 0;
    for (const { id, name, values } of samples) {
        const rest = text.slice(behind);
        const slots = [
            find(rest, "name", new RegExp(name)),
            findJson(rest, values) ?? findPairs(rest, name, values),
            find(rest, "id", new RegExp(id)),
        ]
            .filter((slot) => slot !== undefined)
            .sort((a, b) => a.from - b.from);
        const isComplete = (["name", "arguments"] as const).every((slot) => slots.some((each) => each.slot === slot));
        const [first, last] = [slots[0], slots.at(-1)];
        if (!isComplete || first === undefined || last === undefined) return undefined;
        calls.push({
            ...{ from: behind + first.from, to: behind + last.to },
            pairs: slots.find(({ pairs }) => pairs !== undefined)?.pairs,
            call: slots.flatMap(({ slot, from }, index) => {
                const previous = slots[index - 1];
                return previous === undefined ? [slot] : [{ text: rest.slice(previous.to, from) }, slot];
            }),
        });
        behind += last.to;
    }
    const [first, second] = calls;
    if (first === undefined) return undefined;
    if (first.call.some((piece) => typeof piece === "object" && piece.text.includes(SAMPLES[0].name))) return undefined;
    // Such as numbers of calls, which vary.
    const key = ({ call, pairs }: (typeof calls)[number]): string => JSON.stringify([call, pairs]);
    if (calls.some((each) => key(each) !== key(first))) return undefined;
    return {
        open: text
            .slice(0, first.from)
            .replace(/^[^]*<\/\w*think\w*>/, "")
            .trimStart(),
        call: first.call,
        between: second && text.slice(first.to, second.from),
        close: cutAt(text.slice(behind), ends),
        ...(first.pairs && { pairs: first.pairs }),
    };
}

interface Place {
    readonly slot: CallSlot;
    readonly from: number;
    readonly to: number;
    readonly pairs?: PairSyntax;
}

function find(text: string, slot: CallSlot, pattern: RegExp): Place | undefined {
    const match = pattern.exec(text);
    return match === null ? undefined : { slot, from: match.index, to: match.index + match[0].length };
}

function findJson(text: string, [first, second, third]: SampleCall["values"]): Place | undefined {
    const entries = [`"first": ?"${first}"`, `"second": ?${second}`, `"third": ?"${third}"`];
    return find(text, "arguments", new RegExp(`\\{ ?${entries.join(", ?")} ?\\}`));
}

/** Each argument by itself, behind the name of the tool. */
function findPairs(text: string, tool: string, [first, second, third]: SampleCall["values"]): Place | undefined {
    let at = text.indexOf(tool);
    const gaps: string[] = [];
    for (const part of [tool, "first", first, "second", `${second}`, "third", third]) {
        const found = at < 0 ? -1 : text.indexOf(part, at);
        if (found < 0) return undefined;
        gaps.push(text.slice(at, found));
        at = found + part.length;
    }
    const [, start = "", one = "", afterOne = "", two = "", afterTwo = "", three = ""] = gaps;
    const layout = { start, middles: [one, two, three], gaps: [afterOne, afterTwo], rest: text.slice(at) } as const;
    const read = readPairs(layout);
    if (read === undefined) return undefined;
    const from = text.indexOf(tool) + tool.length + read.lead.length;
    return { slot: "arguments", from, to: text.length - read.close.length, pairs: read.syntax };
}

/** What stands in front of the first end of the turn. */
function cutAt(text: string, ends: readonly string[]): string {
    const places = ends
        .filter((end) => end.trim() !== "")
        .map((end) => text.indexOf(end.trim()))
        .filter((at) => at >= 0);
    return text.slice(0, Math.min(text.length, ...places)).trimEnd();
}

/** Length of what two texts begin with, up to the end of a tag, line or text. */
function commonLength(one: string, other: string): number {
    let length = 0;
    while (length < one.length && one[length] === other[length]) length++;
    while (length > 0 && length < one.length && !/[>\]\n]/.test(one[length - 1] ?? "")) length--;
    return length;
}
