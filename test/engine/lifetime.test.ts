/** Promise 6: what is disposed is gone, what is gone says so, and nothing outlives its process or keeps it alive. */

import { copyFileSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import { collect, complete, score, tokenText, type Ensemble } from "../../src/index.js";
import {
    demoFile,
    demoRecipe,
    loadOnCpu,
    mappedModels,
    QUESTIONS,
    repository,
    soloRecipe,
    upscalingRecipe,
} from "../helpers/demo.js";
import { readGguf, writeGguf } from "../helpers/gguf.js";
import { runProgram } from "../helpers/program.js";
import { temporaryFolder } from "../helpers/temporary.js";

const DISPOSED = expect.objectContaining({ name: "EftError", code: "DISPOSED" }) as unknown;
const greedy = { prompt: QUESTIONS[0], sampling: { temperature: 0 } };
const ANSWER = "Its capital is Lima.";
const endless = { ...greedy, logitBias: { 2: -Infinity } };

describe("dispose()", () => {
    test("may be called again, at once and later", async () => {
        const ensemble = await loadOnCpu(upscalingRecipe());
        expect(ensemble.disposed).toBe(false);
        await Promise.all([ensemble.dispose(), ensemble.dispose(), ensemble[Symbol.asyncDispose]()]);
        await ensemble.dispose();
        expect(ensemble.disposed).toBe(true);
    });

    test("gives the models' memory back without waiting for a garbage collection", async () => {
        const before = mappedModels();
        const ensemble = await loadOnCpu(upscalingRecipe());
        const { members } = ensemble;
        if (process.platform === "linux") expect(mappedModels()).toHaveLength(before.length + 3);
        await ensemble.dispose();
        expect(mappedModels()).toEqual(before);
        expect(members).toHaveLength(3);
    });

    test("leaves models that another ensemble uses", async () => {
        const [one, two] = [await loadOnCpu(upscalingRecipe()), await loadOnCpu(upscalingRecipe())];
        // Each file once, although two ensembles have loaded it.
        if (process.platform === "linux") expect(mappedModels()).toHaveLength(3);
        await one.dispose();
        expect((await collect(complete(two, greedy))).text).toBe(ANSWER);
        await two.dispose();
        expect(mappedModels()).toEqual([]);
    });

    test.each([
        ["being evaluated", 0],
        ["between two tokens", 1],
        ["some tokens later", 5],
    ])("ends a completion: %s", async (_name, tokens) => {
        const ensemble = await loadOnCpu(upscalingRecipe());
        const completion = complete(ensemble, endless);
        for (let i = 0; i < tokens; i++) await completion.next();
        // The next token may have been drawn already.
        const rest = (async () => {
            while ((await completion.next()).done !== true) continue;
        })();
        await Promise.all([expect(rest).rejects.toEqual(DISPOSED), ensemble.dispose()]);
        expect(await completion.next()).toEqual({ done: true, value: undefined });
    });

    test("ends everything that runs or waits", async () => {
        const ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 2 });
        const held = complete(ensemble, endless);
        await held.next();
        const work = [
            ...[1, 2, 3].map(() => collect(complete(ensemble, endless))),
            score(
                ensemble,
                Array.from({ length: 20 }, (_, i) => ({ context: "Lima", continuation: ` ${i}` })),
            ),
        ];
        await Promise.all([...work.map((item) => expect(item).rejects.toEqual(DISPOSED)), ensemble.dispose()]);
        await expect(held.next()).rejects.toEqual(DISPOSED);
    });
});

