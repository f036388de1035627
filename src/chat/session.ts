/** A conversation: turns, dials and answers. The caches need no care here, since prompts that begin alike share them. */

import { randomInt } from "node:crypto";
import { resolveAnswer } from "../decoding/answer.js";
import { complete, COMPLETION_OPTIONS } from "../decoding/complete.js";
import { toCompletion, type Completion, type CompletionPart } from "../decoding/completion.js";
import { resolveSampling } from "../decoding/sampling.js";
import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import type { ChatMessage } from "../prompts/messages.js";
import type { ToolCall } from "../tools/types.js";
import { EftError } from "../errors.js";
import { callback, checkInteger, checkOptions, mapping, string, unchecked, type OptionTable } from "../options.js";
import { resolveParameters } from "../recipe/index.js";
import { checkState } from "./document.js";
import { createReplay, recordDials, type Recording } from "./replay.js";
import type { AnswerOptions, ChatOptions, ChatSession, ChatTurn } from "./types.js";
import { withResults } from "./tool-results.js";
import { chooseForgotten, isWaiting, messagesFor, messagesOf, type Conversation, type Question } from "./window.js";

const { prompt: _prompt, raw: _raw, ...ANSWER_OPTIONS } = COMPLETION_OPTIONS;
const { signal: _signal, ...SESSION_OPTIONS } = ANSWER_OPTIONS;
/** The conversation itself is checked as saved ones are. */
const CHAT_OPTIONS: OptionTable<ChatOptions> = {
    ...{ system: unchecked, turns: unchecked, forgotten: unchecked, onForget: callback },
    ...SESSION_OPTIONS,
};

/**
 * Begins a conversation, or goes on with a saved one.
 *
 * @throws EftError OPTION_INVALID, CHAT_INVALID, COMBINATION_*, PARAMETER_*, DISPOSED
 */
