/** Which tokens may come next: what llama.cpp's own grammar engine says, and nothing that is no text. */

import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { compileGbnf } from "../../src/grammar/gbnf-program.js";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import type { NativeEngine, NativeGrammar, NativeModel, NativeDraw } from "../../src/native/binding.js";
import { demoFile } from "../helpers/demo.js";
import { openGrammarOracle, type GrammarOracle } from "../helpers/grammar-oracle.js";
import { describeRows, loadRows, UNSHAPED } from "../helpers/rows.js";
import { normalRow, uniforms } from "../helpers/statistics.js";

const native = loadRows();
let engine: NativeEngine;
let model: NativeModel;
let oracle: GrammarOracle;
/** Bytes of each token. */
let texts: Buffer[];
/** Tokens that are whole characters, or ends of the text. */
let whole: number[];
let endOfGeneration: Uint8Array;
beforeAll(async () => {
    engine = native.createEngine({ threads: 1, batchSize: 32, sequences: 1 });
    const options = { path: demoFile("small-base"), gpuLayers: 0, devices: [], vocabularyOnly: true };
    model = await engine.loadModel(options);
    oracle = await openGrammarOracle(demoFile("small-base"));
    endOfGeneration = model.endOfGeneration();
    texts = Array.from({ length: model.info.vocabularySize }, (_, id) => model.detokenize(Int32Array.of(id), true));
    const attributes = model.tokenAttributes();
    const CONTROL_OR_UNKNOWN = 0b1001;
    whole = [...texts.keys()].filter((id) => {
        if (endOfGeneration[id] === 1) return true;
        return ((attributes[id] ?? 0) & CONTROL_OR_UNKNOWN) === 0 && !texts[id]?.toString().includes("\uFFFD");
    });
});
afterAll(async () => {
    await oracle.dispose();
    await engine.dispose();
});

function start(text: string): NativeGrammar {
    const gbnf = readGbnf(text);
    const ids = gbnf.tokens.map((token) => ("id" in token ? token.id : NaN));
    return native.createGrammar({ model, program: compileGbnf(gbnf, ids), endOfGeneration });
}

/** Of few characters, so that texts get far and can be read in several ways. */
function randomGrammar(uniform: () => number): string {
    const pick = <T>(...values: T[]): T => values[Math.floor(uniform() * values.length)] as T;
    const list = (most: number, make: () => string): string[] =>
        Array.from({ length: 1 + Math.floor(uniform() * most) }, make);
    const names = ["root", "one", "two", "three"].slice(0, 1 + Math.floor(uniform() * 4));
    const terminal = (): string =>
        pick(
            ...['"a"', '"th"', '"in "', '""', '"é"', '"日本"', '" "', '"1"', String.raw`"\n"`, '"Lima"'],
            ...["[a-z]", "[^a-e]", "[aeiou]", "[0-9.]", "[à-ÿ]", ".", String.raw`[^\x00-\x1f"]`, "[ a-c日-本😀]"],
        );
    const element = (depth: number): string => {
        const one =
            depth < 2 && uniform() < 0.3
                ? `(${list(3, () => sequence(depth + 1)).join(" | ")})`
                : uniform() < 0.3
                  ? pick(...names)
                  : terminal();
        return one + (one === '""' || uniform() < 0.75 ? "" : pick("?", "*", "+", "{2}", "{0,3}", "{1,}"));
    };
    const sequence = (depth: number): string => list(3, () => element(depth)).join(" ");
    return names.map((name) => `${name} ::= ${list(3, () => sequence(0)).join(" | ")}\n`).join("");
}