test("every use after dispose() is an error with a code", async () => {
    const ensemble = await loadOnCpu(upscalingRecipe());
    const { members } = ensemble;
    const early = complete(ensemble, greedy);
    await ensemble.dispose();
    await expect(early.next()).rejects.toEqual(DISPOSED);
    await expect(score(ensemble, [])).rejects.toEqual(DISPOSED);
    const [{ model, prompt }] = members as [Ensemble["members"][number]];
    const uses: Record<string, () => unknown> = {
        complete: () => complete(ensemble, greedy),
        setParameters: () => ensemble.setParameters({ beta: 1 }),
        tokenText: () => tokenText(ensemble, 1),
        tokenize: () => ensemble.tokenize("a"),
        detokenize: () => ensemble.detokenize([1]),
        countTokens: () => ensemble.countTokens([{ role: "user", content: "" }]),
        scheduler: () => ensemble.scheduler,
        "prompt.tokenize": () => prompt.tokenize([{ role: "user", content: "" }]),
        "model.tokenizeAll": () => model.tokenizeAll([""], true, true),
        "model.tokenizerHash": () => model.tokenizerHash(),
        "model.tokenize": () => model.tokenize("", true, true),
        "model.detokenize": () => model.detokenize(Int32Array.of(1), true),
        "model.tokenTexts": () => model.tokenTexts(0, 1),
        "model.tokenAttributes": () => model.tokenAttributes(),
        "model.endOfGeneration": () => model.endOfGeneration(),
        "model.vocabularyHash": () => model.vocabularyHash(1),
    };
    for (const [name, use] of Object.entries(uses)) {
        let thrown: unknown;
        try {
            await use();
        } catch (error) {
            thrown = error;
        }
        expect({ name, thrown }).toEqual({ name, thrown: DISPOSED });
    }
    // What was known before stays known.
    expect(ensemble.recipe.name).toBe("test");
    expect(ensemble.vocabulary.size).toBe(2048);
    expect(model.info.vocabularySize).toBe(2048);
});

test("two ensembles run at the same time", async () => {
    const [upscaled, solo] = [await loadOnCpu(upscalingRecipe()), await loadOnCpu(soloRecipe(demoFile("large-chat")))];
    const questions = QUESTIONS.slice(0, 4);
    const ask = (ensemble: Ensemble, prompt: string): Promise<string> =>
        collect(complete(ensemble, { prompt, sampling: { temperature: 0 }, maxTokens: 20 })).then(({ text }) => text);
    const apart = [
        ...(await Promise.all(questions.map((question) => ask(upscaled, question)))),
        ...(await Promise.all(questions.map((question) => ask(solo, question)))),
    ];
    const together = await Promise.all([upscaled, solo].flatMap((e) => questions.map((question) => ask(e, question))));
    expect(together).toEqual(apart);
    expect(together[0]).toBe(ANSWER);
    await Promise.all([upscaled.dispose(), solo.dispose()]);
});

test("members of one file share it", async () => {
    const recipe = demoRecipe(`
members:
    one: { model: small-chat-f16.gguf }
    two: { model: ./small-chat-f16.gguf, prompt: { template: plain } }
    three: { model: small-base-f16.gguf }
combination: one + two - three
prompt: { template: from one }`);
    const ensemble = await loadOnCpu(recipe);
    if (process.platform === "linux") expect(mappedModels()).toHaveLength(2);
    await ensemble.dispose();
});

describe("a file that is asked for again", () => {
    /** How often files of models are mapped, by Linux's account. */
    const mappings = (): number =>
        readFileSync("/proc/self/maps", "utf8")
            .split("\n")
            .filter((line) => line.includes(".gguf")).length;

    test("while it is being loaded is loaded once", async () => {
        if (process.platform !== "linux") return;
        // Other tests of this process may have left some behind: where llama.cpp fails, nothing can be freed.
        const before = mappings();
        const alone = await loadOnCpu(upscalingRecipe());
        const once = mappings();
        await alone.dispose();
        const ensembles = await Promise.all([1, 2, 3, 4].map(() => loadOnCpu(upscalingRecipe())));
        expect(mappings()).toBe(once);
        await Promise.all(ensembles.slice(1).map((ensemble) => ensemble.dispose()));
        expect((await collect(complete(ensembles[0] as Ensemble, greedy))).text).toBe(ANSWER);
        await ensembles[0]?.dispose();
        expect(mappings()).toBe(before);
    });

    test("while a load of it is aborted or fails is loaded all the same", async () => {
        for (const stop of [0, 0.4]) {
            const controller = new AbortController();
            const aborted = loadOnCpu(upscalingRecipe(), {
                signal: controller.signal,
                onProgress: (fraction) => {
                    if (fraction >= stop) controller.abort();
                },
            });
            const [wanted] = await Promise.all([
                loadOnCpu(upscalingRecipe()),
                expect(aborted).rejects.toMatchObject({ code: "ABORTED" }),
            ]);
            expect((await collect(complete(wanted, greedy))).text).toBe(ANSWER);
            await wanted.dispose();
        }
        expect(mappedModels()).toEqual([]);
    });

    test("after it was replaced is read anew", async () => {
        const { folder, remove } = temporaryFolder();
        const file = path.join(folder, "model.gguf");
        copyFileSync(demoFile("small-base"), file);
        const before = await loadOnCpu(soloRecipe(file));
        rmSync(file);
        copyFileSync(demoFile("large-base"), file);
        const after = await loadOnCpu(soloRecipe(file));
        const [old, replaced] = [before, after].map(({ members }) => members[0]?.model.info.parameters ?? 0);
        expect(replaced).toBeGreaterThan(old ?? Infinity);
        await Promise.all([before.dispose(), after.dispose()]);
        remove();
    });
});

