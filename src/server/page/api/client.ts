/** Requests to the server that the page came from. */

import { ApiFailure, readFailure } from "./failure.js";
import { readKey } from "./key.js";
import { readChunks } from "./stream.js";
import type { ChatRequest, Chunk, RecipeInfo } from "./types.js";

/** @throws ApiFailure */
export async function fetchRecipes(): Promise<readonly RecipeInfo[]> {
    const { data } = (await (await send("/v1/eft/recipes")).json()) as { readonly data: readonly RecipeInfo[] };
    return data;
}

/** An answer in chunks. @throws ApiFailure, at once or in the middle; an AbortError */
export async function* streamChat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<Chunk, void, void> {
    const { body } = await send("/v1/chat/completions", { ...request, stream: true }, signal);
    if (body !== null) yield* readChunks(body);
}

/** Turns the dials of a running answer. @returns false: it has ended. @throws ApiFailure */
export async function turnDials(id: string, parameters: Readonly<Record<string, number>>): Promise<boolean> {
    try {
        await send("/v1/eft/control", { id, parameters });
        return true;
    } catch (error) {
        if (error instanceof ApiFailure && error.code === "not_running") return false;
        throw error;
    }
}

async function send(path: string, body?: object, signal?: AbortSignal): Promise<Response> {
    const key = readKey();
    const headers = {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...(key !== "" && { authorization: `Bearer ${key}` }),
    };
    const response = await reach(path, {
        method: body === undefined ? "GET" : "POST",
        headers,
        credentials: "omit",
        ...(body !== undefined && { body: JSON.stringify(body) }),
        ...(signal !== undefined && { signal }),
    });
    if (!response.ok) throw await readFailure(response);
    return response;
}

/** A request that nobody answers fails with a TypeError, whatever the reason. */
async function reach(path: string, init: RequestInit): Promise<Response> {
    try {
        return await fetch(path, init);
    } catch (error) {
        throw error instanceof TypeError ? new ApiFailure("lost", "The server cannot be reached.") : error;
    }
}
