/** Grammars over vocabularies that people have: what asks about tokens one by one draws what the mask of all tokens leaves. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { compileGbnf } from "../../src/grammar/gbnf-program.js";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { NativeEngine, NativeGrammar, NativeModel } from "../../src/native/binding.js";
import { isFetched, type RealFamilyName } from "../helpers/real-tokenizers.js";
import { hasRows, loadRows, UNSHAPED } from "../helpers/rows.js";
import { normalRow, uniforms } from "../helpers/statistics.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { writeVocabulary } from "../helpers/vocabulary-file.js";

/** Grammars, and texts along which they are asked. */
const CASES: readonly (readonly [name: string, grammar: string, text: string])[] = [
    [
        "strings, numbers and what is around them",
        jsonSchemaToGbnf({
            properties: { a: { type: "string" }, b: { type: "array", items: { type: "number" } } },
            required: ["a", "b"],
        }).grammar,
        String.raw`{"a": "naïve \n 日本 of \u00e9 😀 code", "b": [1, -2.5e3]}`,
    ],
    [
        "strings of bounded length",
        jsonSchemaToGbnf({ type: "string", minLength: 3, maxLength: 24 }).grammar,
        '"The naïve 日本 code 😀 of it"',
    ],
    [
        "a pattern",
        jsonSchemaToGbnf({ type: "string", pattern: String.raw`^\p{Lu}[a-z]+( (of|over)[^x]*)?\d{2,}$` }).grammar,
        '"Über of the hills 日 2024"',
    ],
    ["any value", jsonSchemaToGbnf({}).grammar, '{"x": [true, {"y": "z"}], "": null}'],
    ["prose", String.raw`root ::= ([A-Z] [a-zA-Z0-9 ,;'-]* [.!?] " "?)+`, "The fox, of 12 years. A dog!"],
    ["all but some", String.raw`root ::= [^e日\n]{2,40} "e" .*`, "soft 本 things are 日本\nlines"],
    ["few characters", "root ::= [a-f0-9]{4,12} ([ \\t]+ [à-ÿ]*)?", "00c0ffee   éè"],
];

for (const name of ["qwen3", "gemma3"] as const) {
    (isFetched(name) && hasRows ? describe : describe.skip)(name, () => checkFamily(name));
}

function checkFamily(name: RealFamilyName): void {
    const native = loadRows();
    let folder: ReturnType<typeof temporaryFolder>;
    let engine: NativeEngine;
    let model: NativeModel;
    let endOfGeneration: Uint8Array;
    beforeAll(async () => {
        folder = temporaryFolder();
        const file = writeVocabulary(name, folder.folder);
        engine = native.createEngine({ threads: 1, batchSize: 32, sequences: 1 });
        model = await engine.loadModel({ path: file, gpuLayers: 0, devices: [], vocabularyOnly: true });
        endOfGeneration = model.endOfGeneration();
    });
    afterAll(async () => {
        await engine.dispose();
        folder.remove();
    });

    const start = (text: string): NativeGrammar =>
        native.createGrammar({ model, program: compileGbnf(readGbnf(text), []), endOfGeneration });
    test.each(CASES)("%s", (_name, grammar, text) => {
        const uniform = uniforms(6);
        const pick = <T>(...values: T[]): T => values[Math.floor(uniform() * values.length)] as T;
        const rows = [1, 3].map((deviation) =>
            Float32Array.from(normalRow(deviation, endOfGeneration.length, deviation)),
        );
        const place = start(grammar);
        const tokens = [...model.tokenize(text, false, false)];
        for (const [position, token] of tokens.entries()) {
            const row = pick(...rows);
            const before = row[token] ?? 0;
            if (uniform() < 0.7) row[token] = 14 + 6 * uniform();
            const options = {
                ...UNSHAPED,
                ...pick(
                    { temperature: 0 },
                    {},
                    { topP: 0.95 },
                    { topP: 0.8, minP: 0.001 },
                    { topK: 40 },
                    { topK: 900 },
                ),
                ...{ seed: 9, position },
            };
            const drawn = native.sampleRow(row, { ...options, grammar: place });
            const allowed = place.allowed();
            const masked = Float32Array.from(row);
            for (let id = 0; id < masked.length; id++) if (allowed[id] === 0) masked[id] = -Infinity;
            row[token] = before;
            expect([position, drawn]).toEqual([position, native.sampleRow(masked, options)]);
            if (allowed[token] === 0) break;
            place.accept(token);
        }
    });
}
