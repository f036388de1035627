/** Server-sent events of an answer. */

import { EventSourceParserStream } from "eventsource-parser/stream";
import { ApiFailure, toFailure, type ErrorBody } from "./failure.js";
import type { Chunk } from "./types.js";

/** @throws ApiFailure for an error in the middle, and where the stream ends before the answer does */
export async function* readChunks(body: ReadableStream<Uint8Array>): AsyncGenerator<Chunk, void, void> {
    const reader = body
        .pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>)
        .pipeThrough(new EventSourceParserStream())
        .getReader();
    try {
        for (;;) {
            const { done, value } = await read(reader);
            if (done) throw new ApiFailure("lost", "The stream has ended too early.");
            if (value.data === "[DONE]") return;
            const event = JSON.parse(value.data) as Chunk & ErrorBody;
            if (event.error !== undefined) throw toFailure(event);
            yield event;
        }
    } finally {
        await reader.cancel().catch(() => undefined);
    }
}

async function read<T>(reader: ReadableStreamDefaultReader<T>): Promise<ReadableStreamReadResult<T>> {
    try {
        return await reader.read();
    } catch (error) {
        throw error instanceof TypeError ? new ApiFailure("lost", "The connection has broken.") : error;
    }
}
