/** Files in the wrong parts of up-scaling are noticed by their headers. */

import { copyFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { checkRecipeParts } from "../../src/models/roles.js";
import { compareOnSample } from "../../src/scoring/sample.js";
import { adHocRecipe, loadEnsemble, loadRecipe } from "../../src/index.js";
import { demoFile, upscalingRecipe } from "../helpers/demo.js";
import { readGguf, writeGguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const [large, chat, small] = [demoFile("large-base"), demoFile("small-chat"), demoFile("small-base")];
const doubt = (base: string, tuned: string, reference: string) =>
    checkRecipeParts(adHocRecipe({ base, tuned, reference }));
const FITTING = expect.stringMatching(
    /^What the files say fits base large-base\S*, tuned small-chat\S*, reference small-base/,
);

describe("the parts of up-scaling", () => {
    it.each([
        ["the right ones", large, chat, small, []],
        ["other quantizations", large, chat, demoFile("small-base", "q8_0"), []],
        ["scaling down", small, demoFile("large-chat"), large, []],
        [
            "the pair exchanged",
            large,
            small,
            chat,
            [/^reference .* looks like the fine-tuned model, not tuned/, FITTING],
        ],
        ["base and reference exchanged", small, chat, large, [/^tuned .* 422336 parameters .* 3606272/, FITTING]],
        ["base and tuned exchanged", chat, large, small, [/^tuned .*size/, /^base .* has the name of a fine/, FITTING]],
        ["one file twice", large, chat, chat, [/^tuned and reference are one model/]],
        ["one model as base and reference", small, chat, small, [/^base and reference are one model/]],
        ["all turned", small, large, chat, [/^tuned .*size/, FITTING]],
        ["all turned the other way", chat, small, large, [/^tuned .*size/, /^base .* has the name of a fine/, FITTING]],
        ["a fine-tuned base", demoFile("large-chat"), chat, small, [/^base .* has the name of a fine-tuned model/]],
    ])("%s", (_, base, tuned, reference, expected) => {
        const matching = expected.map((each) => (each instanceof RegExp ? expect.stringMatching(each) : each));
        expect(doubt(base, tuned, reference)).toEqual(matching);
    });

    it("are known by the names of files where nothing else is said", () => {
        for (const name of ["m-it.gguf", "m.gguf"]) {
            const gguf = readGguf(small);
            gguf.metadata.delete("general.name");
            writeGguf(path.join(temporary.folder, name), gguf);
        }
        const [tuned, reference] = ["m-it.gguf", "m.gguf"].map((name) => path.join(temporary.folder, name));
        expect(doubt(large, tuned ?? "", reference ?? "")).toEqual([]);
        expect(doubt(large, reference ?? "", tuned ?? "")).toEqual([
            expect.stringContaining("only the name of its file is that of a fine-tuned model"),
            expect.any(String),
        ]);
    });

    it("are known by what files say about themselves more than by their names", () => {
        const [tuned, reference] = ["a.gguf", "b-chat.gguf"].map((name) => path.join(temporary.folder, name));
        copyFileSync(chat, tuned ?? "");
        copyFileSync(small, reference ?? "");
        expect(doubt(large, tuned ?? "", reference ?? "")).toEqual([]);
    });

    it("may have an adapter on the reference", () => {
        const lora = path.join(path.dirname(small), "small-chat-lora.gguf");
        expect(checkRecipeParts(adHocRecipe({ base: large, lora, reference: small }))).toEqual([]);
    });

    it("are those of recipes, and of no others than those of up-scaling", async () => {
        expect(checkRecipeParts(upscalingRecipe())).toEqual([]);
        expect(checkRecipeParts(await loadRecipe("demo-dial"))).toBeUndefined();
    });
});

describe("a sample", () => {
    it("has no comparison that vocabularies lack the tokens for", async () => {
        await using ensemble = await loadEnsemble(upscalingRecipe(), { backend: "cpu", threads: 1 });
        expect((await compareOnSample(ensemble))?.summary).toMatch(/of plain text: .* -\d.*; of an answer: .* -\d/);
        for (const { prompt } of ensemble.members) Object.assign(prompt, { eos: -1 });
        expect(await compareOnSample(ensemble)).toEqual({
            summary: expect.stringMatching(
                /of plain text: .* -\d.*; not of an answer: no member has a token that ends an answer$/,
            ),
            doubts: [],
        });
    });
});
