// Memory: what was planned against what llama.cpp says it has allocated, and against what is then missing on the device; how
// soon a completion ends that is aborted in a long prompt; and whether loading and disposing gives everything back.

import { setImmediate as turn, setTimeout as delay } from "node:timers/promises";
import { withDisposables } from "../disposables.mjs";
import { createRecipe, FAMILIES, findFamily } from "../families.mjs";
import { summarize } from "../report.mjs";
import { prepareFamily, randomFamilies, randomFamily } from "./models.mjs";
import { NotHere } from "./room.mjs";

const MIB = 2 ** 20;
const OPTIONS = { contextSize: 2048, sequences: 4 };
/** Rows of logits that steps will allocate: what a batch hands over, and what drafts keep (docs/memory.md). */
const LATER_ROWS = 512 + 17 * OPTIONS.sequences;
/** Tokens of the prompt that is aborted, and of one that shows how many there is time for. */
const [PROMPT_TOKENS, SHORT_TOKENS] = [3000, 300];
/** Parts of the time that the prompt takes, after which it is aborted. */
const MOMENTS = [0.1, 0.3, 0.5, 0.7, 0.9];
const CYCLES = 50;
/** What is planned against what is allocated, as in the tests. */
const PLANNED = [0.75, 1.25];
/** Fewer say nothing: what drivers and allocators take once is divided by them. */
const FEWEST_CYCLES = 20;
/** Cycles before, in which drivers and allocators reach their size. */
const WARM_UP_CYCLES = 10;
/** MiB a cycle. The smallest model and its context take more. */
const MOST_LEAKED = 0.5;

export async function measure(kit) {
    const { quick } = kit;
    const demo = { name: "demo", ...FAMILIES.demo, isHere: true };
    const families = quick
        ? [demo, randomFamilies(quick)[0]]
        : [demo, randomFamily("1.1b", "134m", "q4_0", 32_000), randomFamily("7b", "1.1b", "q4_0", 32_000)];
    const prepare = (family) => (family.isHere ? findFamily(family.name) : prepareFamily(kit, family));
    // The first use of a device takes memory that belongs to no model.
    await kit.attempt("first use", 10, async () => {
        const ensemble = await load(kit, await prepare(demo), {});
        await ensemble.dispose();
    });
    await kit.attempt(`${CYCLES} times loading and disposing`, 3, async (until) =>
        countLeaks(kit, await prepare(demo), until),
    );
    for (const [index, family] of families.entries()) {
        await kit.attempt(`${family.shape}: planned and allocated`, families.length - index + 1, async () =>
            comparePlan(kit, await prepare(family)),
        );
    }
    await kit.attempt("aborting in a long prompt", 1, async (until) =>
        timeAborts(kit, await prepare(quick ? demo : families.at(-1)), until),
    );
}

const load = ({ library, backend }, family, options) =>
    library.loadEnsemble(createRecipe(library, family), { backend, ...OPTIONS, ...options });

/** Bytes in use on the devices; NaN without one, and if it does not say, as devices in software do not. */
function deviceBytes({ library, native, backend }) {
    const names = library.chooseBackend(backend).devices.map(({ name }) => name);
    if (names.length === 0) return NaN;
    const devices = native
        .loadBinding()
        .devices()
        .filter(({ name }) => names.includes(name));
    return devices.reduce((sum, { memoryTotal, memoryFree }) => sum + memoryTotal - memoryFree, 0) || NaN;
}

async function comparePlan(kit, family) {
    const { library, native, backend } = kit;
    const recipe = createRecipe(library, family);
    const plan = await library.planMemory(recipe, {
        ...OPTIONS,
        room: library.memoryRoom(library.chooseBackend(backend)),
    });
    const before = deviceBytes(kit);
    const lines = [];
    const missing = await withDisposables(async (keep) => {
        native.loadBinding().setLog((_, text) => lines.push(text));
        try {
            await keep(load(kit, family, {}));
            // The log arrives by the event loop.
            await turn();
        } finally {
            native.loadBinding().setLog(undefined);
        }
        return deviceBytes(kit) - before;
    });

    const allocated = readAllocations(lines.join(""));
    recipe.members.forEach(({ model }, index) => {
        const { vocabularySize } = native.loadBinding().readHeader(model);
        if (allocated.contexts[index]) allocated.contexts[index].ram += 4 * vocabularySize * LATER_ROWS;
    });
    const place = backend === "cpu" ? "ram" : "gpu";
    const head = [
        "member",
        "layers",
        "weights planned",
        "weights allocated",
        "context planned",
        "context allocated",
        "context: planned / allocated",
    ];
    const title = `Planned and allocated, MiB of ${place === "gpu" ? "the device" : "memory"}, ${OPTIONS.sequences} sequences of ${OPTIONS.contextSize} tokens`;
    plan.members.forEach((member, index) => {
        const [weights, context] = [
            allocated.weights[index]?.[place] ?? NaN,
            allocated.contexts[index]?.[place] ?? NaN,
        ];
        kit.addRow(title, head, [
            ...[`${family.shape}: ${member.name}`, `${member.gpuLayers} of ${member.layers} on the device`],
            ...[mib(member.weights[place]), mib(weights), mib(member.context[place]), mib(context)],
            (member.context[place] / context).toFixed(2),
        ]);
    });
    const sum = (parts) => parts.reduce((total, part) => total + part[place], 0);
    const total = sum(allocated.weights) + sum(allocated.contexts);
    kit.addRow(
        "The whole, MiB",
        ["models", "planned", "allocated", "missing on the device", "planned / allocated"],
        [family.shape, mib(plan.total[place]), mib(total), mib(missing), (plan.total[place] / total).toFixed(2)],
    );
    const ratio = plan.total[place] / total;
    const [least, most] = PLANNED;
    kit.addGoal(
        `${family.shape}: planned ${least} to ${most} of what is allocated`,
        ratio.toFixed(2),
        ratio >= least && ratio <= most,
    );
    (kit.result.data.plans ??= []).push({ family: family.name, plan, allocated, missing });
}

