/** Numbers that are allowed and absurd: whatever they are, there is a token or an error, and never NaN or the end of the process. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    collect,
    complete,
    parseRecipe,
    score,
    type CompletionOptions,
    type CompletionResult,
    type Ensemble,
    type LogitBias,
    type Recipe,
    type SamplingOptions,
} from "../../src/index.js";
import { demoFile, loadOnCpu, QUESTIONS, withEnsemble, type DemoModel } from "../helpers/demo.js";
import { expectSameDraws } from "../helpers/draws.js";
import { fromFloat32, readGguf, readWeights, toFloat32, writeGguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { F32_BATCHING } from "../helpers/tolerances.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

const FAMILY: readonly DemoModel[] = ["large-base", "small-chat", "small-base"];
/** How much larger the logits of each variant are. Those of the last one are no floats any more. */
const SCALES = { ordinary: 1, large: 1e6, huge: 1e35, infinite: 3e38 } as const;
type Scale = keyof typeof SCALES;

beforeAll(() => {
    for (const model of FAMILY) {
        const gguf = toFloat32(readGguf(demoFile(model)));
        for (const [name, scale] of Object.entries(SCALES)) {
            const tensors = gguf.tensors.map((tensor) => {
                if (tensor.name !== "output_norm.weight") return tensor;
                const weights = readWeights(tensor.type, tensor.data).map((weight) => weight * scale);
                return { ...tensor, data: fromFloat32(weights) };
            });
            writeGguf(path.join(folder, `${model}-${name}.gguf`), { ...gguf, tensors });
        }
    }
});

const recipe = (scales: readonly [Scale, Scale, Scale], more = ""): Recipe =>
    parseRecipe(
        `
eft: 1
name: extremes
members:
    large: { model: large-base-${scales[0]}.gguf }
    chat: { model: small-chat-${scales[1]}.gguf }
    small: { model: small-base-${scales[2]}.gguf }
parameters: { beta: { default: 1 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
${more}`,
        { directory: folder },
    );

const run = (ensemble: Ensemble, options: Partial<CompletionOptions>): Promise<CompletionResult> =>
    collect(complete(ensemble, { prompt: QUESTIONS[0], seed: 1, maxTokens: 5, ...options }));

function expectProbabilities({ parts }: CompletionResult): void {
    expect(parts.length).toBeGreaterThan(0);
    for (const { logprob, scores = new Float32Array(), members = {} } of parts) {
        expect(logprob).toBeLessThanOrEqual(1e-6);
        expect(Number.isFinite(logprob)).toBe(true);
        expect(scores.every((value) => value <= 1e-6)).toBe(true);
        const mass = scores.reduce((sum, value) => sum + Math.exp(value), 0);
        expect(Math.abs(mass - 1)).toBeLessThan(1e-3);
        expect(Object.values(members).some(Number.isNaN)).toBe(false);
    }
}

const FILTERS = {
    plain: "",
    conservative: "conservative: { topP: 0.9, fallback: chat }",
    "control tokens by the fallback": "conservative: { topP: 1, fallback: chat }\ncontrolTokens: fallback",
    "a mixed fallback": "conservative: { topP: 0.5, fallback: 1e6 * chat - 0.5 * small }\ncontrolTokens: fallback",
};

describe.each(Object.entries(FILTERS))("%s", (_name, filter) => {
    test.each<[Scale, Scale, Scale]>([
        ["ordinary", "ordinary", "ordinary"],
        ["large", "ordinary", "large"],
        ["huge", "ordinary", "ordinary"],
        ["ordinary", "huge", "huge"],
        ["huge", "huge", "huge"],
    ])("logits that are %s, %s, %s, at any dial", async (...scales) => {
        await withEnsemble(recipe(scales, filter), { sequences: 1 }, async (ensemble) => {
            for (const beta of [-1e6, 1e-9, 1e6]) {
                const request = { parameters: { beta }, scores: true, memberLogprobs: true, topLogprobs: 2 };
                expectProbabilities(await run(ensemble, request));
                expectProbabilities(await run(ensemble, { ...request, speculation: { length: 3 } }));
                expectProbabilities(
                    await run(ensemble, { ...request, speculation: { length: 3, coupling: "maximal" } }),
                );
                const [text] = await score(ensemble, [{ continuation: "The capital is Lima." }], {
                    parameters: { beta },
                });
                expect(text?.logprobs.every((logprob) => logprob <= 1e-6 && Number.isFinite(logprob))).toBe(true);
            }
        });
    });
});

