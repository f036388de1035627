/** What is read of headers, against node-llama-cpp's own reader of GGUF files: another path to the same. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { GgmlType, GgufFileType, GgufInsights, readGgufFileInfo } from "node-llama-cpp";
import { planMemory, readGguf as readSummary } from "../../src/index.js";
import { readInsights } from "../../src/models/insights.js";
import { loadBinding } from "../../src/native/load-binding.js";
import { listArchitectures } from "../helpers/architectures.js";
import { demoFile } from "../helpers/demo.js";
import { readGguf, splitGguf, withMetadata, writeGguf, type MetadataValue, type ScalarType } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

let temporary: ReturnType<typeof temporaryFolder>;
beforeAll(() => {
    temporary = temporaryFolder();
});
afterAll(() => temporary.remove());

const small = readGguf(demoFile("small-base"));
function write(name: string, changes: Readonly<Record<string, MetadataValue | undefined>>): string {
    const file = path.join(temporary.folder, `${name}.gguf`);
    writeGguf(file, withMetadata(small, changes));
    return file;
}

const readOther = (file: string) => readGgufFileInfo(file, { sourceType: "filesystem", logWarnings: false });

/** What plans of the memory ask of a model. */
function estimate(insights: GgufInsights): unknown {
    const { totalLayers, trainContextSize, flashAttentionSupported: flashAttention } = insights;
    const layers = [0, 1, Math.floor(totalLayers / 2), totalLayers];
    return {
        ...{ totalLayers, trainContextSize, flashAttention },
        weights: layers.map((gpuLayers) =>
            insights.estimateModelResourceRequirements({ gpuLayers, gpuSupportsMmap: false }),
        ),
        contexts: layers.map((modelGpuLayers) =>
            insights.estimateContextResourceRequirements({
                ...{ contextSize: 1024, sequences: 3, batchSize: 512, modelGpuLayers, flashAttention },
                ...{ swaFullCache: true, kvCacheKeyType: GgmlType.F32, kvCacheValueType: GgmlType.F32 },
            }),
        ),
    };
}

describe("a summary says what node-llama-cpp reads", () => {
    const parts = (): string => {
        const whole = readGguf(demoFile("small-chat"));
        const half = Math.floor(whole.tensors.length / 2);
        const files = splitGguf(whole, [half]).map((part, index) => {
            const file = path.join(temporary.folder, `split-0000${index + 1}-of-00002.gguf`);
            writeGguf(file, part);
            return file;
        });
        return files[0] ?? "";
    };

    it.each<[string, string, () => string]>([
        ["float16", "model", () => demoFile("large-base")],
        ["Q8_0", "model", () => demoFile("small-chat", "q8_0")],
        ["a split model", "model", parts],
        ["an adapter", "adapter", () => path.join(path.dirname(demoFile("small-chat")), "small-chat-lora.gguf")],
    ])("%s", async (_, type, place) => {
        const file = place();
        const info = await readOther(file);
        const insights = await GgufInsights.from(info);
        const { general, tokenizer } = info.metadata;
        const summary = await readSummary(file);
        expect({ ...summary, quantization: undefined }).toEqual({
            quantization: undefined,
            file,
            type,
            name: general.name,
            architecture: general.architecture,
            parameters: insights.totalParameters,
            tensorBytes: insights.modelSize,
            layers: info.architectureMetadata.block_count ?? 0,
            embeddingSize: insights.embeddingVectorSize,
            trainContextSize: insights.trainContextSize,
            tokenizer: (tokenizer as typeof tokenizer | undefined)?.ggml.model,
            vocabularySize: (tokenizer as typeof tokenizer | undefined)?.ggml.tokens.length,
            chatTemplate: (tokenizer as typeof tokenizer | undefined)?.chat_template,
        });
    });

    it("every name of a quantization that llama.cpp still reads", async () => {
        const removed = /^(Q4_1_SOME_F16|Q4_2|Q4_3|Q4_0_\d_\d)$/;
        const types = Object.entries(GgufFileType).filter((entry): entry is [string, number] => !isNaN(+entry[1]));
        for (const [name, value] of types) {
            const file = write("type", { "general.file_type": { type: "uint32", value } });
            const expected = name.replace(/^(MOSTLY|ALL)_/, "");
            expect((await readSummary(file)).quantization).toBe(removed.test(expected) ? undefined : expected);
        }
        expect(types.length).toBeGreaterThan(40);
        for (const value of [4096, 2 ** 32 - 1])
            expect(
                (await readSummary(write("type", { "general.file_type": { type: "uint32", value } }))).quantization,
            ).toBeUndefined();
    });
});

