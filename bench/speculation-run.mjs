// What all parts of the speculation benchmark run: one completion, from its first token to the end of a block.

import { createRecipe } from "./families.mjs";

/** A drafter that does not draft, in the ensembles of {@link load}: proposals are all there is. */
export const NO_DRAFTER = "none * chat";

/** Parameters with which the drafter is not read: what is then evaluated is what verifies its drafts. */
export const WITHOUT_DRAFTER = { on: 0 };

/** @param options - `backend`, `threads`, `sequences` (default 1) */
export function load(library, family, { backend, threads, sequences = 1 }) {
    const combination = family.combination.replace(/\bchat\b/, "on * chat");
    const range = { min: 0, max: 1 };
    const parameters = { on: { default: 1, ...range }, none: { default: 0, ...range } };
    const recipe = {
        ...createRecipe(library, { ...family, combination, parameters: { on: parameters.on } }),
        parameters,
    };
    return library.loadEnsemble(recipe, { backend, contextSize: 256, threads, sequences });
}

/**
 * Completes until there are so many tokens and the block is complete. Nothing comes to its end before, where blocks would get
 * shorter: neither the text nor the room for it.
 *
 * @returns `besideMs`: all but decoding, per step; `steps`: those after the one of the prompt
 */
export async function generate(library, ensemble, { tokens, ...options }) {
    const controller = new AbortController();
    const ids = [];
    const completion = library.complete(ensemble, {
        ...{ raw: true, ...options, logitBias: forbidEnd(ensemble), signal: controller.signal },
    });
    for await (const part of completion) {
        if (part.type === "token") {
            ids.push(part.id);
            if (ids.length === tokens) controller.abort();
            continue;
        }
        const { timings, speculation, promptTokens } = part;
        const { tokensPerSecond, generationMs, decodeMs } = timings;
        const steps = speculation?.steps ?? ids.length - 1;
        const besideMs = (generationMs - sum(Object.values(decodeMs))) / steps;
        return { tokensPerSecond, steps, besideMs, statistics: speculation, ids, promptTokens };
    }
}

/** No token that ends a text, so that all texts have the same length. */
export function forbidEnd({ vocabulary: { endOfGeneration } }) {
    const ids = [...endOfGeneration.keys()].filter((id) => endOfGeneration[id] === 1);
    return Object.fromEntries(ids.map((id) => [id, -Infinity]));
}

/** Of several completions together. */
export function addStatistics(all) {
    const total = (value) => sum(all.map(value));
    const [accepted, blocks] = [total(({ accepted }) => accepted), total(({ blocks }) => blocks)];
    return {
        acceptanceRate: accepted / total(({ verifiedAt }) => sum(verifiedAt)),
        acceptanceLength: (accepted + blocks) / blocks,
        draftsPerStep: total(({ drafted }) => drafted) / total(({ steps }) => steps),
    };
}

export function sum(values) {
    return values.reduce((total, value) => total + value, 0);
}
