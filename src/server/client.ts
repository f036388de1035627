/** Who asks, as answers need to know it; and what the log says of what was asked and answered. */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Client } from "./answers.js";
import type { Note } from "./asking.js";
import { createUsageSum } from "./openai/usage.js";

/** Kinds of things without effect that the log names. */
const MOST_NOTED = 20;

/** @returns with a signal that fires when the connection is gone, or the reply has been sent */
export function clientOf(request: FastifyRequest, reply: FastifyReply): Client {
    const gone = new AbortController();
    const { socket } = request.raw;
    const leave = (): void => {
        socket.off("close", leave);
        gone.abort();
    };
    if (reply.raw.destroyed || socket.destroyed) gone.abort();
    else {
        reply.raw.once("close", leave);
        // As many as somebody sends at once.
        socket.setMaxListeners(0);
        // Who sends requests before earlier ones are answered may go before this one's reply has a connection that could close.
        socket.once("close", leave);
    }
    const { notes } = request;
    const texts: string[] = [];
    const sum = createUsageSum();
    if (request.logsTexts) Object.assign(notes, { body: request.body, answers: texts });
    return {
        key: request.client,
        signal: gone.signal,
        onPart({ index, part }, model) {
            if (request.logsTexts) texts[index] = (texts[index] ?? "") + part.text;
            if (part.type !== "finish") return;
            sum.add(part);
            const { prompt, cached, completion } = sum.read();
            const counts = { promptTokens: prompt, cachedTokens: cached, tokens: completion };
            Object.assign(notes, { model, ...counts, finish: part.reason });
        },
    };
}

/** Collects what of a request has no effect, for its line in the log. */
export function noteOf({ notes }: FastifyRequest): Note {
    const left = new Set<string>();
    return (what) => {
        if (left.size < MOST_NOTED) left.add(what);
        notes["left out"] = [...left];
    };
}