describeRows("the same as llama.cpp says", () => {
    /** Compares tokens of up to `longest` bytes at up to `steps` places of a text, of which `uniform` decides. */
    async function compare(text: string, uniform: () => number, steps: number, longest = Infinity): Promise<number> {
        const own = start(text);
        const other = await oracle.start(text);
        const compared = whole.filter((id) => (texts[id]?.length ?? 0) <= longest);
        for (let step = 0; step < steps; step++) {
            const allowed = own.allowed();
            const wrong = compared.filter((id) => (allowed[id] === 1) !== other.allows(id));
            expect([text, step, wrong.map((id) => texts[id]?.toString())]).toEqual([text, step, []]);
            const next = compared.filter((id) => allowed[id] === 1 && endOfGeneration[id] === 0);
            const token = next[Math.floor(uniform() * next.length)];
            if (token === undefined) return step;
            own.accept(token);
            other.accept(token);
        }
        return steps;
    }

    test("along random texts of random grammars", async () => {
        // Only short tokens: llama.cpp tries all the ways in which one can be read.
        const uniform = uniforms(7);
        let grammars = 0;
        let places = 0;
        while (grammars < 120) {
            const text = randomGrammar(uniform);
            try {
                readGbnf(text);
            } catch {
                continue;
            }
            places += await compare(text, uniform, 4, 3);
            grammars++;
        }
        expect(places).toBeGreaterThan(2 * grammars);
    });

    test.each<[string, JsonSchema]>([
        [
            "an object",
            {
                properties: { a: { type: "integer", minimum: -5, maximum: 120 }, ab: { enum: [1, "a"] } },
                required: ["a"],
            },
        ],
        ["words", { enum: Array.from({ length: 300 }, (_, index) => `${index * 7919}${"abc".repeat(index % 3)}`) }],
        [
            "objects that begin alike",
            {
                anyOf: ["one", "two"].map((kind) => ({
                    properties: { kind: { const: kind }, v: true },
                    required: ["kind"],
                })),
            },
        ],
        ["a list of texts", { type: "array", items: { type: "string", minLength: 1, maxLength: 4 }, maxItems: 3 }],
        ["formats", { items: { anyOf: ["date", "uuid"].map((format) => ({ format })) } }],
        ["anything", {}],
    ])("along random texts of a schema: %s", async (_name, schema) => {
        const uniform = uniforms(8);
        for (let round = 0; round < 4; round++) await compare(jsonSchemaToGbnf(schema).grammar, uniform, 8);
    });
});

describeRows("tokens that a grammar names", () => {
    const idOf = (text: string): number => texts.findIndex((bytes) => bytes.toString() === text);
    const allowedBy = (grammar: NativeGrammar): string[] => {
        const allowed = grammar.allowed();
        const ids = [...texts.keys()].filter((id) => allowed[id] === 1);
        // Bytes are tokens too.
        return [...new Set(ids.map((id) => texts[id]?.toString() ?? ""))];
    };

    test("come as they are, and never as a part of another", () => {
        const the = idOf(" the");
        expect(allowedBy(start(`root ::= <[${the}]>`))).toEqual([" the"]);
        expect(allowedBy(start(`root ::= " " <[${the}]>`))).toEqual([" "]);
        // llama.cpp's engine lets any token pass that begins with the space, and fails when it comes.
        expect(allowedBy(start(`root ::= " " !<[${the}]>`))).toEqual([" "]);
        const any = start(`root ::= !<[${the}]>`).allowed();
        const others = whole.filter((id) => id !== the && endOfGeneration[id] === 0);
        expect([...texts.keys()].filter((id) => any[id] === 1)).toEqual(others);
    });

    test("beside texts that the same token writes", () => {
        const the = idOf(" the");
        for (const rest of [`<[${the}]> "!"`, `!<[${the + 1}]> "!"`]) {
            const grammar = start(`root ::= " the" "?" | ${rest}`);
            grammar.accept(the);
            expect(allowedBy(grammar)).toEqual(expect.arrayContaining(["?", "!"]));
        }
    });

    test("control tokens among them", () => {
        expect(allowedBy(start("root ::= <[1]>"))).toEqual(["<s>"]);
        expect(allowedBy(start('root ::= "<s>" | <[1]>'))).toEqual(expect.arrayContaining(["<s>", "<"]));
        expect(allowedBy(start('root ::= "<s>"'))).not.toContain("<s>");
    });
});

