/** From tokens to text: characters and stop strings that are spread over several tokens. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { createAnswerReader } from "../../src/tools/answer-reader.js";
import { collect, complete, type Ensemble, type Member } from "../../src/index.js";
import { loadOnCpu, QUESTIONS, upscalingRecipe } from "../helpers/demo.js";

const EOS = 2;
/** `<0x00>`, the first of the 256 tokens that stand for a byte. */
const FIRST_BYTE = 5;
const LONE_SURROGATE = /\p{Surrogate}/u;

let ensemble: Ensemble;
let model: Member["model"];
beforeAll(async () => {
    ensemble = await loadOnCpu(upscalingRecipe());
    model = (ensemble.members[0] as Member).model;
});
afterAll(() => ensemble.dispose());

/** Streams the tokens of a text; returns what each of them made certain, and the rest. */
function stream(text: string, stop: readonly string[] = []): { pieces: string[]; stoppedBy: string | undefined } {
    const textStream = createAnswerReader(model, stop);
    const tokens = model.tokenize(text, false, false);
    const pieces = Array.from(tokens, (token) => textStream.push(token).text);
    return { pieces: [...pieces, textStream.flush(false).text], stoppedBy: textStream.stoppedBy };
}

/** Texts of words, of characters of one to four bytes, of pieces that repeat. */
const texts = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 30 }),
    fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "€", "🇵🇪", "👩‍🚀"), maxLength: 30 }),
    fc
        .array(fc.constantFrom(" Lima", " is", " the", " capital", ".", "\n", " 日本"), { maxLength: 12 })
        .map((w) => w.join("")),
);

test("a text comes through whole, in whole characters", () => {
    fc.assert(
        fc.property(texts, (text) => {
            const { pieces } = stream(text);
            expect(pieces.join("")).toBe(text);
            for (const piece of pieces) expect(piece).not.toMatch(LONE_SURROGATE);
        }),
    );
});

test("a byte order mark is text", () => {
    expect(stream("\ufeffLima").pieces.join("")).toBe("\ufeffLima");
});

test("a character of several byte tokens appears with the last of them", () => {
    const { pieces } = stream("€");
    expect(pieces).toEqual(["", "", "€", ""]);
});

test("bytes that are no character become U+FFFD, at the latest at the end", () => {
    const textStream = createAnswerReader(model, []);
    const push = (...bytes: number[]): string[] => bytes.map((byte) => textStream.push(FIRST_BYTE + byte).text);
    expect(push(0xe2, 0x82, 0x41)).toEqual(["", "", "\ufffdA"]);
    expect(push(0xff)).toEqual(["\ufffd"]);
    expect(push(0xf0, 0x9f)).toEqual(["", ""]);
    expect(textStream.flush(false).text).toBe("\ufffd");
});

test("a stop string ends the text where it first occurs, however the tokens lie", () => {
    const cases = texts.chain((text) =>
        fc.tuple(
            fc.constant(text),
            fc.array(
                fc.oneof(
                    fc.tuple(fc.nat(text.length), fc.nat(6)).map(([at, length]) => text.slice(at, at + 1 + length)),
                    fc.string({ unit: "grapheme", minLength: 1, maxLength: 4 }),
                ),
                { minLength: 1, maxLength: 3 },
            ),
        ),
    );
    fc.assert(
        fc.property(cases, ([text, candidates]) => {
            const stop = candidates.filter((candidate) => candidate !== "" && !LONE_SURROGATE.test(candidate));
            const { pieces, stoppedBy } = stream(text, stop);
            const ends = stop.map((candidate) => text.indexOf(candidate)).filter((at) => at >= 0);
            if (ends.length === 0) {
                expect(pieces.join("")).toBe(text);
                expect(stoppedBy).toBeUndefined();
                return;
            }
            // One token can complete several; the one that begins first counts among those that are complete.
            const shown = pieces.join("");
            expect(text.startsWith(`${shown}${stoppedBy}`)).toBe(true);
            expect(stop.some((candidate) => shown.includes(candidate))).toBe(false);
        }),
        { numRuns: 500 },
    );
});

describe("complete()", () => {
    const request = { prompt: QUESTIONS[1], sampling: { temperature: 0 } };

    test("holds back what may become a stop string, and shows nothing after it", async () => {
        const whole = await collect(complete(ensemble, request));
        expect(whole).toMatchObject({ reason: "stop", tokens: whole.parts.length });
        const { text } = whole;
        for (let at = 1; at < text.length - 1; at += 3) {
            for (const length of [1, 4, 9]) {
                const stop = text.slice(at, at + length);
                const { parts, ...result } = await collect(complete(ensemble, { ...request, stop: ["never", stop] }));
                expect(result).toMatchObject({
                    text: text.slice(0, text.indexOf(stop)),
                    reason: "stop",
                    stoppedBy: stop,
                });
                expect(parts.length).toBeLessThanOrEqual(whole.parts.length);
                // It ends with the token that completes the stop string.
                const shown = whole.parts.slice(0, parts.length - 1).map((part) => part.text);
                expect(shown.join("")).not.toContain(stop);
            }
        }
    });

    test("gives back what it held in vain with the finish", async () => {
        const { text } = await collect(complete(ensemble, request));
        const stop = `${text.slice(-4)} and so on`;
        const pieces: string[] = [];
        for await (const part of complete(ensemble, { ...request, stop: [stop] })) {
            pieces.push(part.text);
            if (part.type === "finish") expect(part).toMatchObject({ reason: "stop", text: text.slice(-4) });
        }
        expect(pieces.join("")).toBe(text);
    });

    test("shows nothing of the token that ends the text", async () => {
        const { parts, text } = await collect(complete(ensemble, request));
        expect(parts.at(-1)).toMatchObject({ id: EOS, text: "" });
        expect(text).not.toContain("</s>");
    });

    test("decodes bytes in any order as a decoder of the whole would", async () => {
        const bytes = Array.from({ length: 256 }, (_, byte) => [FIRST_BYTE + byte, 60] as const);
        for (const seed of [1, 2, 3, 4, 5]) {
            const { parts, text, reason } = await collect(
                complete(ensemble, {
                    prompt: "",
                    seed,
                    maxTokens: 60,
                    logitBias: Object.fromEntries(bytes),
                    sampling: { temperature: 5 },
                }),
            );
            expect(reason).toBe("length");
            const whole = Buffer.from(parts.map(({ id }) => id - FIRST_BYTE));
            expect(text).toBe(whole.toString("utf8"));
        }
    });
});
