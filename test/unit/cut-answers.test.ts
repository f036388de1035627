/** Whatever a model writes, what is read of it does not depend on how it is cut into tokens. */

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import type { CallSyntax } from "../../src/prompts/call-syntax.js";
import { CHANNEL_MARKS, CHANNEL_SYNTAX } from "../../src/prompts/channels.js";
import { cut, readPieces, TEXT_MARKS, type AnswerSetup } from "../helpers/answers.js";
import { readSyntaxes, writeCall } from "../helpers/written-calls.js";

const SEED = 1;
const THINKING = { begin: "<think>", end: "</think>" };
const WORDS = [" ", "\n", "\n\n", "a", "b", "ab", "t", "to", "Hm. ", "é", "👩‍🚀", "1", "now", "find", "rm"];
const JSON_PIECES = ["{", "}", "[", "]", ",", ":", '"', "{}"];
/** Beyond the longest name. */
const LONG = ["x".repeat(210), " ".repeat(210)];
const HEADER_PIECES = ["analysis", "final", "to=functions.", " to=functions.find", "assistant", " json"];

/** Of tokens. */
const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 });

/** Texts, thoughts and calls, marks, and pieces of these in any order, with changes anywhere and cut off anywhere. */
function answersOf(syntax: CallSyntax): fc.Arbitrary<string> {
    const hasChannels = isChannels(syntax);
    const { open, between, close, call, pairs } = syntax;
    const values = fc.constantFrom({}, { a: 1 }, { a: "</think> <", b: [true] });
    const calls = fc
        .array(fc.tuple(fc.constantFrom("now", "find", "rm"), values), { minLength: 1, maxLength: 3 })
        .map((list) => list.map((one) => writeCall(syntax, ...one)).join(between ?? `${close}${open}`))
        .map((written) => `${open}${written}${close}`);
    const marks = [open, close, between, ...call.map((piece) => (typeof piece === "object" ? piece.text : piece))];
    const own = pairs && [
        pairs.before,
        pairs.between,
        ...[pairs.text, pairs.other].flatMap((one) => [one.middle, one.end]),
    ];
    const channels = hasChannels ? [...Object.values(CHANNEL_MARKS), ...HEADER_PIECES] : Object.values(THINKING);
    const fragment = fc.constantFrom(
        ...[...marks, ...(own ?? []), ...channels, ...WORDS, ...JSON_PIECES, ...LONG].filter(
            (text) => text !== undefined,
        ),
    );
    const part = fc
        .tuple(fc.constantFrom("analysis", "final"), fc.constantFrom("Hm.", "\nHm.\n", " "))
        .map(([name, text]) => {
            if (hasChannels) return `<|channel|>${name}<|message|>${text}<|end|><|start|>assistant`;
            return name === "analysis" ? `${THINKING.begin}${text}${THINKING.end}` : text;
        });
    const piece = fc.oneof(calls, fragment, part, fc.tuple(calls, fc.nat()).map(cutOff));
    const change = fc.tuple(fc.nat(), fc.constantFrom(0, 1, 5), fragment);
    return fc
        .tuple(
            fc.array(piece, { minLength: 1, maxLength: 7 }),
            fc.oneof(fc.constant([]), fc.array(change, { maxLength: 2 })),
            fc.option(fc.nat()),
        )
        .map(([pieces, changes, at]) => {
            const characters = [...pieces.join("")];
            for (const [place, count, more] of changes)
                characters.splice(place % (characters.length + 1), count, ...more);
            return at === null ? characters.join("") : cutOff([characters.join(""), at]);
        });
}

function cutOff([text, at]: readonly [string, number]): string {
    const characters = [...text];
    return characters.slice(0, at % (characters.length + 1)).join("");
}

function isChannels({ open }: CallSyntax): boolean {
    return open === CHANNEL_SYNTAX.open;
}

const setups = fc.record({
    hasThoughts: fc.boolean(),
    beginsThinking: fc.boolean(),
    form: fc.constantFrom(...(["free", "free", "free", "calls", "json", "either"] as const)),
    isCutOff: fc.boolean(),
    tools: fc.constantFrom<string[]>(["now", "find"], ["now", "find"], []),
    stop: fc.constantFrom<string[]>([], [], ["\n"], ["rm"], ["ab", "a", "mab"], ["a\nb", "{"]),
    dropsSpace: fc.boolean(),
    isText: fc.constantFrom(undefined, () => true),
    accepts: fc.constantFrom(undefined, undefined, () => true),
    areTokens: fc.boolean(),
});

