/** What a user can get wrong: one clear sentence each, that names the file or the value and says what to do. */

import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    loadEnsemble,
    score,
    type CompletionOptions,
    type Ensemble,
    type ScoreOptions,
} from "../../src/index.js";
import {
    demoFile,
    demoRecipe,
    loadOnCpu,
    QUESTIONS,
    soloRecipe,
    upscalingRecipe,
    withEnsemble,
} from "../helpers/demo.js";
import { GGML_TYPE, readGguf, withMetadata, writeGguf, type Gguf, type MetadataValue } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const inFolder = (name: string): string => path.join(folder, name);
const small = readGguf(demoFile("small-base"));

/** An EftError of that code whose message is one line or, after it, a list, and which hides no stack. */
const eftError = (code: string, message: RegExp): unknown =>
    expect.objectContaining({ name: "EftError", code, message: expect.stringMatching(message) as unknown });

describe("model files", () => {
    const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });
    const changed = (changes: Record<string, MetadataValue | undefined>): Gguf => withMetadata(small, changes);

    const files: [string, Buffer | Gguf | undefined, string, RegExp][] = [
        ["missing", undefined, "MODEL_NOT_FOUND", /missing\.gguf; correct the path\.$/],
        ["empty", Buffer.alloc(0), "MODEL_INVALID", /it has only 0 bytes\. Download or convert it again/],
        ["zeros", Buffer.alloc(10_000), "MODEL_INVALID", /its header cannot be read\. llama\.cpp says: .*magic/],
        ["text", Buffer.from("This is no model. ".repeat(99)), "MODEL_INVALID", /its header cannot be read/],
        ["truncated", readFileSync(demoFile("small-base")).subarray(0, -100_000), "MODEL_INVALID", /it is truncated/],
        ["cut-header", readFileSync(demoFile("small-base")).subarray(0, 2000), "MODEL_INVALID", /cannot be read/],
        ["no-layers", changed({ "llama.block_count": uint32(0) }), "MODEL_INVALID", /it announces 0 layers/],
        [
            "many-layers",
            changed({ "llama.block_count": uint32(1e9) }),
            "MODEL_INVALID",
            /it announces 1000000000 layers/,
        ],
        [
            "some-layers-more",
            changed({ "llama.block_count": uint32(4) }),
            "MODEL_INVALID",
            /its llama\.block_count is 4, and it has tensors of 3\./,
        ],
        ["no-heads", changed({ "llama.attention.head_count": uint32(0) }), "MODEL_INVALID", /head_count is 0/],
        [
            "many-heads",
            changed({ "llama.attention.head_count": uint32(2 ** 31) }),
            "MODEL_INVALID",
            /head_count is 2147483648/,
        ],
        ["no-width", changed({ "llama.embedding_length": uint32(0) }), "MODEL_INVALID", /embedding_length is 0/],
        [
            "huge-width",
            changed({ "llama.embedding_length": uint32(2 ** 31) }),
            "MODEL_INVALID",
            /embedding_length is 2147483648/,
        ],
        [
            "negative-epsilon",
            changed({ "llama.attention.layer_norm_rms_epsilon": { type: "float32", value: -1 } }),
            "MODEL_INVALID",
            /its llama\.attention\.layer_norm_rms_epsilon is -1\.0/,
        ],
        [
            "unknown-architecture",
            changed({ "general.architecture": { type: "string", value: "nothing" }, "nothing.block_count": uint32(3) }),
            "MODEL_LOAD_FAILED",
            /unknown model architecture: 'nothing'/,
        ],
        [
            "width-missing",
            changed({ "llama.embedding_length": undefined }),
            "MODEL_INVALID",
            /lacks llama\.embedding_length/,
        ],
        [
            "no-architecture",
            changed({ "general.architecture": undefined }),
            "MODEL_INVALID",
            /it names no architecture/,
        ],
        ["vocabulary-only", { ...small, tensors: [] }, "MODEL_LOAD_FAILED", /token_embd\.weight' not found/],
        [
            "one-tensor-missing",
            { ...small, tensors: small.tensors.slice(1) },
            "MODEL_LOAD_FAILED",
            /token_embd\.weight' not found/,
        ],
        ["adapter", loraAdapter(small, { rank: 2 }), "MODEL_UNSUPPORTED", /is a LoRA adapter.*name it as `lora`/],
        [
            "weights-of-integers",
            withType("blk.0.attn_q.weight", 26, 256),
            "MODEL_INVALID",
            /attn_q\.weight is of the type i32/,
        ],
        [
            "norms-of-halves",
            withType("output_norm.weight", GGML_TYPE.f16, 128),
            "MODEL_INVALID",
            /output_norm\.weight is of/,
        ],
    ];

    /** A tensor of rows of 64 elements with another type of elements, `bytes` a row. */
    function withType(name: string, type: number, bytes: number): Gguf {
        return {
            ...small,
            tensors: small.tensors.map((tensor) =>
                tensor.name === name ? { ...tensor, type, data: Buffer.alloc(bytes * (tensor.shape[1] ?? 1)) } : tensor,
            ),
        };
    }

    test.each(files)("%s", async (name, content, code, message) => {
        const file = inFolder(`${name}.gguf`);
        if (Buffer.isBuffer(content)) writeFileSync(file, content);
        else if (content !== undefined) writeGguf(file, content);
        const loading = loadOnCpu(soloRecipe(file));
        await expect(loading).rejects.toEqual(eftError(code, message));
        await expect(loading).rejects.toMatchObject({ message: expect.stringContaining(file) as unknown });
    });

    test("a folder", async () => {
        mkdirSync(inFolder("folder.gguf"));
        const loading = loadOnCpu(soloRecipe(inFolder("folder.gguf")));
        await expect(loading).rejects.toEqual(eftError("MODEL_NOT_FOUND", /is a folder; name a \.gguf file inside it/));
    });

    test("weights beyond the machine's memory", async () => {
        const file = inFolder("huge.gguf");
        const tensors = small.tensors.filter(({ name }) => name !== "blk.2.ffn_down.weight");
        const last = {
            name: "blk.2.ffn_down.weight",
            type: GGML_TYPE.f16,
            shape: [2 ** 20, 2 ** 20],
            data: Buffer.alloc(0),
        };
        writeGguf(file, { ...small, tensors: [...tensors, last] });
        // A hole: it takes no room on the disk.
        truncateSync(file, 2 ** 41 + 2 ** 24);
        const loading = loadOnCpu(soloRecipe(file));
        await expect(loading).rejects.toEqual(
            eftError(
                "MEMORY_EXCEEDED",
                /needs 2 TiB of memory \(huge\.gguf 2 TiB, contexts of .+\), and there are [\d.]+ GiB/,
            ),
        );
    });

    test("a model that is still to be downloaded", async () => {
        const loading = loadOnCpu(soloRecipe("hf:nobody/nothing:Q4_K_M"));
        await expect(loading).rejects.toEqual(
            eftError("MODEL_NOT_FOUND", /not been downloaded to .*eft-llama pull hf:nobody\/nothing:Q4_K_M/),
        );
    });

    test("weights that are not numbers", async () => {
        const file = inFolder("nan.gguf");
        const tensors = small.tensors.map((tensor) =>
            tensor.name === "output.weight" ? { ...tensor, data: Buffer.alloc(tensor.data.length, 0xff) } : tensor,
        );
        writeGguf(file, { ...small, tensors });
        await withEnsemble(soloRecipe(file), {}, async (ensemble) => {
            const error = eftError("NON_FINITE_LOGITS", /nan\.gguf produced logits that are not numbers/);
            await expect(collect(complete(ensemble, { prompt: "Lima" }))).rejects.toEqual(error);
            await expect(score(ensemble, [{ continuation: "Lima" }])).rejects.toEqual(error);
        });
        // One member of several; the others go on without it.
        const recipe = demoRecipe(`
members: { good: { model: small-chat-f16.gguf }, bad: { model: ${JSON.stringify(file)} } }
parameters: { beta: { default: 1 } }
combination: good + beta * bad
prompt: { template: from good }`);
        await withEnsemble(recipe, {}, async (ensemble) => {
            const request = { prompt: QUESTIONS[0], sampling: { temperature: 0 } };
            await expect(collect(complete(ensemble, request))).rejects.toMatchObject({ code: "NON_FINITE_LOGITS" });
            const without = await collect(complete(ensemble, { ...request, parameters: { beta: 0 } }));
            expect(without.reason).toBe("stop");
        });
    });
});

