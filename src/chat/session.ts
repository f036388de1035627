/** A conversation: turns, dials and answers. The caches need no care here, since prompts that begin alike share them. */

import { randomInt } from "node:crypto";
import { complete } from "../decoding/complete.js";
import type { Completion, CompletionOptions, FinishPart, TokenPart } from "../decoding/completion.js";
import { resolveSampling } from "../decoding/sampling.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { checkInteger, checkKeys, checkText } from "../options.js";
import type { ChatMessage } from "../ensemble/prompt.js";
import { EftError } from "../errors.js";
import { resolveParameters } from "../recipe/index.js";
import { checkState } from "./document.js";
import { createReplay, recordDials, type Recording } from "./replay.js";
import type { AnswerOptions, ChatOptions, ChatSession, ChatTurn } from "./types.js";
import { chooseForgotten, messagesFor, messagesOf, type Conversation } from "./window.js";

const ANSWER_OPTIONS = Object.keys({
    ...{ maxTokens: 1, sampling: 1, seed: 1, stop: 1, logitBias: 1, grammar: 1, jsonSchema: 1, parameters: 1 },
    ...{ speculation: 1, topLogprobs: 1, memberLogprobs: 1, explain: 1, scores: 1, signal: 1 },
} satisfies Record<keyof AnswerOptions, 1>);
const CHAT_OPTIONS = [
    ...["system", "turns", "forgotten", "onForget"],
    ...ANSWER_OPTIONS.filter((name) => name !== "signal"),
];

/**
 * Begins a conversation, or goes on with a saved one.
 *
 * @throws EftError OPTION_INVALID, CHAT_INVALID, COMBINATION_*, PARAMETER_*, DISPOSED
 */