const standIns = new Map<string, string>();

/** With a control token for whatever looks like one. */
function withTokens(text: string): string {
    return text.replace(/<[^<>\s]+>|\[[A-Z_]+\]/g, (mark) => {
        const unit = standIns.get(mark) ?? String.fromCharCode(0xdc00 + standIns.size);
        standIns.set(mark, unit);
        return unit;
    });
}

function cutTokens(text: string, each: readonly number[]): string[] {
    return text.split(/([\udc00-\udfff](?<![\ud800-\udbff][\udc00-\udfff]))/).flatMap((part) => cut(part, each));
}

function mapTexts<T>(value: T, change: (text: string) => string): T {
    const written = JSON.stringify(value, (_, each: unknown) => (typeof each === "string" ? change(each) : each));
    return JSON.parse(written) as T;
}

function check(syntax: CallSyntax, numRuns: number): unknown {
    const property = fc.property(answersOf(syntax), setups, lengths, (answer, given, random) => {
        const { hasThoughts, beginsThinking, areTokens, ...own } = given;
        const change = areTokens ? withTokens : (text: string) => text;
        const hasChannels = isChannels(syntax);
        const setup: AnswerSetup = {
            ...{ ...own, syntax: mapTexts(syntax, change), hasChannels, marks: { ...TEXT_MARKS, mark: change } },
            thinking: hasThoughts ? mapTexts(THINKING, change) : undefined,
            beginsThinking: beginsThinking && hasThoughts,
        };
        const text = change(answer);
        const whole = readPieces(cutTokens(text, [text.length]), setup);
        expect(whole.text + whole.thinking).not.toMatch(/\p{Surrogate}/u);
        for (const each of [[1], random]) expect(readPieces(cutTokens(text, each), setup)).toEqual(whole);
    });
    const { failed, counterexample, errorInstance } = fc.check(property, { numRuns, seed: SEED });
    return failed ? [counterexample, errorInstance] : undefined;
}

test("texts, thoughts and calls, with all syntaxes of public templates", async () => {
    const syntaxes = await readSyntaxes();
    const failures = [...syntaxes].map(([name, syntax]) => [name, check(syntax, isSpecial(syntax) ? 500 : 50)]);
    expect(failures.filter(([, failure]) => failure !== undefined)).toEqual([]);
    expect([...syntaxes.values()].filter(isSpecial)).toHaveLength(2);
}, 600_000);

/** Calls without a mark in front of them, and channels, are read in ways of their own. */
function isSpecial(syntax: CallSyntax): boolean {
    return isChannels(syntax) || syntax.open.startsWith("{");
}

test("wherever calls are cut off, nothing of them is text behind the first", async () => {
    const failures: unknown[] = [];
    for (const [name, syntax] of await readSyntaxes()) {
        const { open, between, close } = syntax;
        const call = writeCall(syntax, "now", { a: 1 });
        const answer = `${open}${call}${between ?? `${close}${isChannels(syntax) ? "<|end|>" : ""}${open}`}${call}${close}`;
        for (let length = 1; length <= answer.length; length++) {
            const setup: AnswerSetup = { syntax, tools: ["now"], hasChannels: isChannels(syntax) };
            const { text, calls } = readPieces(cut(answer.slice(0, length), [3]), setup);
            if (calls.length > 0 && text !== "") failures.push([name, answer.slice(0, length), text]);
            if (length === answer.length && calls.length !== 2) failures.push([name, answer, calls]);
        }
    }
    expect(failures).toEqual([]);
});

test("texts that end an answer", () => {
    const texts = (maxLength: number): fc.Arbitrary<string> =>
        fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength });
    const stops = fc.array(texts(4), { minLength: 1, maxLength: 3 });
    fc.assert(
        fc.property(texts(9), stops, lengths, (text, stop, random) => {
            const whole = readPieces([text], { stop });
            for (const each of [[1], random]) expect(readPieces(cut(text, each), { stop })).toEqual(whole);
        }),
        { seed: SEED, numRuns: 500 },
    );
});