describe("one bad completion among good ones", () => {
    test("fails alone", async () => {
        await withEnsemble(upscalingRecipe("q8_0"), { sequences: 4 }, async (ensemble) => {
            const request = { prompt: QUESTIONS[0], sampling: { temperature: 0 } };
            const nothing = Object.fromEntries(Array.from({ length: 2048 }, (_, token) => [token, -Infinity]));
            const results = await Promise.allSettled(
                [request, { ...request, logitBias: nothing }, request, request].map((r) =>
                    collect(complete(ensemble, r)),
                ),
            );
            expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "fulfilled"]);
            expect(results[1]).toMatchObject({
                reason: eftError("NO_TOKEN_LEFT", /^Logit biases and masks exclude every token; allow at least one\.$/),
            });
        });
    });
});

describe("options", () => {
    let ensemble: Ensemble;
    beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe())));
    afterAll(() => ensemble.dispose());

    const request = { prompt: QUESTIONS[0] };
    const invalid = (message: RegExp): unknown => eftError("OPTION_INVALID", message);

    test.each<[string, object, RegExp]>([
        ["unknown", { tokens: 5 }, /^complete has no option tokens; there are: prompt, /],
        ["maxTokens", { maxTokens: -1 }, /^maxTokens must be a whole number from 0 to 2147483647, not -1\.$/],
        ["maxTokens", { maxTokens: "5" }, /^maxTokens .* not "5"\.$/],
        ["seed", { seed: 1.5 }, /^seed must be a whole number from 0 to 9007199254740991, not 1\.5\.$/],
        ["topLogprobs", { topLogprobs: 101 }, /^topLogprobs .* 0 to 100, not 101\.$/],
        ["temperature", { sampling: { temperature: NaN } }, /^temperature must be a number from 0 to 100, not NaN\.$/],
        ["topP", { sampling: { topP: 0 } }, /^topP /],
        ["topK", { sampling: { topK: 0.5 } }, /^topK /],
        ["minP", { sampling: { minP: 2 } }, /^minP /],
        ["repeatPenalty", { sampling: { repeatPenalty: 0 } }, /^repeatPenalty /],
        ["sampling", { sampling: { heat: 1 } }, /^sampling has no option heat/],
        ["stop", { stop: "." }, /^stop must be a list of texts, not "\."; write \["\."\]\.$/],
        ["stop", { stop: [""] }, /^stop must be at most 16 texts, none of them empty\.$/],
        ["stop", { stop: new Array<string>(17).fill("x") }, /^stop /],
        ["logitBias token", { logitBias: { 2048: 1 } }, /^logitBias takes token ids from 0 to 2047, .* not "2048"\.$/],
        ["logitBias name", { logitBias: { Lima: 1 } }, /^logitBias takes token ids .* not "Lima"\.$/],
        ["logitBias name", { logitBias: { "": 1 } }, /^logitBias takes token ids .* not ""\.$/],
        [
            "logitBias value",
            { logitBias: { 5: NaN } },
            /^logitBias of token 5 must be a number from -10000 to 10000, or -Infinity to forbid it, not NaN\.$/,
        ],
        ["prompt", { prompt: 5 }, /^prompt must be a text or a list of messages, each/],
        ["prompt", { prompt: [{ role: "user" }] }, /^prompt must be a text or a list of messages, each/],
        ["prompt", { prompt: [{ role: "poet", content: "" }] }, /^prompt must be a text or a list of messages, each/],
    ])("of complete: %s", (_name, options, message) => {
        expect(() => complete(ensemble, { ...request, ...options })).toThrow(invalid(message));
    });

    test.each<[string, object, RegExp]>([
        ["unknown", { gpu: true }, /^loadEnsemble has no option gpu; did you mean "gpuLayers"\?/],
        ["backend", { backend: "abacus" }, /^backend must be one of auto, cpu, vulkan, cuda, metal, not "abacus"\.$/],
        ["threads", { threads: 0 }, /^threads must be a whole number from 1 to \d+, not 0\.$/],
        ["threads", { threads: 1e6 }, /^threads /],
        ["sequences", { sequences: 65 }, /^sequences must be a whole number from 1 to 64, not 65\.$/],
        ["batchSize", { batchSize: 31 }, /^batchSize must be a whole number from 32 to 8192, not 31\.$/],
        ["batchSize", { batchSize: 48, sequences: 64 }, /^batchSize must be a whole number from 64 to 8192, not 48\.$/],
        ["contextSize", { contextSize: 7 }, /^contextSize must be a whole number from 8 to /],
        ["contextSize", { contextSize: 2 ** 30 }, /^contextSize /],
        ["gpuLayers", { gpuLayers: 1.5 }, /^gpuLayers must be a whole number/],
        ["gpuLayers", { gpuLayers: -2 }, /^gpuLayers must be a whole number/],
    ])("of loadEnsemble: %s", async (_name, options, message) => {
        const loading = loadEnsemble(upscalingRecipe(), { backend: "cpu", ...options });
        await expect(loading).rejects.toEqual(invalid(message));
    });

    test("of score", async () => {
        await expect(score(ensemble, [], { chatty: true } as ScoreOptions)).rejects.toEqual(
            invalid(/^score has no option chatty; did you mean "chat"\?$/),
        );
        await expect(score(ensemble, [{ continuation: 5 as unknown as string }])).rejects.toEqual(
            invalid(/continuation/),
        );
        await expect(score(ensemble, [{ continuation: "", context: 5 as unknown as string }])).rejects.toEqual(
            invalid(/context/),
        );
    });

    test("that need more memory than there is", async () => {
        await expect(
            loadEnsemble(upscalingRecipe(), { backend: "cpu", contextSize: 2 ** 22, cacheTokens: 2 ** 27 }),
        ).rejects.toEqual(
            eftError("MEMORY_EXCEEDED", /contexts of 134217728 tokens [\d.]+ [GT]iB.* What helps: .*a smaller context/),
        );
    });

    test("parameters", async () => {
        const unknown = eftError("PARAMETER_UNKNOWN", /^The recipe "test" has no parameter "beat"; .*beta/);
        const range = eftError("PARAMETER_RANGE", /"beta" .* from 0 to 2.*not 2\.5\.$/);
        const calls = (parameters: Record<string, number>): (() => unknown)[] => [
            () => complete(ensemble, { ...request, parameters }),
            () => complete(ensemble, request).setParameters(parameters),
            () => ensemble.setParameters(parameters),
        ];
        for (const call of calls({ beat: 1 })) expect(call).toThrow(unknown);
        for (const call of calls({ beta: 2.5 })) expect(call).toThrow(range);
        await expect(score(ensemble, [], { parameters: { beat: 1 } })).rejects.toEqual(unknown);
        await expect(score(ensemble, [], { parameters: { beta: 2.5 } })).rejects.toEqual(range);
        expect(ensemble.parameters).toEqual({ beta: 1 });
    });

    test("prompts", async () => {
        const run = (options: CompletionOptions): Promise<unknown> => collect(complete(ensemble, options));
        const long = "Lima is the capital of Peru. ".repeat(32);
        await expect(run({ prompt: long })).rejects.toEqual(
            eftError(
                "CONTEXT_OVERFLOW",
                /^The prompt has 26\d tokens for member large; the context holds 256 and .* at most 255 fit\. Shorten/,
            ),
        );
        await expect(score(ensemble, [{ continuation: "Lima" }, { continuation: long }])).rejects.toEqual(
            eftError("CONTEXT_OVERFLOW", /^Text 2 has \d+ tokens; the context scores at most 257\. Split the text/),
        );
        // Far too long: the end is not even looked at, which would take minutes.
        const endless = "[INST]".repeat(200_000);
        await expect(run({ prompt: endless })).rejects.toEqual(
            eftError("CONTEXT_OVERFLOW", /^The prompt has more than 256 tokens for member large; .* at most 255 fit\./),
        );
        await expect(score(ensemble, [{ continuation: endless }])).rejects.toEqual(
            eftError("CONTEXT_OVERFLOW", /^Text 1 has far too many tokens; the context scores at most 257\./),
        );
        // The longest that fits leaves room for one token.
        const fits = await collect(complete(ensemble, { prompt: " Lima".repeat(127), raw: true, seed: 1 }));
        expect(fits).toMatchObject({ promptTokens: { large: 255 }, reason: "length", tokens: 1 });
    });
});

