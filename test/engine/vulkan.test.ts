/**
 * The Vulkan backend on lavapipe, a device in software (Debian: mesa-vulkan-drivers). ggml ignores such devices unless
 * they are named.
 */

import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { chooseBackend, type BackendName } from "../../src/native/backend.js";
import { packageRoot } from "../../src/native/load-binding.js";
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

async function run(prompt: string): Promise<{ unavailable?: string; answers: Answer[] }> {
    const { stdout } = await promisify(execFile)(process.execPath, [program, prompt], {
        env: { ...process.env, GGML_VK_VISIBLE_DEVICES: "0" },
    });
    return JSON.parse(stdout) as { unavailable?: string; answers: Answer[] };
}

describe("the Vulkan backend", () => {
    it(
        "gives the CPU's text, with all layers on the device and with one",
        async () => {
            const { unavailable, answers } = await run("What money do people in Eritrea use?");
            if (unavailable !== undefined) {
                console.warn(`Skipped, there is no Vulkan device: ${unavailable}`);
                return;
            }
            const [all, some, cpu] = answers as [Answer, Answer, Answer];
            expect([all.backend, some.backend, cpu.backend]).toEqual(["vulkan", "vulkan", "cpu"]);
            expect(all.devices).toHaveLength(1);
            expect(cpu.devices).toHaveLength(0);
            expect(cpu.text).toContain("nakfa");
            expect(all.speculative?.text).toBe(cpu.text);
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
