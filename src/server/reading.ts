/** Texts that are made into tokens, and no more: how long they may be. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { RequestError } from "./failures.js";

/** Some texts take tokenizers quadratic time, a megabyte of them minutes; nobody else's long text is read meanwhile. */
const LEAST_CHARACTERS = 131_072;
/** More than any language has. */
const CHARACTERS_PER_TOKEN = 16;

/**
 * @param given - a text, or whatever prompts are made of
 * @throws RequestError for what is far longer than the context
 */
export function checkLength({ contextSize }: Ensemble, given: unknown, param: string): void {
    const { length } = typeof given === "string" ? given : JSON.stringify(given);
    const most = Math.max(LEAST_CHARACTERS, CHARACTERS_PER_TOKEN * contextSize);
    if (length <= most) return;
    throw new RequestError(400, `${param} has ${length} characters, and at most ${most} are read at once; divide it.`, {
        param,
        code: "context_length_exceeded",
    });
}