describeRows("characters that are written as several tokens", () => {
    /** UTF-8. */
    function bytesOf(character: number): number[] {
        if (character < 0x800) return [0xc0 | (character >> 6), 0x80 | (character & 63)];
        const rest = [0x80 | ((character >> 6) & 63), 0x80 | (character & 63)];
        if (character < 0x10000) return [0xe0 | (character >> 12), ...rest];
        return [0xf0 | (character >> 18), 0x80 | ((character >> 12) & 63), ...rest];
    }
    /** Token of a single byte. */
    const tokenOf = (byte: number): number => texts.findIndex((text) => text.length === 1 && text[0] === byte);

    test.each<[string, (character: number) => boolean]>([
        ["[^日]", (c) => c !== 0x65e5],
        ["[à-ÿ]", (c) => c >= 0xe0 && c <= 0xff],
        ["[\\u0700-\\u0900]", (c) => c >= 0x700 && c <= 0x900],
        ["[\\uD000-\\uE100]", (c) => c >= 0xd000 && c <= 0xe100],
        ["[\\uFFF0-\\U0001000F]", (c) => c >= 0xfff0 && c <= 0x1000f],
        ["[😀-🙏日\\U0010FFFF]", (c) => (c >= 0x1f600 && c <= 0x1f64f) || c === 0x65e5 || c === 0x10ffff],
        ["[^\\x00-\\U0010FFFE]", (c) => c === 0x10ffff],
        [".", () => true],
        ["[^\\U00010000-\\U0010FFFF]", (c) => c < 0x10000],
    ])("%s: exactly the bytes that lead to one of its characters", (set, isIn) => {
        /** Beginnings of its characters beyond ASCII, as digits to the base of 256, and the bytes that may follow each. */
        const expected = new Map<number, Set<number>>();
        for (let character = 0x80; character <= 0x10ffff; character++) {
            if ((character >= 0xd800 && character <= 0xdfff) || !isIn(character)) continue;
            let beginning = 0;
            for (const byte of bytesOf(character)) {
                const next = expected.get(beginning);
                if (next === undefined) expected.set(beginning, new Set([byte]));
                else next.add(byte);
                beginning = beginning * 256 + byte;
            }
        }
        const tokens = new Map(Array.from({ length: 128 }, (_, index) => [0x80 + index, tokenOf(0x80 + index)]));
        const beginnings = [...expected.keys()].filter((_, index, { length }) => index % Math.ceil(length / 200) === 0);
        for (const beginning of beginnings) {
            const grammar = start(`root ::= ${set}`);
            for (const digit of beginning === 0 ? [] : (beginning.toString(16).match(/../g) ?? [])) {
                grammar.accept(tokens.get(Number.parseInt(digit, 16)) ?? -1);
            }
            const allowed = grammar.allowed();
            const bytes = [...tokens].filter(([, token]) => allowed[token] === 1).map(([byte]) => byte);
            expect([beginning, bytes]).toEqual([beginning, [...(expected.get(beginning) ?? [])].sort((a, b) => a - b)]);
        }
    });
});

