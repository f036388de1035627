/** What an answer may be made of: text, thoughts, calls of tools. */

import { randomInt } from "node:crypto";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { EftError } from "../errors.js";
import type { CallSyntax } from "../prompts/call-syntax.js";
import { CHANNEL_MARKS, FINAL, type ChannelMarks } from "../prompts/channels.js";
import type { ValueMarks } from "../prompts/pair-syntax.js";
import { answerTraits } from "../prompts/prompt.js";
import type { ToolUse } from "../prompts/tool-messages.js";
import { allowsArguments } from "../tools/allows-arguments.js";
import type { AnswerSyntax } from "../tools/answer-reader.js";
import { createCallParser } from "../tools/call-parser.js";
import { createMarks, type Marks } from "../tools/marks.js";
import { isTextArgument } from "../tools/pair-grammar.js";
import type { ResolvedTool } from "../tools/types.js";
import type { JsonValue } from "../types.js";
import type { CompletionOptions, CompletionPart, FinishPart } from "./completion.js";
import type { DrawnPart } from "./loop.js";

export interface AnswerPlan {
    /** What the prompt tells of. */
    readonly use: ToolUse | undefined;
    /** Undefined: an answer is text and nothing else. */
    readonly syntax: AnswerSyntax | undefined;
    /** What ends the thoughts that the prompt begins, as the template writes it; undefined: it begins none. */
    readonly thinkingEnd: string | undefined;
    /** What a grammar lets be called. */
    readonly calls: ToolUse | undefined;
    /** There has to be a call. */
    readonly isForced: boolean;
    /** There is one call at most. */
    readonly isOne: boolean;
    /** What a grammar puts in front of an answer that is no call. */
    readonly textBegin: string;
    /** A space in front of the answer is the template's, and not part of it. */
    readonly dropsSpace: boolean;
}

const TEXT_ALONE: AnswerPlan = {
    ...{ use: undefined, syntax: undefined, thinkingEnd: undefined, calls: undefined },
    ...{ isForced: false, isOne: false, textBegin: "", dropsSpace: false },
};

type AnswerOptions = Pick<
    CompletionOptions,
    "raw" | "grammar" | "jsonSchema" | "tools" | "toolChoice" | "templateVariables"
>;

