/** Messages whose values would take seconds and most of the memory if they were expanded before they are counted. */

import { describe, expect, it } from "@jest/globals";
import { MAX_PROMPT_CHARACTERS, checkRendererMessage } from "../../src/electron/validate.js";

// Made where they are used: a table of them would be printed into the names of the tests.
const LARGE: Readonly<Record<string, () => unknown>> = {
    "a large buffer": () => new Uint8Array(2 ** 28),
    "a long list": () => new Array<unknown>(2 ** 32 - 1),
    "a text as an object": () => Object("x".repeat(2 ** 28)) as unknown,
};

function messageWith(options: object): unknown {
    return { protocol: 1, type: "complete", id: 9, options: { prompt: "x", ...options } };
}

describe.each(Object.keys(LARGE))("%s", (name) => {
    const refused = expect.objectContaining({ code: "MESSAGE_INVALID" }) as unknown as Error;

    it.each(["prompt", "sampling", "stop", "jsonSchema", "templateVariables"])("is refused as %s", (option) => {
        const value = LARGE[name]?.();
        expect(() => checkRendererMessage(messageWith({ [option]: value }))).toThrow(refused);
    });

    it("is refused as a message, and as what a message says", () => {
        const value = LARGE[name]?.();
        expect(() => checkRendererMessage(value)).toThrow(refused);
        expect(() => checkRendererMessage(messageWith({ prompt: [{ role: "user", content: value }] }))).toThrow(
            refused,
        );
    });
});

it("a prompt may be a list of token ids, and nothing else that holds numbers", () => {
    expect(() => checkRendererMessage(messageWith({ prompt: [1, 2], raw: true }))).not.toThrow();
    for (const prompt of [Int32Array.of(1, 2), [1.5], [1, "2"], [1, { role: "user", content: "x" }]])
        expect(() => checkRendererMessage(messageWith({ prompt, raw: true }))).toThrow(
            expect.objectContaining({ code: "MESSAGE_INVALID" }),
        );
});

it("a prompt may be as long as is documented, and no longer", () => {
    const message = messageWith({ prompt: "x".repeat(MAX_PROMPT_CHARACTERS) });
    expect(() => checkRendererMessage(message)).not.toThrow();
    expect(() => checkRendererMessage(messageWith({ prompt: "x".repeat(MAX_PROMPT_CHARACTERS + 1) }))).toThrow(
        `more than ${MAX_PROMPT_CHARACTERS} characters`,
    );
});
