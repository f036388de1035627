/** Headers that say what cannot be, or what there is no memory for: refused by name and value before llama.cpp sees the file. */

import path from "node:path";
import { afterAll, describe, expect, it, test } from "@jest/globals";
import { planMemory } from "../../src/index.js";
import { maxContextBytes } from "../../src/models/context-memory.js";
import { loadBinding } from "../../src/native/load-binding.js";
import { listArchitectures } from "../helpers/architectures.js";
import { demoFile, loadOnCpu, soloRecipe } from "../helpers/demo.js";
import {
    readGguf,
    splitGguf,
    withMetadata,
    writeGguf,
    type Gguf,
    type MetadataValue,
    type Tensor,
} from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const small = readGguf(demoFile("small-base"));
const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });
const array = (...value: number[]): MetadataValue => ({ type: "array", of: "uint32", value });
const file = path.join(folder, "model.gguf");

function withTensor(gguf: Gguf, name: string, change: (tensor: Tensor) => Tensor): Gguf {
    return { ...gguf, tensors: gguf.tensors.map((tensor) => (tensor.name === name ? change(tensor) : tensor)) };
}

async function refusal(gguf: Gguf): Promise<{ code: string; message: string }> {
    writeGguf(file, gguf);
    const error: unknown = await loadOnCpu(soloRecipe(file), { trust: true }).catch((reason: unknown) => reason);
    return error as { code: string; message: string };
}

describe("a number that no model has", () => {
    test.each<[string, MetadataValue | undefined, string]>([
        ["attention.head_count", uint32(0), "is 0"],
        ["attention.head_count", array(0, 0, 0), "is 0"],
        ["attention.head_count", undefined, "lacks"],
        ["attention.head_count", uint32(100_000), "is 100000"],
        ["attention.head_count_kv", uint32(0), "is 0"],
        ["attention.head_count_kv", uint32(3), "is 3"],
        ["attention.head_count_kv", array(2, 2, 3), "is 3"],
        ["attention.head_count_kv", uint32(100_000), "is 100000"],
        ["attention.key_length", uint32(100_000), "is 100000"],
        ["attention.value_length", uint32(2 ** 32 - 1), "is 4294967295"],
        ["rope.dimension_count", uint32(0), "is 0"],
        ["rope.dimension_count", uint32(3), "is 3"],
        ["rope.dimension_count", uint32(100_000), "is 100000"],
        ["rope.dimension_count_swa", uint32(5), "is 5"],
        ["block_count", uint32(2), "is 2"],
        ["block_count", uint32(500), "is 500"],
        ["nextn_predict_layers", uint32(4), "is 4"],
        ["expert_used_count", uint32(2), "is 2"],
        ["embedding_length", uint32(0), "is 0"],
        ["embedding_length", uint32(100_000), "is 100000"],
        ["embedding_length", { type: "uint64", value: 100_000 }, "is 100000"],
        ["context_length", uint32(0), "is 0"],
    ])("%s %j", async (name, value, said) => {
        const { code, message } = await refusal(withMetadata(small, { [`llama.${name}`]: value }));
        expect(code).toBe("MODEL_INVALID");
        expect(message).toContain(file);
        expect(message).toContain(`llama.${name}`);
        expect(message).toContain(said);
    });

    it("is refused whatever the architecture", async () => {
        for (const name of [
            "qwen2-dense",
            "gemma3-dense",
            "deepseek2-moe",
            "olmo2-dense",
            "phi2-dense",
            "gpt2-dense",
        ]) {
            const gguf = listArchitectures().get(name)?.() as Gguf;
            const [architecture] = name.split("-");
            for (const [key, value] of [
                ["attention.head_count", 0],
                ["attention.head_count", 100_000],
                ["rope.dimension_count", 3],
                ["rope.dimension_count", 100_000],
            ] as const) {
                const found = await refusal(withMetadata(gguf, { [`${architecture}.${key}`]: uint32(value) }));
                expect({ name, key, value, found }).toMatchObject({
                    found: { code: "MODEL_INVALID", message: expect.stringContaining(`${architecture}.${key}`) },
                });
            }
        }
    });
});

