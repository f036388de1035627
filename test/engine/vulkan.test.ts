/**
 * The Vulkan backend on lavapipe, a device in software (Debian: mesa-vulkan-drivers). ggml ignores such devices unless
 * they are named.
 */

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import type { MemoryPlan } from "../../src/index.js";
import { run as runCli } from "../cli/run.js";
import { chooseBackend, type BackendName } from "../../src/native/backend.js";
import { packageRoot } from "../../src/package.js";
import { VULKAN_LOGPROB } from "../helpers/tolerances.js";

interface Answer {
    readonly backend: string;
    readonly devices: readonly string[];
    readonly text: string;
    readonly parts: readonly { readonly logprob: number }[];
    /** The same with blocks of drafts; of the first answer alone. */
    readonly speculative?: { readonly text: string; readonly accepted: number };
}

/** The first time on a machine, shaders are compiled for each size of batch, in software. */
const TIMEOUT = 400_000;

const program = path.join(packageRoot, "test", "engine", "programs", "vulkan.mjs");

interface Outcome {
    readonly unavailable?: string;
    readonly answers: readonly Answer[];
    /** Of a recipe whose files another one has put there with one layer on the device. */
    readonly beside: { readonly text: string; readonly layers: readonly number[] };
}

async function run(prompt: string): Promise<Outcome> {
    const { stdout } = await promisify(execFile)(process.execPath, [program, prompt], {
        env: { ...process.env, GGML_VK_VISIBLE_DEVICES: "0" },
    });
    return JSON.parse(stdout) as Outcome;
}

describe("the Vulkan backend", () => {
    it(
        "gives the CPU's text, with all layers on the device and with one",
        async () => {
            const { unavailable, answers, beside } = await run("What money do people in Eritrea use?");
            if (unavailable !== undefined) {
                console.warn(`Skipped, there is no Vulkan device: ${unavailable}`);
                return;
            }
            const [all, some, cpu] = answers as readonly [Answer, Answer, Answer];
            expect([all.backend, some.backend, cpu.backend]).toEqual(["vulkan", "vulkan", "cpu"]);
            expect(all.devices).toHaveLength(1);
            expect(cpu.devices).toHaveLength(0);
            expect(cpu.text).toContain("nakfa");
            expect(all.speculative?.text).toBe(cpu.text);
            expect(beside).toEqual({ text: cpu.text, layers: [1, 1, 1] });
            expect(all.speculative?.accepted).toBeGreaterThan(0);
            for (const { text, parts } of [all, some]) {
                expect(text).toBe(cpu.text);
                parts.forEach(({ logprob }, index) => {
                    expect(Math.abs(logprob - (cpu.parts[index]?.logprob ?? NaN))).toBeLessThan(VULKAN_LOGPROB);
                });
            }
        },
        TIMEOUT,
    );
});

describe("the memory plan of a Vulkan device", () => {
    it.each([4, 2])(
        "is what llama.cpp then allocates, with %i layers",
        async (layers) => {
            const env = { GGML_VK_VISIBLE_DEVICES: "0" };
            const flags = ["--backend", "vulkan", "--context-size", "4096", "--gpu-layers", `${layers}`];
            const inspection = await runCli(["inspect", "demo", "--json", ...flags], { env });
            if (inspection.stderr.includes("BACKEND_UNAVAILABLE") || inspection.code !== 0) {
                expect(inspection.stderr).toContain("The backend vulkan cannot be used");
                return;
            }
            const { memory } = JSON.parse(inspection.stdout) as { memory: MemoryPlan };
            const { stderr } = await runCli(
                ["complete", "-r", "demo", "--max-tokens", "1", "--verbose", ...flags, "Hi"],
                {
                    env,
                },
            );
            // llama.cpp's log, in MiB: weights once a file, cache and buffers once a member.
            const read = (pattern: RegExp): number[] =>
                [...stderr.matchAll(pattern)].map(([, number]) => Number(number));
            const weights = read(/Vulkan0 model buffer size = +([\d.]+) MiB/g);
            const caches = read(/Vulkan0 KV buffer size = +([\d.]+) MiB/g);
            const buffers = read(/Vulkan0 compute buffer size = +([\d.]+) MiB/g);
            expect([weights.length, caches.length, buffers.length]).toEqual([3, 3, 3]);
            memory.members.forEach((member, index) => {
                expect(member.gpuLayers).toBe(layers);
                expect(member.weights.gpu / 2 ** 20).toBeCloseTo(weights[index] ?? NaN, 1);
                const context = (caches[index] ?? NaN) + (buffers[index] ?? NaN);
                expect(member.context.gpu / 2 ** 20 / context).toBeGreaterThan(0.75);
                expect(member.context.gpu / 2 ** 20 / context).toBeLessThan(1.25);
            });
        },
        TIMEOUT,
    );
});

describe("a backend that is not there", () => {
    it("says why", () => {
        expect(() => chooseBackend(process.platform === "darwin" ? "vulkan" : "metal")).toThrow(
            expect.objectContaining({
                code: "BACKEND_UNAVAILABLE",
                message: expect.stringMatching(/cannot be used: .+/),
            }),
        );
    });

    it("is reported by auto, which takes what there is", () => {
        const { backend, rejected } = chooseBackend("auto");
        for (const { backend: wanted, reason } of rejected) {
            expect(reason).not.toBe("");
            // Asked for by name it is an error with the same reason.
            expect(() => chooseBackend(wanted as BackendName)).toThrow(
                expect.objectContaining({
                    code: "BACKEND_UNAVAILABLE",
                    message: `The backend ${wanted} cannot be used: ${reason}. Use --backend cpu or auto.`,
                }),
            );
        }
        if (backend === "cpu") expect(rejected.length).toBeGreaterThan(0);
    });
});