describeRows("texts that can be read in many ways", () => {
    const any = (pattern: RegExp): number[] =>
        whole.filter((id) => endOfGeneration[id] === 0 && pattern.test(texts[id]?.toString() ?? ""));
    const allowedBy = (grammar: NativeGrammar): number[] => {
        const allowed = grammar.allowed();
        return whole.filter((id) => endOfGeneration[id] === 0 && allowed[id] === 1);
    };

    test.each<[string, string, RegExp]>([
        ["400 optional characters", `root ::= ${"[a-z ]? ".repeat(400)}"!"`, /^[a-z ]*!?$/],
        ["10,000 of them", `root ::= ${"[a-z ]? ".repeat(10_000)}"!"`, /^[a-z ]*!?$/],
        ["optional words", `root ::= ${"([a-z]+)? ".repeat(200)}`, /^[a-z]*$/],
        ["repetitions side by side", `root ::= ${'"a"{0,40} '.repeat(400)}`, /^a*$/],
        ["sums without precedence", 'root ::= "a" ("a" root | root "a" | root root)?', /^a*$/],
        ["beginnings that are alike", 'root ::= "a" root "b" | "a" root "c" | "d"', /^a*(d[bc]*)?$/],
    ])("%s", (_name, text, pattern) => {
        const grammar = start(text);
        const [a = -1] = any(/^a$/);
        for (let i = 0; i < 100; i++) {
            grammar.accept(a);
            if (i % 10 === 9) expect(allowedBy(grammar)).toEqual(any(pattern));
        }
    });

    test("what is found out is forgotten where it takes too much memory", () => {
        const uniform = uniforms(4);
        const letters = (): string => [..."abcdefghijklmnopqrstuvwxyz"].filter(() => uniform() < 0.5).join("") + "a";
        const alternatives = Array.from({ length: 500 }, () => `[a-z ]* [${letters()}] [a-z ]{3}`);
        const grammar = start(`root ::= ${alternatives.join(" | ")}`);
        const before = process.memoryUsage().rss;
        expect(allowedBy(grammar)).toEqual(any(/^[a-z ]+$/));
        expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
    });

    test("beyond a bound it is an error", () => {
        const others = Array.from({ length: 600 }, () => "[a-z] [a-z]* [a-z] [a-z]");
        const grammar = start(`root ::= "a" root "b" | ${others.join(" | ")}`);
        const [a = -1] = any(/^a$/);
        for (let i = 0; i < 400; i++) grammar.accept(a);
        expect(() => grammar.allowed()).toThrow(
            expect.objectContaining({
                code: "GRAMMAR_INVALID",
                message: expect.stringContaining("can be read in more than 100000 ways"),
            }),
        );
    });
});

describeRows("draws", () => {
    const GRAMMARS = [
        "root ::= [a-z ]*",
        "root ::= [^\\n]{3,60}",
        'root ::= ("Lima" | "Quito" | "La Paz") (", " root)?',
        'root ::= [0-9]{4} "-" [0-9]{2}',
        jsonSchemaToGbnf({ properties: { city: { type: "string", maxLength: 20 }, n: { type: "integer" } } }).grammar,
        `root ::= ${"[a-z]? ".repeat(60)}`,
        "root ::= .* <[5]> !<[6]>",
    ];

    test("are those from rows in which all that is forbidden is masked", () => {
        const uniform = uniforms(3);
        const pick = <T>(...values: T[]): T => values[Math.floor(uniform() * values.length)] as T;
        let tokens = 0;
        for (let round = 0; round < 80; round++) {
            const grammar = start(pick(...GRAMMARS));
            for (let position = 0; position < 5; position++) {
                const deviation = pick(0.5, 2, 5);
                const row = Float32Array.from(normalRow(1000 * round + position, texts.length, deviation));
                const options: NativeDraw = {
                    ...UNSHAPED,
                    temperature: pick(0, 0.7, 1, 2),
                    topK: pick(0, 0, 3, 40),
                    topP: pick(1, 0.95, 0.5),
                    minP: pick(0, 0, 0.05),
                    ...{ seed: round, position },
                };
                const coupling = pick("gumbel", "maximal");
                // Before the mask is asked for, and known.
                const token = native.sampleRow(row, { ...options, grammar });
                const { token: draft } = native.draftRow(row, coupling, { ...options, grammar });
                const allowed = grammar.allowed();
                const masked = row.map((logprob, id) => (allowed[id] === 1 ? logprob : -Infinity));
                expect(token).toBe(native.sampleRow(masked, options));
                expect(draft).toBe(native.draftRow(masked, coupling, options).token);
                expect(native.verifyRow(row, row, draft, coupling, { ...options, grammar })).toBe(
                    native.verifyRow(masked, masked, draft, coupling, options),
                );
                tokens++;
                if (endOfGeneration[token] === 1) break;
                grammar.accept(token);
            }
        }
        expect(tokens).toBeGreaterThan(200);
    });
});
