/** The check of one model: what it is, its tokenizer, its numbers and texts beside those of node-llama-cpp, its speed. */

import { performance } from "node:perf_hooks";
import type { Verdict } from "../ensemble/check.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { loadEnsemble } from "../ensemble/host.js";
import { planPlacement } from "../ensemble/inspect.js";
import { EftError } from "../errors.js";
import { formatBytes } from "../models/bytes.js";
import { loadBinding } from "../native/load-binding.js";
import { plural } from "../plural.js";
import { parseRecipe } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { compareWithAlone, evaluateHere, type OwnEvaluation } from "./against-alone.js";
import { exercise } from "./exercise.js";
import { createRenderer, describeFile, describeMemoryOf, describeTemplate, describeVocabulary } from "./facts.js";
import { createPart, type CheckSetup, type Part, type Subject } from "./part.js";
import { QUESTION, STORY, TEXTS } from "./samples.js";
import type { CheckedPart } from "./types.js";

const MIN_CONTEXT_SIZE = 256;
const USUAL_CONTEXT_SIZE = 1024;

export async function checkModel({ name, spec }: Subject, setup: CheckSetup): Promise<CheckedPart> {
    const part = createPart(name, setup);
    const isReadable = await part.run("file", () => ({ verdict: describeFile(spec.model), result: true }));
    if (isReadable === undefined) return part.finish();
    const own = await withLoaded(soloRecipe(spec), part, setup, (ensemble) => examine(ensemble, part, setup));
    // Behind the end of the ensemble, so that weights are not in memory twice.
    if (own !== undefined) await compareWithAlone(own, spec, part, setup);
    return part.finish();
}

/** Loads, uses, and disposes; undefined where loading fails, which is a finding. */
export async function withLoaded<T>(
    recipe: Recipe,
    part: Part,
    setup: CheckSetup,
    use: (ensemble: Ensemble) => Promise<T>,
): Promise<T | undefined> {
    const { options, threads } = setup;
    const contextSize = chooseContextSize(recipe);
    const { gpuLayers, cacheType, trust, signal, onTrial } = options;
    const [before, start] = [process.memoryUsage.rss(), performance.now()];
    let ensemble: Ensemble | undefined;
    const load = async () => {
        ensemble = await loadEnsemble(recipe, {
            ...{ backend: setup.backend.backend, threads, contextSize, gpuLayers, cacheType, trust, signal, onTrial },
            sequences: 1,
        });
        part.measured.loadSeconds = (performance.now() - start) / 1000;
        const kinds = ensemble.members.flatMap(({ model }) => describeMemoryOf(model) ?? []);
        const verdict = [`in ${formatSeconds(part.measured.loadSeconds)}`, ...new Set(kinds)].join("; ");
        return { verdict, result: ensemble };
    };
    try {
        const loaded = await part.run("loading", load);
        if (loaded === undefined) return undefined;
        const result = await use(loaded);
        await part.run("memory", async () => {
            const used = Math.max(0, process.memoryUsage.rss() - before);
            const placement = { contextSize, gpuLayers, cacheType, sequences: 1 };
            const { total } = await planPlacement(loaded.recipe, placement, setup.backend);
            part.measured.usedBytes = used;
            part.measured.plannedBytes = total;
            const gpu = total.gpu > 0 ? ` and ${formatBytes(total.gpu)} on the GPU` : "";
            return `planned ${formatBytes(total.ram)}${gpu} for ${contextSize} tokens; the process took ${formatBytes(used)} more`;
        });
        return result;
    } finally {
        // Also if the check ends as soon as it is loaded.
        await ensemble?.dispose();
    }
}

function formatSeconds(seconds: number): string {
    return `${seconds < 0.1 ? Number(seconds.toPrecision(1)) : seconds.toFixed(1)} s`;
}

/** Enough for all texts of the check. */
function chooseContextSize({ members }: Recipe): number {
    const trained = members.flatMap(({ model }) => {
        const { architecture, entries } = loadBinding().readHeader(model);
        const size = entries.find(([key]) => key === `${architecture}.context_length`)?.[1];
        return typeof size === "number" && size > 0 ? [size] : [];
    });
    return Math.max(MIN_CONTEXT_SIZE, Math.min(USUAL_CONTEXT_SIZE, ...trained));
}

/** Unused tokens too are compared with node-llama-cpp, which knows no others. */
function soloRecipe({ model, lora }: Subject["spec"]): Recipe {
    return parseRecipe(
        JSON.stringify({
            ...{ eft: 1, name: "check", members: { model: { model, ...(lora && { lora }) } } },
            ...{ combination: "model", unusedTokens: "keep", prompt: { template: "plain" } },
        }),
    );
}

async function examine(ensemble: Ensemble, part: Part, { options }: CheckSetup): Promise<OwnEvaluation | undefined> {
    const [member] = ensemble.members;
    if (member === undefined) return undefined;
    const { model } = member;
    await part.run("vocabulary", () => describeVocabulary(model, member.spec.model));
    const renderer = await part.run("template", async () => {
        if (model.info.chatTemplate === undefined) return "none: prompts are shown as they are";
        const created = createRenderer(model, { kind: "from", member: "model" });
        return { verdict: await describeTemplate(model, created), result: created };
    });
    await part.run("there and back", () => checkTexts(ensemble));
    const { signal } = options;
    await exercise(ensemble, part, signal);
    return part.run("evaluation", async () => {
        const question = await renderer?.tokenize([{ role: "user", content: QUESTION }]);
        return { result: await evaluateHere(ensemble, question ?? model.tokenize(STORY, true, false), signal) };
    });
}

/** @throws EftError DECODE_FAILED */
async function checkTexts(ensemble: Ensemble): Promise<Verdict> {
    const wrong: string[] = [];
    for (const text of TEXTS) {
        const back = ensemble.detokenize(await ensemble.tokenize(text));
        if (back !== text) wrong.push(`${JSON.stringify(text)} comes back as ${JSON.stringify(back)}`);
    }
    if (wrong.length === 0)
        return `${plural(TEXTS.length, "text")} of many kinds become tokens, and the same texts again`;
    throw new EftError(
        "DECODE_FAILED",
        `${wrong.length} of ${plural(TEXTS.length, "text")} change: ${wrong.join("; ")}`,
    );
}
