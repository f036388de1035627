/** One answer: asked for, written, turned while it is written, ended. */

import { signal, type Signal } from "@preact/signals";
import { streamChat, turnDials } from "../api/client.js";
import { ApiFailure } from "../api/failure.js";
import type { AnswerReport, ChatRequest, Chunk, TokenReport } from "../api/types.js";
import { sameValues, type Values } from "./dials.js";

/** A piece of the text, with the token that it came with. */
export interface Piece {
    readonly text: string;
    readonly token: TokenReport | undefined;
}

export interface AnswerView {
    readonly status: "waiting" | "running" | "done" | "stopped" | "failed";
    readonly pieces: readonly Piece[];
    readonly thoughts: string;
    /** The dials that it was begun with, and those that it was turned to meanwhile. */
    readonly dials: readonly Values[];
    readonly report: AnswerReport | undefined;
    /** Whether it ends where there was no more room. */
    readonly isCut: boolean;
    readonly failure: ApiFailure | undefined;
}

export interface Answer {
    readonly key: string;
    readonly recipe: string;
    readonly seed: number;
    /** The member that answers by itself; undefined: all of them, fused. */
    readonly member: string | undefined;
    readonly isSpeculating: boolean;
    readonly view: Signal<AnswerView>;
    /** Resolves when it has ended, however. */
    readonly ended: Promise<void>;
    stop(): void;
    /** Turns the dials to where they stand now; at once, or as soon as the server knows the answer. */
    turn(dials: Values): void;
}

let count = 0;

export function textOf({ pieces }: AnswerView): string {
    return pieces.map(({ text }) => text).join("");
}

export function startAnswer(request: ChatRequest): Answer {
    const { solo: member, parameters = {} } = request.eft;
    const controller = new AbortController();
    const view = signal<AnswerView>({
        ...{ status: "waiting", pieces: [], thoughts: "", report: undefined, isCut: false, failure: undefined },
        dials: member === undefined ? [parameters] : [],
    });
    const change = (more: Partial<AnswerView>): void => void (view.value = { ...view.value, ...more });
    const frame = collectFrames(change, view);
    let id: string | undefined;
    let wanted: Values = parameters;
    let isTurning = false;

    /** One request after another, each with the newest dials. */
    async function sendDials(): Promise<void> {
        if (id === undefined || isTurning || member !== undefined) return;
        isTurning = true;
        try {
            for (;;) {
                const dials = wanted;
                const last = view.value.dials.at(-1) ?? {};
                if (view.value.status !== "running" || sameValues(dials, last)) return;
                if (!(await turnDials(id, dials))) return;
                change({ dials: [...view.value.dials, dials] });
            }
        } catch {
            // The answer itself tells what is wrong with the connection.
        } finally {
            isTurning = false;
        }
    }

    async function write(): Promise<void> {
        try {
            for await (const chunk of stream(request, controller.signal)) {
                if (id === undefined) {
                    id = chunk.id;
                    change({ status: "running" });
                    void sendDials();
                }
                frame.add(chunk);
            }
            frame.flush();
            change({ status: "done" });
        } catch (error) {
            frame.flush();
            if (controller.signal.aborted) change({ status: "stopped" });
            else change({ status: "failed", failure: asFailure(error) });
        }
    }

    return {
        isSpeculating: request.eft.speculation,
        ...{ key: `answer-${++count}`, recipe: request.model, seed: request.seed, member, view, ended: write() },
        stop: () => controller.abort(),
        turn(dials) {
            wanted = dials;
            void sendDials();
        },
    };
}

/** A recipe of which no member can draft has nothing to be compared with, and is asked again without. */
async function* stream(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Chunk, void, void> {
    let hasBegun = false;
    try {
        for await (const chunk of streamChat(request, signal)) {
            hasBegun = true;
            yield chunk;
        }
    } catch (error) {
        const isRefused = error instanceof ApiFailure && error.kind === "refused" && /\bdraft/.test(error.message);
        if (hasBegun || !isRefused || !request.eft.explain) throw error;
        yield* streamChat({ ...request, eft: { ...request.eft, explain: false, speculation: false } }, signal);
    }
}

/** Puts what has come into the view, at most once a frame: tokens may come faster than they can be drawn. */
function collectFrames(change: (more: Partial<AnswerView>) => void, view: Signal<AnswerView>) {
    let chunks: Chunk[] = [];
    let frame: number | undefined;
    function flush(): void {
        if (frame !== undefined) cancelAnimationFrame(frame);
        frame = undefined;
        if (chunks.length === 0) return;
        const choices = chunks.flatMap((chunk) => chunk.choices.slice(0, 1));
        chunks = [];
        const pieces = choices.flatMap(({ delta, eft }): Piece[] => {
            const token = eft?.tokens?.[0];
            return (delta.content ?? "") === "" && token === undefined ? [] : [{ text: delta.content ?? "", token }];
        });
        const end = choices.find(({ finish_reason: reason }) => reason !== null);
        change({
            pieces: pieces.length > 0 ? [...view.value.pieces, ...pieces] : view.value.pieces,
            thoughts: view.value.thoughts + choices.map(({ delta }) => delta.reasoning_content ?? "").join(""),
            ...(end !== undefined && {
                report: end.eft as AnswerReport | undefined,
                isCut: end.finish_reason === "length",
            }),
        });
    }
    return {
        add(chunk: Chunk): void {
            chunks.push(chunk);
            frame ??= requestAnimationFrame(flush);
        },
        flush,
    };
}

function asFailure(error: unknown): ApiFailure {
    if (error instanceof ApiFailure) return error;
    return new ApiFailure("failed", error instanceof Error ? error.message : String(error));
}
