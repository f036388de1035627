/** Members that are an adapter on a shared base. */

import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { collect, complete, score, type CompletionResult, type Ensemble, type Recipe } from "../../src/index.js";
import { demoFile, demoRecipe, loadOnCpu, QUESTIONS, soloRecipe, withEnsemble } from "../helpers/demo.js";
import {
    readGguf,
    toFloat32,
    withMetadata,
    writeGguf,
    type Gguf,
    type MetadataValue,
    type Tensor,
} from "../helpers/gguf.js";
import { loraAdapter, mergeAdapter } from "../helpers/lora.js";
import { largestError } from "../helpers/oracle.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { MERGED_LORA } from "../helpers/tolerances.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
function write(name: string, gguf: Gguf): string {
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, gguf);
    return file;
}

const base = toFloat32(readGguf(demoFile("small-base")));
const adapter = loraAdapter(base, {
    rank: 4,
    alpha: 8,
    deviation: 0.1,
    targets: /(attn_[qkv]|attn_output|ffn_(gate|up|down))\.weight$/,
});
let baseFile: string;
let adapterFile: string;
beforeAll(() => {
    baseFile = write("base", base);
    adapterFile = write("adapter", adapter);
});

const member = (file: string, lora?: { path: string; scale: number }): string =>
    `{ model: ${JSON.stringify(file)}${lora === undefined ? "" : `, lora: ${JSON.stringify(lora)}`} }`;
const solo = (lora: { path: string; scale: number }): Recipe =>
    demoRecipe(`
members: { solo: ${member(baseFile, lora)} }
combination: solo
prompt: { template: plain }`);

/** Rows of a fixed text: with the same seed and a temperature at which all models say the same. */
async function rows(recipe: Recipe): Promise<ArrayLike<number>[]> {
    return withEnsemble(recipe, { sequences: 1 }, async (ensemble) => {
        const { parts } = await collect(
            complete(ensemble, {
                prompt: QUESTIONS[0],
                raw: true,
                scores: true,
                maxTokens: 6,
                // Always the same token, so that all of them see the same text.
                logitBias: { 312: 1000 },
            }),
        );
        expect(parts.map(({ id }) => id)).toEqual([312, 312, 312, 312, 312, 312]);
        return parts.map(({ scores = [] }) => scores);
    });
}

describe("an adapter", () => {
    test.each([1, 0.5, -1])("at scale %d gives what the merged weights give", async (scale) => {
        const merged = await rows(soloRecipe(write(`merged${scale}`, mergeAdapter(base, adapter, scale))));
        const adapted = await rows(solo({ path: adapterFile, scale }));
        expect(largestError(adapted, merged)).toBeLessThan(MERGED_LORA);
        expect(largestError(adapted, await rows(soloRecipe(baseFile)))).toBeGreaterThan(0.5);
    });

    test("at scale 0 changes nothing", async () => {
        expect(await rows(solo({ path: adapterFile, scale: 0 }))).toEqual(await rows(soloRecipe(baseFile)));
    });
});

describe("a base and adapters on it", () => {
    let ensemble: Ensemble;
    beforeAll(async () => {
        ensemble = await loadOnCpu(
            demoRecipe(`
members:
    base: ${member(baseFile)}
    tuned: ${member(baseFile, { path: adapterFile, scale: 1 })}
    half: ${member(baseFile, { path: adapterFile, scale: 0.5 })}
parameters: { b: { default: 1 }, t: { default: 0 }, h: { default: 0 } }
combination: b * base + t * tuned + h * half
prompt: { template: plain }`),
        );
    });
    afterAll(() => ensemble.dispose());

    test("share the weights", () => {
        if (process.platform !== "linux") return;
        const mappings = readFileSync("/proc/self/maps", "utf8").split("\n");
        // The same file loaded twice would be mapped twice.
        expect(mappings.filter((line) => line.endsWith(baseFile))).toHaveLength(1);
    });

    test("work side by side, each as if alone", async () => {
        const item = { context: "The capital of Peru is", continuation: " Lima. People in Peru use the sol." };
        const alone = async (recipe: Recipe): Promise<readonly number[]> =>
            withEnsemble(recipe, {}, async (single) => (await score(single, [item]))[0]?.logprobs ?? []);
        const [together] = await score(ensemble, [item]);
        const expected = {
            base: await alone(soloRecipe(baseFile)),
            tuned: await alone(solo({ path: adapterFile, scale: 1 })),
            half: await alone(solo({ path: adapterFile, scale: 0.5 })),
        };
        for (const name of ["base", "tuned", "half"] as const) {
            expect(largestError([together?.members[name]], [expected[name]])).toBeLessThan(1e-5);
        }
        expect(largestError([expected.base], [expected.tuned])).toBeGreaterThan(0.1);
        expect(largestError([expected.half], [expected.tuned])).toBeGreaterThan(0.1);
    });

    test("complete at the same time with different dials", async () => {
        const ask = (b: number, t: number): Promise<CompletionResult> =>
            collect(
                complete(ensemble, {
                    prompt: "The capital of Peru is",
                    parameters: { b, t, h: 0 },
                    sampling: { temperature: 0 },
                    maxTokens: 8,
                }),
            );
        const [base, tuned] = [await ask(1, 0), await ask(0, 1)];
        expect(base.text).not.toBe(tuned.text);
        const both = await Promise.all([ask(1, 0), ask(0, 1)]);
        expect(both.map(({ text }) => text)).toEqual([base.text, tuned.text]);
    });
});