describe("a process", () => {
    // A process.exit() that waited for the work to end would take a quarter of a minute.
    test.each(["generate", "prefill", "load", "tokenize"])("exits in the middle of work: %s", async (what) => {
        const { exit, stdout, stderr, leavingSeconds } = await runProgram("exit-while-busy.mjs", { args: [what] });
        expect({ exit, stdout, stderr }).toEqual({ exit: 7, stdout: "leaving\n", stderr: "" });
        expect(leavingSeconds).toBeLessThan(12);
    });

    test("ends by itself when an ensemble is idle", async () => {
        const { exit, stdout, stderr } = await runProgram("idle.mjs");
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: `${ANSWER}\n`, stderr: "" });
    });

    test("has ensembles in worker threads, which may be terminated", async () => {
        const { exit, stdout, stderr } = await runProgram("worker.mjs");
        const lines = [ANSWER, "load true", "generate true", "generate true", "left alone true", ""];
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: lines.join("\n"), stderr: "" });
    });

    test.each(["alone", "beside"])("survives worker threads that are terminated at any moment: %s", async (company) => {
        const { exit, stdout, stderr } = await runProgram("terminate.mjs", { args: [company] });
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: "done\n", stderr: "" });
    });

    test("outlives a storm of aborts and disposals in several threads", async () => {
        const { exit, stdout, stderr } = await runProgram("storm.mjs", { args: [repository, "1", "2"], seconds: 110 });
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: "calm\n", stderr: "" });
    });

    test("collects ensembles that nobody has disposed", async () => {
        if (process.platform !== "linux") return;
        const { exit, stdout, stderr } = await runProgram("forgotten.mjs", { flags: ["--expose-gc"] });
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: "3 0\n3 0\n", stderr: "" });
    });

    test.each(["before", "after"])("has node-llama-cpp beside us, loaded %s", async (order) => {
        const { folder, remove } = temporaryFolder();
        const damaged = path.join(folder, "damaged.gguf");
        writeGguf(damaged, { ...readGguf(demoFile("small-base")), tensors: [] });
        const { exit, stdout, stderr } = await runProgram("neighbour.mjs", { args: [order, damaged] });
        remove();
        const answers = [...(order === "before" ? [ANSWER] : []), ANSWER, ANSWER + ANSWER, ANSWER, ANSWER];
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: `${answers.join("\n")}\ntrue\n`, stderr: "" });
    });

    test.each([
        ["load", 200],
        ["generate", 1000],
    ])("does not grow: %s, %d times", async (what, cycles) => {
        const { exit, stdout, stderr } = await runProgram("memory.mjs", {
            args: [what, String(cycles)],
            // A young generation that is full at once, no optimizing compiler (its zones leave holes of 4 MiB in the heap),
            // and an allocator that keeps nothing back: what grows is leaked.
            flags: ["--expose-gc", "--max-semi-space-size=1", "--no-opt"],
            env: { MALLOC_ARENA_MAX: "1", MALLOC_TRIM_THRESHOLD_: "65536" },
        });
        expect({ exit, stderr }).toEqual({ exit: 0, stderr: "" });
        const resident = JSON.parse(stdout) as number[];
        console.log(`resident MiB after each tenth of ${cycles} times ${what}: ${resident.join(", ")}`);
        // One leaked copy of the small model in all is 0.9 MiB. Other allocators than glibc's have their own ways.
        const growth = Math.min(...resident.slice(-3)) - Math.max(...resident.slice(3, 6));
        expect(growth).toBeLessThan(process.platform === "linux" ? 2 : 30);
    });
});