describe("prompts without tokens", () => {
    test("where the tokenizer adds none", async () => {
        const file = inFolder("no-bos.gguf");
        writeGguf(file, withMetadata(small, { "tokenizer.ggml.add_bos_token": { type: "bool", value: false } }));
        await withEnsemble(soloRecipe(file), {}, async (ensemble) => {
            await expect(collect(complete(ensemble, { prompt: "" }))).rejects.toEqual(
                eftError("PROMPT_EMPTY", /^The prompt has no tokens for member solo; write something into it\.$/),
            );
            expect(await score(ensemble, [{ continuation: "Lima" }])).toHaveLength(1);
        });
    });
});

describe("templates", () => {
    test("that are not there or cannot be used", async () => {
        const file = inFolder("no-template.gguf");
        writeGguf(file, withMetadata(small, { "tokenizer.chat_template": undefined }));
        const recipe = (template: string) =>
            demoRecipe(`
members: { one: { model: ${JSON.stringify(file)} } }
combination: one
prompt: { template: ${JSON.stringify(template)} }`);
        await expect(loadOnCpu(recipe("from one"))).rejects.toEqual(
            eftError("TEMPLATE_MISSING", /chat template of member one, but its GGUF carries none\. Write a template/),
        );
        await expect(loadOnCpu(recipe("{% for %}"))).rejects.toEqual(
            eftError(
                "TEMPLATE_INVALID",
                /^The prompt template of member one \(written in the recipe\) cannot be parsed: line 1, near \{% for %\}: /,
            ),
        );
        await withEnsemble(recipe("{{ raise_exception('no system here') }}{{ messages }}"), {}, async (ensemble) => {
            await expect(collect(complete(ensemble, { prompt: "Lima" }))).rejects.toEqual(
                eftError("TEMPLATE_INVALID", /no system here/),
            );
        });
    });
});
