/** Answers that are being written: each in a place of its own, several of one request beside each other. */

import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { soloView } from "../chat/solo.js";
import { complete } from "../decoding/complete.js";
import type { Completion, CompletionOptions, CompletionPart, FinishPart } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import { show } from "../options.js";
import { RequestError } from "./failures.js";
import type { ServedModels } from "./models.js";
import type { Asker, Places } from "./places.js";

/** What somebody wants to be answered. */
export interface AnswerRequest {
    /** Undefined: the first one. */
    readonly model: string | undefined;
    /** In front of the id that the answer gets. */
    readonly prefix: string;
    /** Each is an answer of its own, its prompt too. */
    readonly choices: readonly CompletionOptions[];
    /** At most one call of each answer; further ones are left out. */
    readonly isOneCall?: boolean | undefined;
    /** The member that answers by itself; undefined: the target. */
    readonly solo?: string | undefined;
}

/** A part of one of the answers. */
export interface ChoicePart {
    readonly index: number;
    readonly part: CompletionPart;
}

/** Answers to one request. */
export interface Answers {
    readonly id: string;
    /** Id of the model, whichever of its members answers. */
    readonly model: string;
    readonly ensemble: Ensemble;
    /** Seconds since 1970. */
    readonly created: number;
    /** As they come; has to be read to its end or left. */
    readonly parts: AsyncGenerator<ChoicePart, void, void>;
}

/** Who asks, and may turn the dials of the answer. */
export interface Client extends Asker {
    /** Told of each part, also of those that are left out. */
    readonly onPart: (part: ChoicePart, model: string) => void;
}

export interface AnswerDesk {
    /**
     * Begins answers; resolves when the first part of one is there, so that what is wrong with the request comes out first.
     *
     * @throws EftError what `complete()` throws, at once or from its iterator; BUSY, RECIPE_NOT_FOUND, what loading throws
     */
    begin(request: AnswerRequest, client: Client): Promise<Answers>;
    /**
     * Turns the dials of an answer that is being written.
     *
     * @param key - of who asked for it. @returns whether there is one. @throws EftError PARAMETER_*
     */
    turn(id: string, key: string, parameters: Readonly<Record<string, number>>): boolean;
    /** Ends all that are being written, each with a finish reason, and those that wait with an error. */
    end(): void;
}

interface Running {
    readonly key: string;
    readonly completions: readonly Completion[];
}

interface Choice {
    readonly completion: Completion;
    /** Ends it where nothing more of it is wanted. */
    readonly enough: AbortController;
}

interface Writing extends Asker {
    readonly isOneCall: boolean;
    readonly onPart: (part: CompletionPart) => void;
}