describe("a tensor that does not fit", () => {
    const rows = (count: number) => (tensor: Tensor) => ({
        ...tensor,
        shape: [tensor.shape[0] ?? 0, count],
        data: Buffer.alloc(2 * count * (tensor.shape[0] ?? 0)),
    });
    const ofType = (type: number, bytesPer32: number) => (tensor: Tensor) => ({
        ...tensor,
        type,
        data: Buffer.alloc((tensor.shape.reduce((product, size) => product * size, 1) / 32) * bytesPer32),
    });
    test.each<[string, string, (tensor: Tensor) => Tensor, string]>([
        ["fewer rows than tokens", "token_embd.weight", rows(100), "tokenizer.ggml.tokens"],
        ["an empty one", "blk.0.attn_q.weight", rows(0), "is empty"],
        ["a factor of activations as 8-bit blocks", "blk.1.ffn_up.weight", ofType(9, 36), "q8_1"],
        ["integers to look up", "token_embd.weight", ofType(26, 128), "i32"],
        ["halves to add", "blk.2.ffn_norm.weight", ofType(1, 64), "f16"],
        ["doubles", "output_norm.weight", ofType(28, 256), "f64"],
    ])("%s", async (_, name, change, said) => {
        const changed = withTensor(small, name, change);
        const whole = await refusal(changed);
        expect(whole).toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(name) });
        expect(whole.message).toContain(said);
        expect(whole.message).toContain(file);

        const at = changed.tensors.findIndex((tensor) => tensor.name === name);
        const first = Math.max(1, at);
        const parts = splitGguf(changed, [first]);
        const names = parts.map((_, index) => path.join(folder, `m-0000${index + 1}-of-00002.gguf`));
        parts.forEach((part, index) => writeGguf(names[index] ?? "", part));
        const error: unknown = await loadOnCpu(soloRecipe(names[0] ?? "")).catch((reason: unknown) => reason);
        // Entries are those of the first part.
        const blamed = name === "token_embd.weight" && said.includes("tokens") ? names[0] : names[at < first ? 0 : 1];
        expect(error).toMatchObject({ code: "MODEL_INVALID", message: expect.stringContaining(blamed ?? "") });
        expect((error as Error).message).toContain(name);
    });
});

describe("memory", () => {
    // Keys of these are compressed, so that no tensor tells how long they are.
    const compressed = listArchitectures().get("deepseek2-moe")?.() as Gguf;
    const claims: [string, Gguf, object, RegExp][] = [
        [
            "keys of 50 million numbers",
            withMetadata(compressed, { "deepseek2.attention.key_length": uint32(5e7) }),
            {},
            /./,
        ],
        [
            "a cache of 268 million tokens",
            small,
            { contextSize: 1 << 22, cacheTokens: 1 << 28 },
            /contexts of 268435456 tokens/,
        ],
        [
            "the same by the header, where it was asked for",
            withMetadata(small, { "llama.context_length": uint32(2 ** 31) }),
            { contextSize: 1 << 22, cacheTokens: 1 << 28 },
            /contexts of 268435456 tokens/,
        ],
    ];
    test.each(claims)("%s", async (_, gguf, options, said) => {
        writeGguf(file, gguf);
        const before = process.memoryUsage.rss();
        const loading = loadOnCpu(soloRecipe(file), { trust: true, ...options });
        const error = (await loading.catch((reason: unknown) => reason)) as Error;
        expect(error).toMatchObject({ code: "MEMORY_EXCEEDED", message: expect.stringContaining("model.gguf") });
        expect(error.message).toMatch(said);
        expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 29);
    });

    it("is not reserved for what the header alone calls long", async () => {
        writeGguf(file, withMetadata(small, { "llama.context_length": uint32(2 ** 31) }));
        const ensemble = await loadOnCpu(soloRecipe(file));
        expect({ contextSize: ensemble.contextSize, plan: ensemble.plan }).toEqual({
            contextSize: 4096,
            plan: undefined,
        });
        await ensemble.dispose();
    });

    it("of any architecture is planned with numbers, and never more than what decides whether to plan", async () => {
        const settings = { contextSize: 256, sequences: 4, batchSize: 512 };
        for (const [name, build] of listArchitectures()) {
            writeGguf(file, build());
            const { members } = await planMemory(soloRecipe(file), settings);
            const { ram = NaN } = members[0]?.context ?? {};
            const most = maxContextBytes(loadBinding().readHeader(file), { ...settings, cacheTokens: 4 * 256 });
            expect({ name, ram, fits: ram > 0 && ram <= most }).toEqual({ name, ram, fits: true });
        }
    });
});
