// Selective fusion against the target at every token and against exact speculation: what it saves, and how far its tokens'
// distributions are from the target's along the target's own texts.

import { withDisposables } from "./disposables.mjs";
import { createRecipe } from "./families.mjs";
import { describeSetting, format, printTable, summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";
import { generate, sum } from "./speculation-run.mjs";

const NATS = [0.1, 0.3, 1];
/** Random weights are unsure of everything: there, of so many of the tokens. */
const SHARES = [0.25, 0.5, 0.75];
const TEMPERATURE = 1;

/** @param options - `backend`, `threads` (default: the library's), `rounds`, `tokens` (of each completion) */
export async function benchSelective(library, family, { backend, threads, rounds, tokens }) {
    return withDisposables(async (keep) => {
        const options = { backend, threads, contextSize: 256, sequences: 1 };
        const ensemble = await keep(library.loadEnsemble(createRecipe(library, family), options));
        const texts = Object.values(family.texts).flat();
        const positions = [];
        for (const [seed, prompt] of texts.entries())
            positions.push(...(await lookAlong(library, ensemble, prompt, seed, tokens)));
        const isTrained = texts.length > 1;
        const thresholds = isTrained ? NATS : quantiles(positions.map(({ entropy }) => entropy));
        const drafter = "chat";
        const contenders = {
            plain: false,
            "k = 4, exact": { drafter, length: 4 },
            "adaptive, exact": { drafter },
            ...Object.fromEntries(
                [...thresholds, 100].map((nats) => [`below ${nats} nats`, { drafter, selective: nats }]),
            ),
        };
        const results = await runRounds({ rounds }, Object.keys(contenders), async (_, order) => {
            const round = {};
            for (const name of order) {
                const runs = [];
                const before = process.cpuUsage();
                for (const [seed, prompt] of texts.entries()) {
                    const sampling = { temperature: TEMPERATURE };
                    const run = { prompt, seed, sampling, tokens, speculation: contenders[name] };
                    runs.push(await generate(library, ensemble, run));
                }
                const { user, system } = process.cpuUsage(before);
                const count = sum(runs.map(({ ids }) => ids.length));
                round[name] = {
                    cpuMs: (user + system) / 1000 / count,
                    ms: sum(runs.map(({ tokensPerSecond }) => 1000 / tokensPerSecond)) / runs.length,
                    drawn: sum(runs.map(({ statistics, ids }) => statistics?.tokens ?? ids.length - 1)),
                    unasked: sum(runs.map(({ statistics }) => statistics?.unasked ?? 0)),
                };
            }
            return round;
        });
        return {
            ...{
                family: family.name,
                shape: family.shape,
                backend: ensemble.backend.backend,
                threads: ensemble.threads,
            },
            ...{ texts: texts.length, tokens, temperature: TEMPERATURE },
            contenders: Object.entries(contenders).map(([name, speculation]) => ({
                name,
                ms: summarize(results.map((round) => round[name].ms)),
                speedup: summarize(results.map((round) => round.plain.ms / round[name].ms)),
                cpu: summarize(results.map((round) => round.plain.cpuMs / round[name].cpuMs)),
                asked:
                    1 -
                    sum(results.map((round) => round[name].unasked)) / sum(results.map((round) => round[name].drawn)),
                ...(speculation.selective !== undefined && distanceAt(positions, speculation.selective)),
            })),
        };
    });
}

/** At each token of a text of the target: the drafter's entropy, and how far the target is from it. */
async function lookAlong(library, ensemble, prompt, seed, tokens) {
    const sampling = { temperature: TEMPERATURE };
    const raw = { prompt, raw: true, seed, sampling, maxTokens: tokens, scores: true };
    const { parts } = await library.collect(library.complete(ensemble, raw));
    const continuation = Int32Array.from(parts, ({ id }) => id);
    const solo = library.soloView(ensemble, "chat");
    const [scored] = await library.score(solo, [{ context: prompt, continuation }], { scores: true });
    return parts.map(({ scores: target }, index) => compare(target, scored.scores[index]));
}

function compare(target, drafter) {
    let [entropy, divergence, totalVariation] = [0, 0, 0];
    for (let id = 0; id < target.length; id++) {
        const [p, q] = [Math.exp(target[id]), Math.exp(drafter[id])];
        if (q > 0) entropy -= q * drafter[id];
        if (p > 0) divergence += p * (target[id] - drafter[id]);
        totalVariation += Math.abs(p - q) / 2;
    }
    return { entropy, divergence, totalVariation };
}

/** Means over all tokens; those where the target is asked are its own. */
function distanceAt(positions, nats) {
    const unasked = positions.filter(({ entropy }) => entropy < nats);
    const mean = (key) => sum(unasked.map((position) => position[key])) / positions.length;
    return {
        divergence: mean("divergence"),
        totalVariation: mean("totalVariation"),
        along: 1 - unasked.length / positions.length,
    };
}

function quantiles(values) {
    const sorted = [...values].sort((a, b) => a - b);
    return SHARES.map((share) => Number(sorted[Math.floor(share * sorted.length)].toPrecision(3)));
}

export function printSelective(result) {
    printTable(
        `Selective fusion, temperature ${result.temperature}, ${result.texts} texts of ${result.tokens} tokens, ${describeSetting(result)}`,
        [
            "",
            "ms a token",
            "speed-up",
            "of processor time",
            "asked",
            "of the target's texts",
            "KL, nats",
            "total variation",
        ],
        result.contenders.map(({ name, ms, speedup, cpu, asked, along, divergence, totalVariation }) => [
            name,
            format(ms, 2),
            format(speedup, 2),
            format(cpu, 2),
            percent(asked),
            ...(along === undefined
                ? ["", "0", "0"]
                : [percent(along), divergence.toFixed(4), totalVariation.toFixed(4)]),
        ]),
    );
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;