/** @param onFinish - told of each answer that has ended by itself */
export function createAnswerDesk(
    models: ServedModels,
    places: Places,
    onFinish: (model: string, finish: FinishPart) => void,
): AnswerDesk {
    const running = new Map<string, Running>();
    const ending = new AbortController();

    async function* write(
        { completion, enough }: Choice,
        { key, signal, onPart, isOneCall }: Writing,
    ): AsyncGenerator<CompletionPart> {
        const leave = await places.take({ key, signal });
        try {
            let calls = 0;
            for await (const part of completion) {
                const isCall = part.type === "tool-call";
                const isEnd = part.type === "finish" && enough.signal.aborted && !signal.aborted;
                const told = isEnd ? { ...part, reason: "tool-calls" as const } : part;
                calls += Number(isCall);
                onPart(told);
                if (!isCall || calls === 1 || !isOneCall) yield told;
                // What would be left out need not be written.
                if (isCall && isOneCall) enough.abort();
            }
        } finally {
            leave();
        }
    }

    return {
        async begin({ model, prefix, choices, isOneCall = false, solo }, { key, signal: gone, onPart: tell }) {
            const left = new AbortController();
            const signal = AbortSignal.any([gone, left.signal, ending.signal]);
            // Each of the answers listens.
            setMaxListeners(0, signal);
            const { ensemble: loaded, release } = await models.use(model, { key, signal });
            const id = `${prefix}${randomUUID().replaceAll("-", "")}`;
            try {
                places.checkRoom(key);
                const ensemble = answererOf(loaded, solo);
                const { name } = loaded.recipe;
                const written = choices.map((options): Choice => {
                    const enough = new AbortController();
                    const each = AbortSignal.any([signal, enough.signal]);
                    return { enough, completion: complete(ensemble, { ...options, signal: each }) };
                });
                running.set(id, { key, completions: written.map(({ completion }) => completion) });
                const onPart = (index: number, part: CompletionPart): void => {
                    if (part.type === "finish") onFinish(name, part);
                    tell({ index, part }, name);
                };
                const parts = mergeParts(
                    written.map((choice, index) =>
                        write(choice, { key, signal, isOneCall, onPart: (part) => onPart(index, part) }),
                    ),
                    end,
                );
                // Also where nobody has begun to read, whom a generator's end does not tell.
                gone.addEventListener("abort", () => void parts.return(), { once: true });
                const first = await parts.next();
                return {
                    ...{ id, model: name, ensemble, created: Math.floor(Date.now() / 1000) },
                    parts: goOn(first, parts),
                };
            } catch (error) {
                end();
                if (gone.aborted || !ending.signal.aborted) throw error;
                throw new EftError("ABORTED", "The server is shutting down.", { cause: error });
            }
            async function* goOn(
                first: IteratorResult<ChoicePart, void>,
                rest: AsyncGenerator<ChoicePart, void, void>,
            ): AsyncGenerator<ChoicePart, void, void> {
                try {
                    if (!first.done) yield first.value;
                    yield* rest;
                } finally {
                    await rest.return();
                }
            }
            function end(): void {
                // What a reader has left must not go on, not even until its next token.
                left.abort();
                running.delete(id);
                release();
            }
        },
        turn(id, key, parameters) {
            const found = running.get(id);
            if (found?.key !== key) return false;
            for (const completion of found.completions) completion.setParameters(parameters);
            return true;
        },
        end() {
            ending.abort();
        },
    };
}

/** Who answers: the target, or a member by itself. @throws RequestError for what is none of its members */
export function answererOf(ensemble: Ensemble, solo: string | undefined): Ensemble {
    const { members, recipe } = ensemble;
    if (solo === undefined) return ensemble;
    if (members.some(({ name }) => name === solo)) return soloView(ensemble, solo);
    const all = members.map(({ name }) => name).join(", ");
    throw new RequestError(400, `eft.solo must be one of the members of ${recipe.name}, ${all}, not ${show(solo)}.`, {
        param: "eft.solo",
        code: "unknown_member",
    });
}

/** The parts of one of the answers. */
export async function* partsOf({ parts }: Answers, index: number): AsyncGenerator<CompletionPart, void, void> {
    for await (const choice of parts) if (choice.index === index) yield choice.part;
}

/** The parts of several answers in the order in which they come. The first failure ends all. */
async function* mergeParts(
    sources: readonly AsyncGenerator<CompletionPart>[],
    onEnd: () => void,
): AsyncGenerator<ChoicePart, void, void> {
    /** What has come, and has not been handed on. */
    const come: { readonly index: number; readonly outcome: PromiseSettledResult<IteratorResult<CompletionPart>> }[] =
        [];
    let wake = (): void => undefined;
    const pull = async (index: number): Promise<void> => {
        const [outcome] = await Promise.allSettled([(sources[index] as AsyncGenerator<CompletionPart>).next()]);
        come.push({ index, outcome });
        wake();
    };
    let running = sources.length;
    try {
        sources.forEach((_, index) => void pull(index));
        while (running > 0) {
            const next = come.shift();
            if (next === undefined) {
                await new Promise<void>((resolve) => (wake = resolve));
                continue;
            }
            const { index, outcome } = next;
            if (outcome.status === "rejected") throw outcome.reason;
            if (outcome.value.done) {
                running--;
                continue;
            }
            yield { index, part: outcome.value.value };
            void pull(index);
        }
    } finally {
        onEnd();
        await Promise.all(sources.map((source) => source.return(undefined)));
    }
}