export function createChat(ensemble: Ensemble, options: ChatOptions = {}): ChatSession {
    checkObject("What createChat takes", options);
    checkKeys("createChat", options, CHAT_OPTIONS);
    const { system, turns = [], forgotten = 0, parameters: given = {}, seed, onForget, ...defaults } = options;
    let conversation: Conversation = { system, turns, forgotten };
    checkState({ ...conversation, parameters: given }, "The conversation");
    let parameters = given;
    let sampling = defaults.sampling;
    let nextSeed = seed;
    let active: Recording | undefined;
    let last: Recording | undefined;

    /** Dials and sampling of an answer overlay the session's one by one, the rest as a whole. */
    const overlay = (own: AnswerOptions): AnswerOptions => ({
        ...defaults,
        ...own,
        parameters: { ...parameters, ...own.parameters },
        sampling: { ...sampling, ...own.sampling },
    });
    // Never started; for its checks, so that a mistake is an error here and not at the first answer.
    complete(ensemble, { ...overlay({}), seed, prompt: "" });

    function takeSeed(): number {
        if (nextSeed === undefined) return randomInt(2 ** 32);
        const taken = nextSeed;
        nextSeed = taken === Number.MAX_SAFE_INTEGER ? 0 : taken + 1;
        return taken;
    }

    /** @param before - what precedes the question */
    function answer(before: readonly ChatTurn[], question: string, own: AnswerOptions = {}): Completion {
        checkText("What the user says", question);
        checkObject("What an answer takes besides", own);
        checkKeys("An answer", own, ANSWER_OPTIONS);
        const asked = conversation;
        const previous = { ...asked, turns: before, forgotten: Math.min(asked.forgotten, before.length) };
        const drawn = overlay(own);
        const shown = {
            ...previous,
            forgotten: chooseForgotten(ensemble, previous, question, drawn.maxTokens),
        };
        const request: CompletionOptions = {
            ...drawn,
            seed: drawn.seed ?? takeSeed(),
            prompt: messagesFor(shown, question),
        };
        const recording = recordDials(ensemble, request);

        async function* write(): AsyncGenerator<TokenPart | FinishPart, void, void> {
            checkIdle();
            if (conversation !== asked) {
                throw new EftError(
                    "CHAT_BUSY",
                    "The conversation has gone on since this answer was asked for; ask again.",
                );
            }
            active = recording;
            let text = "";
            let keep = false;
            let finished = false;
            const commit = (): void => {
                active = undefined;
                if (!keep) return;
                conversation = { ...shown, turns: [...before, { user: question, answer: text }] };
                last = recording;
            };
            try {
                if (shown.forgotten > previous.forgotten) {
                    onForget?.(before.slice(previous.forgotten, shown.forgotten));
                }
                for await (const part of recording.completion) {
                    // The template's white space is in the prompt of the next turn anyway.
                    const shownText = text === "" ? part.text.trimStart() : part.text;
                    text += shownText;
                    finished = part.type === "finish";
                    keep = text !== "" || (part.type === "finish" && part.reason !== "abort");
                    if (finished) commit();
                    yield { ...part, text: shownText };
                }
            } catch (error) {
                keep = false;
                throw error;
            } finally {
                if (!finished) commit();
            }
        }
        return Object.assign(write(), {
            setParameters: (values: Readonly<Record<string, number>>) => recording.completion.setParameters(values),
        });
    }

    function lastTurn(): ChatTurn {
        const turn = conversation.turns.at(-1);
        if (turn === undefined) throw new EftError("CHAT_EMPTY", "Nothing has been said yet; send something first.");
        return turn;
    }

    function checkIdle(): void {
        if (active === undefined) return;
        throw new EftError("CHAT_BUSY", "Another answer is being written; wait for its end, or abort it.");
    }

    return {
        get system() {
            return conversation.system;
        },
        get turns() {
            return conversation.turns;
        },
        get forgotten() {
            return conversation.forgotten;
        },
        get messages(): readonly ChatMessage[] {
            const { system, turns } = conversation;
            return [
                ...(system === undefined ? [] : [{ role: "system", content: system } as const]),
                ...messagesOf(turns),
            ];
        },
        get parameters() {
            return { ...ensemble.parameters, ...parameters };
        },
        get sampling() {
            return resolveSampling(ensemble.recipe.sampling, sampling ?? {});
        },
        get busy() {
            return active !== undefined;
        },
        setParameters(values) {
            checkObject("What setParameters takes", values);
            resolveParameters(ensemble.recipe, values);
            parameters = { ...parameters, ...values };
            active?.completion.setParameters(values);
        },
        setSampling(values) {
            checkObject("What setSampling takes", values);
            const { seed: first = nextSeed, ...own } = values;
            // Never started; for its checks.
            complete(ensemble, { ...overlay({ sampling: own }), seed: first, prompt: "" });
            sampling = { ...sampling, ...own };
            nextSeed = first;
        },
        setSystem(text) {
            checkIdle();
            conversation = {
                ...conversation,
                system: text === undefined ? text : checkText("The system prompt", text),
            };
        },
        send: (text, own) => answer(conversation.turns, text, own),
        regenerate: (own) => answer(conversation.turns.slice(0, -1), lastTurn().user, own),
        edit(turn, text, own) {
            lastTurn();
            checkInteger("The turn", turn, 0, conversation.turns.length - 1);
            return answer(conversation.turns.slice(0, turn), text, own);
        },
        repeat(own = {}) {
            if (last === undefined) {
                throw new EftError("CHAT_EMPTY", "This session has not answered anything yet; send something first.");
            }
            return createReplay(ensemble, last, own);
        },
        render(text) {
            const forgotten = chooseForgotten(ensemble, conversation, text, defaults.maxTokens);
            const messages = messagesFor({ ...conversation, forgotten }, text);
            return Object.fromEntries(ensemble.members.map(({ name, prompt }) => [name, prompt.render(messages)]));
        },
        fork(count = conversation.turns.length) {
            checkInteger("The number of turns", count, 0, conversation.turns.length);
            return createChat(ensemble, {
                ...options,
                ...conversation,
                turns: conversation.turns.slice(0, count),
                forgotten: Math.min(conversation.forgotten, count),
                parameters,
                sampling,
                seed: nextSeed,
            });
        },
        toJSON: () => ({ eftChat: 1, recipe: ensemble.recipe.name, ...conversation, parameters }),
    };
}

function checkObject(name: string, value: unknown): void {
    if (typeof value === "object" && value !== null) return;
    throw new EftError("OPTION_INVALID", `${name} must be an object, not ${String(value)}.`);
}
