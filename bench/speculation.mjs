// Drafting and verifying against plain steps. In every round all contenders complete the same prompts with the same seeds, in
// turn, and each round begins with another one; ratios are taken within a round. In between, batches are timed, and the
// formula of speculation-costs.mjs says what to expect of each draft length at the acceptance that was measured.
//
// The formula knows of decoding alone. What a step or a block takes beside it (fusing, drawing, JavaScript, the way to the
// worker thread and back) is measured as well, and a second prediction counts it on both sides.

import { withDisposables } from "./disposables.mjs";
import { summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";
import { blockMs, blockTokens, LENGTHS, plainMs, summarizeCosts, timeBatches } from "./speculation-costs.mjs";
import { addStatistics, generate, load, sum } from "./speculation-run.mjs";
import { benchSequences } from "./speculation-sequences.mjs";
import { benchSynthetic } from "./speculation-synthetic.mjs";

export { printSpeculation } from "./speculation-tables.mjs";

const TEMPERATURES = [0, 0.7, 1];

const fixed = (k, more = {}) => ({ k, speculation: { length: k, ...more } });
/**
 * `k`: what the formula is asked about. Fixed lengths share an ensemble; who learns costs and acceptance has one of its own,
 * and knows only what it has learnt there, since the files of an inflated family are new. With other families it begins with
 * what earlier runs have kept of the same files.
 */
const CONTENDERS = {
    plain: { speculation: false },
    ...Object.fromEntries(LENGTHS.map((k) => [`k = ${k}`, fixed(k)])),
    "k = 4, maximal coupling": fixed(4, { coupling: "maximal" }),
    // llama.cpp's own scheme: the drafter's most probable token is accepted if the target draws the same one.
    "k = 4, drafts by argmax": fixed(4, { drafterSampling: { temperature: 0 } }),
    confidence: { speculation: { length: "confidence" } },
    adaptive: { ensemble: "adaptive", speculation: { length: "adaptive" } },
    "adaptive, lookup": { ensemble: "lookup", speculation: { length: "adaptive", lookup: true } },
};
const FIXED = LENGTHS.map((k) => `k = ${k}`);
const fixedOf = (results) => FIXED.filter((name) => name in results);

/**
 * @param options - `backend`, `threads` (default: the library's), `rounds`, `tokens` (of each completion)
 * @returns what the JSON report holds about this family
 */
export async function benchSpeculation(library, family, options) {
    const contenders = await benchContenders(library, family, options);
    return {
        ...contenders,
        synthetic: await benchSynthetic(library, family, contenders.costs, options),
        sequences: await benchSequences(library, family, options),
    };
}

/**
 * One completion at a time.
 *
 * @param options - as of {@link benchSpeculation}; `until` (see {@link runRounds}), `temperatures`, `names` of contenders,
 *   fixed lengths, plain and adaptive drafts among them
 */
export async function benchContenders(library, family, options) {
    const { temperatures = TEMPERATURES, names: chosen = Object.keys(CONTENDERS) } = options;
    return withDisposables(async (keep) => {
        const ensembles = {};
        for (const name of chosen) {
            const { ensemble = "fixed" } = CONTENDERS[name];
            ensembles[ensemble] ??= await keep(load(library, family, options));
        }
        const settings = Object.keys(family.texts).flatMap((text) =>
            temperatures.map((temperature) => ({ text, temperature })),
        );
        const rounds = await runRounds(options, chosen, async (i, names) => {
            const [batches, outcomes] = [[], []];
            for (const { text, temperature } of i < 0 ? settings.slice(0, 1) : settings) {
                const prompt = family.texts[text][(i + 1) % family.texts[text].length];
                if (temperature === temperatures[0]) batches.push(await timeBatches(library, ensembles.fixed, prompt));
                const results = {};
                for (const name of names) {
                    const { ensemble = "fixed", speculation } = CONTENDERS[name];
                    results[name] = await generate(library, ensembles[ensemble], {
                        ...{ prompt, speculation, tokens: options.tokens, sampling: { temperature }, seed: i + 1 },
                    });
                }
                outcomes.push(compareTexts(results));
            }
            return { batches, outcomes };
        });
        const { members, threads, backend } = ensembles.fixed;

        const drafter = members.findIndex(({ name }) => name === "chat");
        const costs = summarizeCosts(
            rounds.flatMap(({ batches }) => batches),
            rounds.map(({ outcomes }) => draftMs(outcomes, drafter)),
            drafter,
        );
        return {
            ...{ family: family.name, shape: family.shape, backend: backend.backend, threads },
            ...{ members: members.map(({ name }) => name), costs },
            settings: settings.map((setting, place) => ({
                ...setting,
                ...describe(
                    rounds.map(({ outcomes }) => outcomes[place]),
                    costs,
                ),
            })),
            rounds,
        };
    });
}

/** Puts in the place of the ids where they first differ from those of plain steps; -1: nowhere. */
function compareTexts(outcomes) {
    const { ids: plain } = outcomes.plain;
    return Object.fromEntries(
        Object.entries(outcomes).map(([name, { ids, ...outcome }]) => [
            name,
            { ...outcome, differsAt: plain.findIndex((id, position) => id !== ids[position]) },
        ]),
    );
}

/** Milliseconds per token while a fixed number of them is drafted. */
function draftMs(outcomes, drafter) {
    const all = outcomes.flatMap((results) => fixedOf(results).map((name) => results[name].statistics));
    return sum(all.map(({ draftMs }) => draftMs[drafter])) / sum(all.map(({ drafted }) => drafted));
}

/** @param rounds - of one setting */
function describe(rounds, costs) {
    const ratio = (name, other) =>
        summarize(rounds.map((round) => round[name].tokensPerSecond / round[other].tokensPerSecond));
    // A step may begin before the token ahead of it was handed out: over few tokens, less than nothing may be left.
    const besideMs = (name) => Math.max(0, summarize(rounds.map((round) => round[name].besideMs)).median);
    const contenders = Object.keys(rounds[0]).map((name) => {
        const { k, speculation } = CONTENDERS[name];
        const outcomes = rounds.map((round) => round[name]);
        const statistics = outcomes.map((outcome) => outcome.statistics);
        const counts = speculation && addStatistics(statistics);
        return {
            name,
            tokensPerSecond: summarize(outcomes.map(({ tokensPerSecond }) => tokensPerSecond)),
            speedup: ratio(name, "plain"),
            besideUs: besideMs(name) * 1000,
            ...counts,
            // Another coupling gives another text.
            ...(speculation?.coupling !== "maximal" && {
                differing: outcomes.filter(({ differsAt }) => differsAt >= 0).length,
            }),
            ...(k !== undefined && {
                formula: predict(costs, k, counts, [0, 0]),
                formulaWithBeside: predict(costs, k, counts, [besideMs("plain"), besideMs(name)]),
            }),
            // What the policy itself expected.
            ...(speculation?.length === "adaptive" && {
                forecast: summarize(statistics.map(({ predictedSpeedup = NaN }) => predictedSpeedup)).median,
            }),
        };
    });
    const best = contenders
        .filter(({ name }) => FIXED.includes(name))
        .reduce((a, b) => (b.speedup.median > a.speedup.median ? b : a)).name;
    return { contenders, best, adaptiveToBest: ratio("adaptive", best), adaptiveToPlain: ratio("adaptive", "plain") };
}

/** @param beside - milliseconds of a plain step and of a block beside decoding */
function predict(costs, k, { acceptanceRate }, beside) {
    const tokens = blockTokens(k, acceptanceRate);
    return ((plainMs(costs) + beside[0]) * tokens) / (blockMs(costs, k, acceptanceRate) + beside[1]);
}