describe("an entry", () => {
    const scalars: [ScalarType, number | bigint | boolean | string, unknown][] = [
        ["uint8", 255, 255],
        ["int8", -128, -128],
        ["uint16", 65535, 65535],
        ["int16", -32768, -32768],
        ["uint32", 4294967295, 4294967295],
        ["int32", -2147483648, -2147483648],
        ["uint64", 2n ** 60n, 2 ** 60],
        ["int64", -(2n ** 60n), -(2 ** 60)],
        ["float32", 0.5, 0.5],
        ["float64", 0.1, 0.1],
        ["bool", true, true],
        ["string", "\u00e9\u2581\u{1f600}", "\u00e9\u2581\u{1f600}"],
    ];
    const find = (file: string, key: string): unknown => new Map(loadBinding().readHeader(file).entries).get(key);

    it.each(scalars)("%s is read as it is", (type, value, expected) => {
        expect(find(write("scalar", { "x.one": { type, value } }), "x.one")).toBe(expected);
    });

    it.each(scalars.filter(([type]) => type !== "string"))("array of %s", (of, value, expected) => {
        const array = (length: number): MetadataValue => ({
            ...{ type: "array", of },
            value: Array.from({ length }, () => value),
        });
        const file = write("array", { "x.none": array(0), "x.some": array(3), "x.table": array(513) });
        expect(find(file, "x.none")).toEqual([]);
        expect(find(file, "x.some")).toEqual([expected, expected, expected]);
        expect(find(file, "x.table")).toBeUndefined();
    });

    it("of any name can be read and planned by, and changes no object", async () => {
        const text: MetadataValue = { type: "string", value: "here" };
        const hostile = [
            "__proto__",
            "constructor",
            "a.__proto__.b",
            "llama.__proto__.b",
            "llama.constructor.prototype.b",
        ];
        const shadowing = ["llama", "llama.", "llama..x", "llama.attention", "llama.rope", "llama.block_count.x"];
        for (const key of [...hostile, ...shadowing]) {
            const file = write("key", { [key]: text });
            expect(find(file, key)).toBe("here");
            await expect(
                planMemory({ members: [{ name: "a", model: file, prompt: { kind: "plain" } }] }),
            ).resolves.toHaveProperty("members");
        }
        expect("b" in {}).toBe(false);
    });
});

/** Numbers to within 500 bytes, since node-llama-cpp counts fractions of a node where a GPU has some of a graph's nodes. */
function nearly(value: unknown): unknown {
    if (typeof value === "number") return expect.closeTo(value, -3);
    if (Array.isArray(value)) return value.map(nearly);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, nearly(part)]));
}

describe("what memory is estimated by", () => {
    it("is what node-llama-cpp reads, for every architecture", async () => {
        const architectures = [...listArchitectures()];
        for (const [name, build] of architectures) {
            const file = path.join(temporary.folder, "architecture.gguf");
            writeGguf(file, build());
            const info = await readOther(file);
            const { expertsUsed, heads, keyLength, valueLength } = loadBinding().readHeader(file);
            const sizes = info.architectureMetadata as {
                attention?: { head_count?: unknown; key_length?: number; value_length?: number };
                expert_used_count?: unknown;
            };
            // Estimates reckon with one number for all layers.
            if (Array.isArray(sizes.expert_used_count)) sizes.expert_used_count = expertsUsed;
            if (sizes.attention !== undefined && Array.isArray(sizes.attention.head_count)) {
                sizes.attention.head_count = heads;
                sizes.attention.key_length ??= keyLength;
                sizes.attention.value_length ??= valueLength;
            }
            const expected = estimate(await GgufInsights.from(info));
            expect({ name, ...(estimate(await readInsights(file)) as object) }).toEqual({
                name,
                ...(nearly(expected) as object),
            });
        }
        expect(architectures.length).toBeGreaterThan(100);
    }, 120_000);
});