describe("ordinary logits", () => {
    let ensemble: Ensemble;
    beforeAll(async () => {
        ensemble = await loadOnCpu(recipe(["ordinary", "ordinary", "ordinary"]), { sequences: 1 });
    });
    afterAll(() => ensemble.dispose());

    test.each([-1e6, -100, 100, 1e6])("at beta %d, speculation changes nothing", async (beta) => {
        const request = { parameters: { beta }, sampling: { temperature: 1 } };
        const plain = await run(ensemble, { ...request, scores: true });
        const speculative = await run(ensemble, { ...request, speculation: { length: 3 } });
        expectSameDraws(speculative, plain, 1, Math.abs(beta) * F32_BATCHING);
    });

    const SAMPLINGS: Partial<SamplingOptions>[] = [
        { temperature: 1e-300 },
        { temperature: 100, topK: 1 },
        { topP: 1e-300 },
        { minP: 1, topK: 2 ** 31 - 1 },
        { repeatPenalty: 1e-300 },
        { repeatPenalty: 10, frequencyPenalty: 100, presencePenalty: 100, penaltyLastN: 65_536 },
        { repeatPenalty: 10, frequencyPenalty: -100, presencePenalty: -100, penaltyLastN: 65_536 },
    ];
    test.each(SAMPLINGS)("%j", async (sampling) => {
        for (const beta of [1, 1e6]) {
            const plain = await run(ensemble, { sampling, parameters: { beta }, scores: true });
            expectProbabilities(plain);
            const speculative = await run(ensemble, { sampling, parameters: { beta }, speculation: { length: 3 } });
            expect(speculative.parts).toHaveLength(plain.parts.length);
        }
    });

    test.each<LogitBias>([{ 5: 10_000 }, { 5: 10_000, 6: 10_000 }, { 5: -10_000 }, { 5: -Infinity }])(
        "the bias %j",
        async (logitBias) => {
            for (const beta of [1, 1e6]) {
                expectProbabilities(await run(ensemble, { logitBias, parameters: { beta }, scores: true }));
            }
        },
    );

    test.each([1e39, -1e39, 10_001, NaN, Infinity, "1"])("refuses the bias %p and says what is wrong", (bias) => {
        const logitBias = { 5: bias as number };
        expect(() => complete(ensemble, { prompt: "", logitBias })).toThrow(
            expect.objectContaining({
                code: "OPTION_INVALID",
                message:
                    "logitBias of token 5 must be a number from -10000 to 10000, or -Infinity to forbid it, not " +
                    `${typeof bias === "string" ? JSON.stringify(bias) : bias}.`,
            }),
        );
    });

    test.each([1e7, -1e38, 1e300, Infinity, NaN])("refuses the dial %d", async (beta) => {
        const refused = expect.objectContaining({ code: "PARAMETER_RANGE" });
        expect(() => complete(ensemble, { prompt: "", parameters: { beta } })).toThrow(refused);
        expect(() => ensemble.setParameters({ beta })).toThrow(refused);
        await expect(score(ensemble, [{ continuation: "x" }], { parameters: { beta } })).rejects.toEqual(refused);
    });
});

test("logits that are no numbers name their member's file, with every dial and filter", async () => {
    for (const more of Object.values(FILTERS)) {
        await withEnsemble(recipe(["ordinary", "infinite", "ordinary"], more), { sequences: 1 }, async (ensemble) => {
            for (const speculation of [false, { length: 2 }]) {
                await expect(run(ensemble, { speculation })).rejects.toMatchObject({
                    code: "NON_FINITE_LOGITS",
                    message: expect.stringContaining("small-chat-infinite.gguf") as unknown,
                });
            }
        });
    }
});

test("a dial at which nothing is left says so, and the text goes on when it is turned back", async () => {
    const dial = parseRecipe(
        "eft: 1\nname: zero\nmembers: { a: { model: small-chat-ordinary.gguf } }\nparameters: { w: { default: 1 } }\n" +
            "combination: w * a\n",
        { directory: folder },
    );
    await withEnsemble(dial, { sequences: 1 }, async (ensemble) => {
        const nothing = expect.objectContaining({
            code: "PARAMETER_RANGE",
            message:
                'With the parameters {"w":0}, "w * a" gives every member the weight 0, and nothing is left; set one of them to ' +
                "another value.",
        });
        expect(() => complete(ensemble, { prompt: "", parameters: { w: 0 } })).toThrow(nothing);
        const completion = complete(ensemble, { prompt: QUESTIONS[0], maxTokens: 4, seed: 1 });
        await completion.next();
        expect(() => completion.setParameters({ w: 0 })).toThrow(nothing);
        const { parts } = await collect(completion);
        expect(parts).toHaveLength(3);
    });
});
