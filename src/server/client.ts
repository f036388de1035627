/** Who asks, as answers need to know it; and what the log says of what was asked and answered. */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Client } from "./answers.js";
import { addUsage, NO_USAGE } from "./openai/usage.js";

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
        // Who sends requests before earlier ones are answered may go before this one's reply has a connection that could close.
        socket.once("close", leave);
    }
    const { notes } = request;
    const texts: string[] = [];
    let usage = NO_USAGE;
    if (request.logsTexts) Object.assign(notes, { body: request.body, answers: texts });
    return {
        key: request.client,
        signal: gone.signal,
        onPart({ index, part }, model) {
            if (request.logsTexts) texts[index] = (texts[index] ?? "") + part.text;
            if (part.type !== "finish") return;
            usage = addUsage(usage, part);
            Object.assign(notes, {
                model,
                promptTokens: usage.prompt,
                cachedTokens: usage.cached,
            });
            Object.assign(notes, { tokens: usage.completion, finish: part.reason });
        },
    };
}