/** Bytes by llama.cpp's log: of weights, once a file, and of contexts, once a member, in the order of loading. */
function readAllocations(log) {
    const [weights, contexts] = [[], []];
    const pattern =
        /(loaded meta data)|(constructing llama_context)|(\S+) +(model|KV|compute|output) buffer size = +([\d.]+) MiB/g;
    for (const [, isModel, isContext, buffer, kind, size] of log.matchAll(pattern)) {
        if (isModel) weights.push({ ram: 0, gpu: 0 });
        else if (isContext) contexts.push({ ram: 0, gpu: 0 });
        else {
            const part = (kind === "model" ? weights : contexts).at(-1);
            part[/^CPU|_Host$/.test(buffer) ? "ram" : "gpu"] += Number(size) * MIB;
        }
    }
    return { weights, contexts };
}

export async function countLeaks(kit, family, until) {
    const { library } = kit;
    const cycle = async (seed) => {
        await withDisposables(async (keep) => {
            const ensemble = await keep(load(kit, family, { contextSize: 256 }));
            await library.collect(library.complete(ensemble, { prompt: family.prompt, maxTokens: 8, seed }));
        });
    };
    const use = async () => {
        for (let i = 0; i < 3; i++) {
            globalThis.gc();
            await turn();
        }
        return { process: process.memoryUsage.rss(), device: deviceBytes(kit) };
    };
    for (let i = 0; i < WARM_UP_CYCLES && performance.now() < until; i++) await cycle(i);
    const before = await use();
    let cycles = 0;
    while (cycles < CYCLES && performance.now() < until) await cycle(cycles++);
    if (cycles < FEWEST_CYCLES)
        throw new NotHere(
            `There was time for ${cycles} of the ${FEWEST_CYCLES} times that it takes to tell leaks from noise.`,
        );
    const after = await use();
    for (const where of ["process", "device"]) {
        if (Number.isNaN(before[where])) continue;
        const leaked = (after[where] - before[where]) / cycles / MIB;
        const what = `memory of the ${where} after ${cycles} times loading and disposing`;
        const isGood = leaked < MOST_LEAKED;
        kit.result.checks.push({ what, leaked, isGood });
        kit.addRow(
            `Loading and disposing the demo family ${cycles} times, MiB`,
            ["memory of", "before", "after", "a cycle", "verdict"],
            [`the ${where}`, mib(before[where]), mib(after[where]), leaked.toFixed(3), isGood ? "ok" : "FAILED"],
        );
    }
}

async function timeAborts(kit, family, until) {
    const { library } = kit;
    const contextSize = 4096;
    const ensemble = await load(kit, family, { contextSize, sequences: 1 });
    try {
        const [{ model }] = ensemble.members;
        const perRepeat = model.tokenize(` ${family.prompt}`, false, false).length;
        // Every prompt begins differently, so that none is found in a cache.
        let number = 0;
        const run = async (tokens, signal) => {
            const prompt = `${number++}:${` ${family.prompt}`.repeat(Math.floor(tokens / perRepeat))}`;
            const start = performance.now();
            const result = await library.collect(
                library.complete(ensemble, { prompt, raw: true, maxTokens: 1, signal }),
            );
            return { ...result, ms: performance.now() - start };
        };
        await run(SHORT_TOKENS);
        const left = until - performance.now();
        const { ms } = await run(SHORT_TOKENS);
        const affordable = (SHORT_TOKENS * left) / ms / (3 * MOMENTS.length);
        const tokens = Math.max(SHORT_TOKENS, Math.min(PROMPT_TOKENS, affordable));
        const { promptTokens, ms: wholeMs } = await run(tokens);
        const latencies = [];
        for (let i = 0; i < 3 * MOMENTS.length && (i < MOMENTS.length || performance.now() < until); i++) {
            const controller = new AbortController();
            const completion = run(tokens, controller.signal);
            await delay(MOMENTS[i % MOMENTS.length] * wholeMs);
            const aborted = performance.now();
            controller.abort();
            const { reason } = await completion;
            if (reason === "abort") latencies.push(performance.now() - aborted);
        }
        if (latencies.length === 0) throw new NotHere("Every prompt was over before it could be aborted.");
        const { median } = summarize(latencies);
        kit.result.data.aborts = { wholeMs, latencies };
        kit.addRow(
            "Aborting in a long prompt, milliseconds until the completion has ended",
            ["models", "prompt", "all of it", "one batch of 512", "aborts", "median", "longest"],
            [
                ...[family.shape, `${promptTokens.large} tokens`, wholeMs.toFixed(0)],
                ((wholeMs * 512) / promptTokens.large).toFixed(1),
                ...[latencies.length, median.toFixed(1), Math.max(...latencies).toFixed(1)],
            ],
        );
    } finally {
        await ensemble.dispose();
    }
}

const mib = (bytes) => (Number.isNaN(bytes) ? "" : (bytes / MIB).toFixed(1));
