// Speculation where a token of the large model costs about ten of the drafter's, with real acceptance: bench/speculation.mjs on
// the demo family, whose large model is inflated (scripts/inflate-model.mjs) until the device takes that long for it.

import { rm } from "node:fs/promises";
import path from "node:path";
import { inflateModel } from "../../scripts/inflate-model.mjs";
import { FAMILIES } from "../families.mjs";
import { digits, format, summarize } from "../report.mjs";
import { benchSequences } from "../speculation-sequences.mjs";
import { benchContenders } from "../speculation.mjs";
import { blockMs, blockTokens, LENGTHS, plainMs } from "../speculation-costs.mjs";
import { timeSizes } from "./batches.mjs";
import { makeRoom } from "./models.mjs";
import { freeMemory, NotHere } from "./room.mjs";

/** Cost of the large model in tokens of the drafter: wanted, and what is near enough. */
const [RATIO, NEAR] = [10, [8.5, 11.5]];
/** Widths of feed-forward layers: the large model's own one, and the first that is tried. */
const [OWN_WIDTH, FIRST_WIDTH] = [768, FAMILIES["demo-inflated"].feedForward.large];
/** Bytes of the large model per unit of width: 3 layers of 3 matrices of 256 columns in float32. */
const BYTES_PER_WIDTH = 3 * 3 * 256 * 4;
const [MOST_BYTES, TRIES] = [6e9, 5];
const TEMPERATURES = [0, 1];
/** At least this speed-up at this acceptance; adaptive drafts against the best fixed length and against plain steps. */
const GOALS = { acceptance: 0.8, speedup: 2.5, toBest: 0.95, toPlain: 0.98 };

export async function measure(kit) {
    const { library, backend, quick, result } = kit;
    let family;
    await kit.attempt("a large model that costs ten tokens of the drafter", 4, async () => {
        family = await inflateFamily(kit);
    });
    if (family === undefined) return;
    await kit.attempt("one completion at a time", 2, async (until) => {
        const lengths = quick ? [1, 2, 4, 8, 16] : LENGTHS;
        const names = ["plain", ...lengths.map((k) => `k = ${k}`), "adaptive"];
        // All settings once, and one of them to warm up.
        const settings = Object.keys(family.texts).length * TEMPERATURES.length + 1;
        const tokens = (until - performance.now()) / (settings * names.length * family.plainMs);
        const options = {
            ...{ backend, until, names, temperatures: TEMPERATURES, rounds: quick ? 2 : 6 },
            tokens: Math.max(16, Math.min(quick ? 32 : 64, Math.round(tokens))),
        };
        const measured = await benchContenders(library, family, options);
        result.data.contenders = measured;
        kit.remark(`Rounds: ${measured.rounds.length}, of ${options.tokens} tokens a text.`);
        addCosts(kit, measured);
        addContenders(kit, measured, lengths);
    });
    await kit.attempt("several completions at once", 1, async (until) => {
        const options = { backend, until, rounds: quick ? 2 : 5, tokens: quick ? 16 : 32, counts: [1, 4, 8, 16] };
        const sequences = await benchSequences(library, family, options);
        result.data.sequences = sequences;
        for (const { completions, plain, adaptive, speedup, acceptanceRate, draftsPerStep } of sequences) {
            kit.addRow(
                "Several completions at once: tokens per second of all together",
                ["completions", "plain", "adaptive", "speed-up", "acceptance", "drafts a step"],
                [
                    ...[completions, plain.median.toFixed(0), adaptive.median.toFixed(0), format(speedup, 2)],
                    ...[cell(acceptanceRate), cell(draftsPerStep, 1)],
                ],
            );
        }
    });
}

const isNear = (ratio) => ratio >= NEAR[0] && ratio <= NEAR[1];

/** The demo family with a large model of the right cost, as far as this machine has room for it. */
async function inflateFamily(kit) {
    const { folder, library, backend, device } = kit;
    const { feedForward, ...family } = FAMILIES["demo-inflated"];
    const write = async (member, width) => {
        const file = path.join(folder, `demo-${member}-${width}.gguf`);
        await inflateModel(family.members[member], file, width);
        return file;
    };
    const time = async (file) => {
        const { steadyMs } = await timeSizes(kit, { name: "solo", members: { solo: file } }, "solo", {
            sizes: [1],
            rounds: 8,
        });
        // What disturbs a measurement makes it longer.
        return steadyMs[1].q1;
    };
    const { devices } = library.chooseBackend(backend);
    const memory = devices.length > 0 ? devices.reduce((sum, { memoryFree }) => sum + memoryFree, 0) : freeMemory();
    const most = Math.min(MOST_BYTES, memory / 8);
    // The best one until now is kept beside the one that is tried; and the small ones.
    const mostWidth = Math.floor(Math.min(most, (await makeRoom(folder, 3 * most)) / 3) / BYTES_PER_WIDTH);
    if (mostWidth < OWN_WIDTH) throw new NotHere("There is no room for inflated models, on disk or in memory.");

    const [chat, small] = [await write("chat", feedForward.chat), await write("small", feedForward.small)];
    const drafterMs = await time(chat);
    const tryWidth = async (width) => {
        const file = await write("large", width);
        return { width, file, ms: await time(file) };
    };
    const tries = [await tryWidth(OWN_WIDTH)];
    let width = Math.min(FIRST_WIDTH, mostWidth);
    while (tries.length < TRIES && tries.every((each) => each.width !== width)) {
        const [before, last] = [tries.at(-1), await tryWidth(width)];
        tries.push(last);
        if (isNear(last.ms / drafterMs)) break;
        // The time lies on a line over the width, as far as reading weights is what it takes.
        const slope = Math.max(1e-9, (last.ms - before.ms) / (last.width - before.width));
        const next = Math.round(last.width + (RATIO * drafterMs - last.ms) / slope);
        width = Math.max(OWN_WIDTH, Math.min(mostWidth, next, 32 * last.width));
    }
    const distance = ({ ms }) => Math.abs(Math.log(ms / drafterMs / RATIO));
    const tried = tries.reduce((a, b) => (distance(b) < distance(a) ? b : a));
    for (const { file } of tries) if (file !== tried.file) await rm(file);
    const ratio = tried.ms / drafterMs;
    kit.result.data.inflated = { width: tried.width, largeMs: tried.ms, drafterMs, ratio };
    const size = ((tried.width * BYTES_PER_WIDTH) / 1e6).toFixed(0);
    kit.remark(
        `On ${device.name}, the demo family's large model inflated to ${size} MB takes ${digits(tried.ms)} ms a token, the ` +
            `drafter ${digits(drafterMs)} ms: ${ratio.toFixed(1)} : 1.` +
            (isNear(ratio) ? "" : " Nearer was not to be had here."),
    );
    return {
        ...family,
        name: "demo-inflated",
        members: { large: tried.file, chat, small },
        plainMs: tried.ms + 2 * drafterMs,
    };
}