/** @param options - checked. @throws EftError OPTION_INVALID */
export function resolveAnswer(ensemble: Ensemble, options: Partial<AnswerOptions>): AnswerPlan {
    const { raw = false, grammar, jsonSchema, toolChoice = "auto", templateVariables = {} } = options;
    const given = (options.tools ?? []) as readonly ResolvedTool[];
    const chosen = typeof toolChoice === "object" ? toolChoice.tool : undefined;
    const isForced = chosen !== undefined || toolChoice === "required";
    const invalid = (reason: string): never => {
        throw new EftError("OPTION_INVALID", reason);
    };
    if (isForced && given.length === 0) invalid("toolChoice asks for a call, and there are no tools; give `tools`.");
    if (chosen !== undefined && given.every(({ name }) => name !== chosen))
        invalid(`toolChoice names ${chosen}; there are the tools ${given.map(({ name }) => name).join(", ")}.`);
    if (isForced && jsonSchema !== undefined)
        invalid("toolChoice asks for a call, and jsonSchema for an answer in JSON; give one of them.");
    const tools = toolChoice === "none" ? [] : given;
    if (tools.length > 0 && (raw || grammar !== undefined))
        invalid(`tools and ${raw ? "raw" : "grammar"} exclude each other; leave one of them out.`);
    if (raw || grammar !== undefined) return TEXT_ALONE;

    const traits = answerTraits(ensemble.members);
    const { thinking } = traits;
    const { speaker } = ensemble.texts;
    const { model, prompt } = ensemble.members[speaker] as Member;
    const dropsSpace = prompt.script.spacesAnswers;
    const { hasChannels } = traits;
    if (thinking === undefined && tools.length === 0 && !hasChannels) return { ...TEXT_ALONE, dropsSpace };
    const { controlTokens } = ensemble.vocabulary;
    const marks = createMarks(model, (token) => controlTokens[token] === 1);
    const use = tools.length === 0 ? undefined : { tools, syntax: traits.syntax };
    const markValue = ({ middle, end }: ValueMarks): ValueMarks => ({
        middle: marks.mark(middle),
        end: marks.mark(end),
    });
    const marked = ({ open, call, between, close, pairs }: CallSyntax): CallSyntax => ({
        open: marks.mark(open),
        call: call.map((piece) => (typeof piece === "object" ? { text: marks.mark(piece.text) } : piece)),
        between: between === undefined ? undefined : marks.mark(between),
        close: marks.mark(close),
        pairs: pairs && {
            before: marks.mark(pairs.before),
            between: marks.mark(pairs.between),
            text: markValue(pairs.text),
            other: markValue(pairs.other),
            quote: pairs.quote && { begin: marks.mark(pairs.quote.begin), end: marks.mark(pairs.quote.end) },
        },
    });
    const isText = (tool: string, argument: string): boolean => {
        const known = tools.find(({ name }) => name === tool);
        return known !== undefined && isTextArgument(known, argument);
    };
    const accepts = (tool: string, values: Readonly<Record<string, JsonValue>>): boolean => {
        const known = tools.find(({ name }) => name === tool);
        return known !== undefined && allowsArguments(known, values);
    };
    const isEither = use !== undefined && jsonSchema !== undefined;
    const names = new Set(tools.map(({ name }) => name));
    const beginsThinking = !hasChannels && traits.beginsThinking(templateVariables);
    const called = chosen === undefined ? tools : tools.filter(({ name }) => name === chosen);
    return {
        use,
        syntax: {
            marks,
            thinking: thinking && { begin: marks.mark(thinking.begin), end: marks.mark(thinking.end) },
            beginsThinking,
            form: isEither ? "either" : isForced ? "calls" : jsonSchema === undefined ? "free" : "json",
            calls: use && createCallParser(marked(use.syntax), { names, isText, ...(isEither && { accepts }) }),
            channels: hasChannels ? { marks: markAll(marks), names } : undefined,
        },
        thinkingEnd: beginsThinking ? thinking?.end : undefined,
        calls: use && (isForced || jsonSchema !== undefined) ? { ...use, tools: called } : undefined,
        isForced,
        isOne: chosen !== undefined,
        dropsSpace,
        textBegin: hasChannels ? FINAL : "",
    };
}

function markAll(marks: Marks): ChannelMarks {
    const entries = Object.entries(CHANNEL_MARKS).map(([name, text]) => [name, marks.mark(text)]);
    return Object.fromEntries(entries) as ChannelMarks;
}

/** Thoughts and calls as parts of their own: thoughts in front of the token that they became certain with, calls behind it. */
export async function* separateParts(
    parts: AsyncGenerator<DrawnPart, void, void>,
): AsyncGenerator<CompletionPart, void, void> {
    const ids = new Set<string>();
    for await (const { thinking, calls: called, ...part } of parts) {
        // Where one token ends thoughts and begins the answer, the thoughts came first.
        if (thinking !== "") yield { type: "thinking", thinking, text: "" };
        if (part.type === "token") yield part;
        for (const { id: written = "", ...call } of called) {
            // Models write ids again that they have seen.
            let id = written;
            while (id === "" || ids.has(id)) id = createId();
            ids.add(id);
            yield { type: "tool-call", id, ...call, text: "" };
        }
        if (part.type === "finish") yield finish(part, ids.size);
    }
}

function finish(part: FinishPart, calls: number): FinishPart {
    return part.reason === "stop" && calls > 0 ? { ...part, reason: "tool-calls" } : part;
}

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Nine letters and digits: the templates of some families take no other. */
function createId(): string {
    return Array.from({ length: 9 }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}
