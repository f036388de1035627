/** Whatever a model writes, what is read of it does not depend on how it is cut into tokens. */

import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { tryCalls, type CallSyntax } from "../../src/prompts/call-syntax.js";
import { tryChannels } from "../../src/prompts/channels.js";
import { cut, readPieces, type AnswerSetup } from "../helpers/answers.js";
import { readPublicTemplates, sampleOf } from "../helpers/public-templates.js";
import { writeCall } from "../helpers/written-calls.js";

const RUNS = Number(process.env["RUNS"] ?? 300);
const SEED = Number(process.env["SEED"] ?? 1);
const THINKING = { begin: "<think>", end: "</think>" };
const CHANNELS = ["<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>"];

async function readSyntaxes(): Promise<ReadonlyMap<string, CallSyntax>> {
    const found = new Map<string, CallSyntax>();
    const known = new Set<string>();
    for (const [name, source] of await readPublicTemplates()) {
        const render = sampleOf(source);
        const ends = ["<|im_end|>", "<|eot_id|>", "</s>", "<|call|>"];
        const syntax = tryCalls(render, ends, tryChannels(render))?.syntax;
        const key = JSON.stringify(syntax);
        if (syntax !== undefined && !known.has(key)) found.set(name, syntax);
        known.add(key);
    }
    return found;
}

/** Marks, calls and texts, whole and in parts, in any order. */
function answersOf(syntax: CallSyntax, hasChannels: boolean): fc.Arbitrary<string> {
    const { open, between, close, call, pairs } = syntax;
    const calls = fc
        .array(
            fc.tuple(
                fc.constantFrom("now", "find", "rm"),
                fc.constantFrom({}, { a: 1 }, { a: "</think> <", b: [true] }),
            ),
            {
                minLength: 1,
                maxLength: 3,
            },
        )
        .map(
            (list) =>
                open +
                list.map(([name, values]) => writeCall(syntax, name, values)).join(between ?? close + open) +
                close,
        );
    const fragments = [
        ...[open, close, between ?? "", THINKING.begin, THINKING.end, ...(hasChannels ? CHANNELS : [])],
        ...call.map((piece) => (typeof piece === "object" ? piece.text : piece)),
        ...(pairs
            ? [pairs.before, pairs.between, pairs.text.middle, pairs.text.end, pairs.other.middle, pairs.other.end]
            : []),
        ...[
            " ",
            "\n",
            "\n\n",
            "a",
            "b",
            "ab",
            "to",
            "Hm. ",
            "Lima",
            "é",
            "👩‍🚀",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            '"',
            "{}",
            "1",
            "now",
            "find",
            "rm",
        ],
        ...(hasChannels
            ? [
                  "analysis",
                  "final",
                  "commentary",
                  "to=functions.",
                  " to=functions.find",
                  "assistant",
                  " json",
                  "<|end|><|start|>assistant",
              ]
            : []),
    ].filter((text) => text !== "");
    const parts = hasChannels
        ? [
              fc.constantFrom("Hm.", "Lima\n", " ").map((text) => `<|channel|>final<|message|>${text}<|end|>`),
              fc.constantFrom("Hm.", "Lima\n", " ").map((text) => `<|channel|>analysis<|message|>${text}<|end|>`),
          ]
        : [fc.constantFrom("Hm.", "\nHm.\n", " ").map((text) => `${THINKING.begin}${text}${THINKING.end}`)];
    const half = fc.tuple(fc.oneof(calls, fc.constantFrom(...fragments)), fc.nat()).map(([text, at]) => {
        const characters = [...text];
        return characters.slice(0, at % (characters.length + 1)).join("");
    });
    const piece = fc.oneof(calls, fc.constantFrom(...fragments), half, ...parts);
    return fc.tuple(fc.array(piece, { minLength: 1, maxLength: 7 }), fc.option(fc.nat())).map(([pieces, at]) => {
        const characters = [...pieces.join("")];
        return characters.slice(0, at === null ? undefined : at % (characters.length + 1)).join("");
    });
}

const setups = fc.record({
    thinking: fc.constantFrom(undefined, THINKING),
    beginsThinking: fc.boolean(),
    form: fc.constantFrom(...(["free", "free", "free", "calls", "json", "either"] as const)),
    isCutOff: fc.boolean(),
    tools: fc.constantFrom<string[]>(["now", "find"], ["now", "find"], []),
    stop: fc.constantFrom<string[]>([], [], ["\n"], ["ab"], ["ab", "mab", " "], ["rm"], ["a\nb", "{"]),
    dropsSpace: fc.boolean(),
});

test("what is read does not depend on the pieces", async () => {
    const failures: unknown[] = [];
    for (const [name, syntax] of await readSyntaxes()) {
        for (const hasChannels of name.includes("gpt-oss") ? [true] : [false]) {
            const result = fc.check(
                fc.property(
                    answersOf(syntax, hasChannels),
                    setups,
                    fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 30 }),
                    (answer, { beginsThinking, ...own }, lengths) => {
                        const setup: AnswerSetup = {
                            ...{ ...own, syntax, hasChannels },
                            beginsThinking: beginsThinking && own.thinking !== undefined && !hasChannels,
                        };
                        const whole = readPieces([answer], setup);
                        for (const each of [[1], lengths]) expect(readPieces(cut(answer, each), setup)).toEqual(whole);
                    },
                ),
                { numRuns: RUNS, seed: SEED },
            );
            if (result.failed) failures.push([name, result.counterexample, String(result.errorInstance).slice(0, 700)]);
        }
    }
    if (failures.length > 0) console.log(failures.length, JSON.stringify(failures, null, 1));
    expect(failures.length).toEqual(0);
}, 600_000);