export function createChat(ensemble: Ensemble, options: ChatOptions = {}): ChatSession {
    checkEnsemble("createChat", ensemble);
    const checked = checkOptions("createChat", options, CHAT_OPTIONS);
    const { system, turns = [], forgotten = 0, parameters: given = {}, seed, onForget, ...defaults } = checked;
    let conversation: Conversation = { system, turns, forgotten };
    checkState({ ...conversation, parameters: given }, "The conversation");
    let parameters = given;
    let sampling = defaults.sampling;
    let nextSeed = seed;
    let active: Recording | undefined;
    let last: { readonly recording: Recording; readonly prompt: readonly ChatMessage[] } | undefined;

    const checkAnswer = (own: unknown): AnswerOptions => checkOptions<AnswerOptions>("An answer", own, ANSWER_OPTIONS);

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
    function answer(before: readonly ChatTurn[], question: Question, options: AnswerOptions = {}): Completion {
        const own = checkAnswer(options);
        string("What the user says", question.user);
        const asked = conversation;
        const previous = { ...asked, turns: before, forgotten: Math.min(asked.forgotten, before.length) };
        const drawn = overlay(own);
        let shown = previous;
        const recording = recordDials(ensemble, { ...drawn, seed: drawn.seed ?? takeSeed() }, ({ use }) => async () => {
            const { forgotten, prompts } = await chooseForgotten(ensemble, previous, question, drawn, use);
            shown = { ...previous, forgotten };
            if (forgotten > previous.forgotten) onForget?.(before.slice(previous.forgotten, forgotten));
            return prompts;
        });

        async function* write(): AsyncGenerator<CompletionPart, void, void> {
            checkIdle();
            if (conversation !== asked) {
                throw new EftError(
                    "CHAT_BUSY",
                    "The conversation has gone on since this answer was asked for; ask again.",
                );
            }
            active = recording;
            let [text, thinking] = ["", ""];
            const calls: ToolCall[] = [];
            let keep = false;
            let finished = false;
            const commit = (): void => {
                active = undefined;
                if (!keep) return;
                const turn: ChatTurn =
                    calls.length === 0
                        ? { ...question, answer: text }
                        : {
                              ...question,
                              steps: [...(question.steps ?? []), { ...(thinking && { thinking }), text, calls }],
                              answer: "",
                          };
                conversation = { ...shown, turns: [...before, turn] };
                last = { recording, prompt: messagesFor(shown, question) };
            };
            try {
                for await (const part of recording.completion) {
                    // The template's white space is in the prompt of the next turn anyway.
                    const shownText = text === "" ? part.text.trimStart() : part.text;
                    text += shownText;
                    if (part.type === "thinking") thinking += part.thinking;
                    if (part.type === "tool-call")
                        calls.push({ id: part.id, name: part.name, arguments: part.arguments });
                    finished = part.type === "finish";
                    keep = text !== "" || calls.length > 0 || (part.type === "finish" && part.reason !== "abort");
                    if (finished) commit();
                    yield part.type === "token" || part.type === "finish" ? { ...part, text: shownText } : part;
                }
            } catch (error) {
                keep = false;
                throw error;
            } finally {
                if (!finished) commit();
            }
        }
        return toCompletion(write(), {
            setParameters: (values: Readonly<Record<string, number>>) => recording.completion.setParameters(values),
        });
    }

    function lastTurn(): ChatTurn {
        const turn = conversation.turns.at(-1);
        if (turn === undefined) throw new EftError("CHAT_EMPTY", "Nothing has been said yet; send something first.");
        return turn;
    }

    function checkSettled(): void {
        const last = conversation.turns.at(-1);
        if (last === undefined || !isWaiting(last)) return;
        throw new EftError(
            "CHAT_BUSY",
            "The last answer called tools whose results are missing; give them with sendResults(), or call regenerate().",
        );
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
            const turned = mapping<number>("What setParameters takes", values);
            resolveParameters(ensemble.recipe, turned);
            parameters = { ...parameters, ...turned };
            active?.completion.setParameters(turned);
        },
        setSampling(values) {
            const { seed: first = nextSeed, ...own } = mapping<number>("What setSampling takes", values);
            // Never started; for its checks.
            complete(ensemble, { ...overlay({ sampling: own }), seed: first, prompt: "" });
            sampling = { ...sampling, ...own };
            nextSeed = first;
        },
        setSystem(text) {
            checkIdle();
            conversation = {
                ...conversation,
                system: text === undefined ? text : string("The system prompt", text),
            };
        },
        send(text, own) {
            checkSettled();
            return answer(conversation.turns, { user: text }, own);
        },
        sendResults(results, own) {
            const turn = conversation.turns.at(-1);
            if (turn === undefined || !isWaiting(turn)) {
                throw new EftError(
                    "OPTION_INVALID",
                    "sendResults: the last answer called nothing that has no result yet.",
                );
            }
            return answer(conversation.turns.slice(0, -1), withResults(turn, results), own);
        },
        regenerate: (own) => answer(conversation.turns.slice(0, -1), { user: lastTurn().user }, own),
        edit(turn, text, own) {
            lastTurn();
            checkInteger("The turn", turn, 0, conversation.turns.length - 1);
            return answer(conversation.turns.slice(0, turn), { user: text }, own);
        },
        repeat(own = {}) {
            if (last === undefined) {
                throw new EftError("CHAT_EMPTY", "This session has not answered anything yet; send something first.");
            }
            return createReplay(ensemble, last.recording, last.prompt, checkAnswer(own));
        },
        async render(text, own = {}) {
            string("What the user says", text);
            const drawn = overlay(checkAnswer(own));
            const { use } = resolveAnswer(ensemble, drawn);
            const { prompts } = await chooseForgotten(ensemble, conversation, { user: text }, drawn, use);
            return Object.fromEntries(ensemble.members.map(({ name }, index) => [name, prompts[index]?.text ?? ""]));
        },
        fork(count = conversation.turns.length) {
            checkInteger("The number of turns", count, 0, conversation.turns.length);
            return createChat(ensemble, {
                ...checked,
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
