/** Server-sent events: an answer while it is being written. */

import { Readable } from "node:stream";
import type { FastifyReply } from "fastify";
import { noteFailure, type Failure } from "./failures.js";

/** One event. */
export interface ServerEvent {
    /** Its name; most protocols have none. */
    readonly event?: string;
    readonly data: unknown;
}

/**
 * Sends events as they come. What fails in the middle is an event itself.
 *
 * @param explain - the event of a failure, as the protocol has it
 */
export function sendEvents(
    reply: FastifyReply,
    events: AsyncIterable<ServerEvent> | Iterable<ServerEvent>,
    explain: (failure: Failure) => ServerEvent,
): FastifyReply {
    async function* lines(): AsyncGenerator<string, void, void> {
        try {
            for await (const event of events) yield write(event);
        } catch (error) {
            if (reply.raw.destroyed) return;
            const failure = noteFailure(error, reply.request);
            reply.log[failure.status < 500 ? "info" : "error"]({ err: error }, "failed in the middle of an answer");
            yield write(explain(failure));
        }
    }
    return reply
        .header("content-type", "text/event-stream; charset=utf-8")
        .header("cache-control", "no-cache, no-transform")
        .header("x-accel-buffering", "no")
        .send(Readable.from(lines()));
}

function write({ event, data }: ServerEvent): string {
    const text = typeof data === "string" ? data : JSON.stringify(data);
    return `${event === undefined ? "" : `event: ${event}\n`}data: ${text}\n\n`;
}