function addCosts(kit, { costs }) {
    const sizes = Object.keys(costs.verifyMs);
    kit.addRow(
        "Verifying m tokens: all members but the drafter, in units of one token",
        ["", ...sizes],
        [
            `${digits(costs.verifyMs[1])} ms`,
            ...sizes.map((size) => (costs.verifyMs[size] / costs.verifyMs[1]).toFixed(2)),
        ],
    );
    kit.remark(
        `While drafting, a token of the drafter takes ${digits(costs.draftMs)} ms; a plain step decodes for ` +
            `${digits(plainMs(costs))} ms.`,
    );
}

function addContenders(kit, { settings, costs }, lengths) {
    const find = (contenders, name) => contenders.find((each) => each.name === name);
    for (const { text, temperature, contenders, best, adaptiveToBest, adaptiveToPlain } of settings) {
        const fixed = lengths.map((k) => find(contenders, `k = ${k}`));
        const adaptive = find(contenders, "adaptive");
        const { acceptanceRate } = find(contenders, "k = 4");
        const name = `${text}, temperature ${temperature}`;
        kit.addRow(
            "Speed-up over plain steps, and in parentheses the formula's",
            ["text", "acceptance", ...lengths.map((k) => `k = ${k}`), "adaptive"],
            [
                ...[name, cell(acceptanceRate)],
                ...fixed.map(({ speedup, formula }) => `${cell(speedup.median)} (${cell(formula)})`),
                cell(adaptive.speedup.median),
            ],
        );
        kit.addRow(
            "Adaptive drafts, and texts that differ from those of plain steps, of all contenders",
            ["text", "best fixed", "adaptive / best", "adaptive / plain", "drafts a step", "other texts"],
            [
                ...[name, best, format(adaptiveToBest, 2), format(adaptiveToPlain, 2), cell(adaptive.draftsPerStep, 1)],
                `${contenders.reduce((sum, { differing = 0 }) => sum + differing, 0)}`,
            ],
        );
    }
    addGoals(kit, settings, costs, lengths);
}

function addGoals(kit, settings, costs, lengths) {
    const { acceptance, speedup, toBest, toPlain } = GOALS;
    const forecast = lengths
        .map((k) => ({ k, gain: (plainMs(costs) * blockTokens(k, acceptance)) / blockMs(costs, k, acceptance) }))
        .reduce((a, b) => (b.gain > a.gain ? b : a));
    const reached = settings
        .filter(({ contenders }) =>
            contenders.some(({ name, acceptanceRate }) => name === "k = 4" && acceptanceRate >= acceptance),
        )
        .map(({ contenders }) => Math.max(...contenders.map((each) => each.speedup.median)));
    const best = Math.max(...reached);
    kit.addGoal(
        `a speed-up of ${speedup} or more at ${RATIO} : 1 with an acceptance of ${acceptance}`,
        (reached.length > 0
            ? `${cell(best)} at best, of texts accepted that often`
            : "no text was accepted that often") +
            `; by the formula at ${acceptance}: ${cell(forecast.gain)} with k = ${forecast.k}`,
        best >= speedup,
    );
    const spread = (name) => {
        const medians = settings.map((setting) => setting[name].median);
        return {
            worst: Math.min(...medians),
            text: `${cell(Math.min(...medians))} at worst, ${format(summarize(medians), 2)} in all`,
        };
    };
    const [againstBest, againstPlain] = [spread("adaptiveToBest"), spread("adaptiveToPlain")];
    kit.addGoal(
        `adaptive drafts at least ${toBest} of the best fixed length`,
        againstBest.text,
        againstBest.worst >= toBest,
    );
    kit.addGoal(
        `adaptive drafts never below ${toPlain} of plain steps`,
        againstPlain.text,
        againstPlain.worst >= toPlain,
    );
    const fixed = settings.flatMap(({ contenders }) => contenders.filter(({ formula }) => formula !== undefined));
    const toFormula = summarize(fixed.map((each) => each.speedup.median / each.formula));
    const isNear = toFormula.median >= 0.9 && toFormula.median <= 1.1;
    kit.addGoal("speed-up of fixed lengths 0.9 to 1.1 of the formula's", `${format(toFormula, 2)} in all`, isNear);
}

const cell = (value, digits = 2) =>
    value === undefined || value === null || Number.isNaN(value) ? "" : value.toFixed(digits);
