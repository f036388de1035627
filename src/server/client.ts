/** Who asks, as answers need to know it. */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { Client } from "./answers.js";

/** @returns with a signal that fires when the connection is gone, or the reply has been sent */
export function clientOf(request: FastifyRequest, reply: FastifyReply): Client {
    const gone = new AbortController();
    reply.raw.once("close", () => gone.abort());
    return { key: request.client, signal: gone.signal };
}