describe("refused", () => {
    const load = (file: string): Promise<Ensemble> => loadOnCpu(solo({ path: file, scale: 1 }));
    const error = (code: string, message: RegExp): unknown =>
        expect.objectContaining({ name: "EftError", code, message: expect.stringMatching(message) as unknown });

    test.each<[string, () => string, string, RegExp]>([
        [
            "a missing file",
            () => path.join(folder, "no.gguf"),
            "MODEL_NOT_FOUND",
            /^The LoRA adapter is not at .*no\.gguf/,
        ],
        ["a model", () => demoFile("small-chat"), "LORA_INVALID", /small-chat-f16\.gguf is not a LoRA adapter/],
        [
            "the adapter of a larger model",
            () => write("large", loraAdapter(readGguf(demoFile("large-base")), { rank: 4 })),
            "LORA_INVALID",
            /large\.gguf does not fit .*base\.gguf\. llama\.cpp says: .*incorrect shape/,
        ],
        [
            "one factor alone",
            () => write("half", { ...adapter, tensors: adapter.tensors.slice(1) }),
            "LORA_INVALID",
            /missing one component/,
        ],
        [
            "another architecture",
            () => write("arch", withMetadata(adapter, { "general.architecture": { type: "string", value: "gemma" } })),
            "LORA_INVALID",
            /arch mismatch/,
        ],
        [
            "another kind of adapter",
            () => write("kind", withMetadata(adapter, { "adapter.type": { type: "uint32", value: 1 } })),
            "LORA_INVALID",
            /kind\.gguf does not fit /,
        ],
        [
            "no tensors",
            () => write("empty", { ...adapter, tensors: [] }),
            "LORA_INVALID",
            /empty\.gguf is a LoRA adapter without tensors/,
        ],
        [
            "one that counts behind certain tokens alone",
            () => {
                const tokens: MetadataValue = { type: "array", of: "uint32", value: [5, 6] };
                return write("alora", withMetadata(adapter, { "adapter.alora.invocation_tokens": tokens }));
            },
            "MODEL_UNSUPPORTED",
            /alora\.gguf is an activated LoRA adapter/,
        ],
    ])("%s", async (_name, file, code, message) => {
        await expect(load(file())).rejects.toEqual(error(code, message));
    });
});

test("numbers that are none are blamed on base and adapter together", async () => {
    const [first, ...rest] = adapter.tensors as [Tensor, ...Tensor[]];
    const data = Buffer.from(first.data);
    data.writeFloatLE(NaN, 0);
    const file = write("nan", { ...adapter, tensors: [{ ...first, data }, ...rest] });
    await withEnsemble(solo({ path: file, scale: 1 }), { sequences: 1 }, async (ensemble) => {
        await expect(collect(complete(ensemble, { prompt: QUESTIONS[0] }))).rejects.toMatchObject({
            code: "NON_FINITE_LOGITS",
            message: expect.stringMatching(
                /^\S+base\.gguf with the adapter \S+nan\.gguf produced logits .* one of the two files/,
            ),
        });
    });
});
