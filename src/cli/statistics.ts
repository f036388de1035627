/** What a completion did and what it took: `--stats`, and the numbers of speculation in `--json`. */

import type { Ensemble, FinishPart, SpeculationStatistics } from "../index.js";
import { plural } from "../plural.js";
import { errorColors, formatTable, quote, sum } from "./terminal.js";

/** Heights of a bar, from nothing to all. */
const BARS = "▁▂▃▄▅▆▇█";

/** The statistics with objects by member name in place of arrays. */
export function speculationToJson(statistics: SpeculationStatistics, members: readonly string[]): object {
    const byName = (values: readonly number[]): object =>
        Object.fromEntries(members.map((name, member) => [name, values[member]]));
    return { ...statistics, draftMs: byName(statistics.draftMs), stepMs: byName(statistics.stepMs) };
}

/**
 * Lines for people, on standard error.
 *
 * @param members - names, in the order of the ensemble
 */
export function describeStatistics(finish: FinishPart, members: readonly string[]): string {
    const { reason, tokens, seed, promptTokens, reusedTokens, timings, speculation, exactness } = finish;
    const reused = sum(Object.values(reusedTokens)) > 0 ? `; from a cache: ${list(reusedTokens)}` : "";
    const facts = [
        ["finish", `${reason} after ${plural(tokens, "token")}, seed ${seed}`],
        ["prompt", `${list(promptTokens)} tokens${reused}`],
        ["first token", `after ${timings.firstTokenMs.toFixed(0)} ms`],
        ["speed", `${timings.tokensPerSecond.toFixed(1)} tokens per second`],
        ...(speculation === undefined
            ? []
            : exactness === undefined
              ? describeSpeculation(speculation)
              : describeSelective(speculation)),
    ];
    const lines = facts.map(([name = "", value = ""]) => `${name.padEnd(19)}${value}`);
    return [...lines, describeTimes(finish, members), ""].join("\n");
}

function list(values: Readonly<Record<string, number>>): string {
    return Object.entries(values)
        .map(([member, value]) => `${member} ${value}`)
        .join(", ");
}

/** Of a text that is not the target's alone. */
function describeSelective({ steps, tokens, unasked, measuredSpeedup }: SpeculationStatistics): string[][] {
    const share = tokens === 0 ? 0 : (100 * (tokens - unasked)) / tokens;
    return [
        ["exactness", "approximate: the drafter's tokens are taken where it is sure"],
        ["asked", `the target, for ${tokens - unasked} of ${plural(tokens, "token")} (${share.toFixed(0)} %)`],
        ["steps", `${steps}`],
        ["speed-up", `measured ${formatFactor(measuredSpeedup)}`],
    ];
}

function describeSpeculation(statistics: SpeculationStatistics): string[][] {
    const { steps, blocks, drafted, accepted, lookedUp, lookupAccepted, forced, forcedAccepted } = statistics;
    const byGrammar = forced === 0 ? [] : [["by the grammar", `${forced}, accepted ${forcedAccepted}`]];
    if (blocks === 0) return [["steps", `${steps}, none of them with drafts of a model`], ...byGrammar];
    const { verifiedAt, acceptanceRate = 0, acceptanceLength = 0, predictedSpeedup, measuredSpeedup } = statistics;
    const rate = `${(100 * acceptanceRate).toFixed(1)} % of the ${sum(verifiedAt)} verified`;
    return [
        ["steps", `${steps}, ${blocks} of them with drafts`],
        ["drafted", `${drafted}, accepted ${accepted}: ${rate}`],
        ...(lookedUp === 0 ? [] : [["by lookup", `${lookedUp}, accepted ${lookupAccepted}`]]),
        ...byGrammar,
        ["acceptance length", `${acceptanceLength.toFixed(2)} tokens per block`],
        ["by position", describePositions(statistics)],
        ["speed-up", `predicted ${formatFactor(predictedSpeedup)}, measured ${formatFactor(measuredSpeedup)}`],
    ];
}

/** A bar and a percentage for each position of a block. */
function describePositions({ verifiedAt, acceptedAt }: SpeculationStatistics): string {
    const rates = verifiedAt.map((verified, position) => (acceptedAt[position] ?? 0) / verified);
    const bars = rates.map((rate) => BARS[Math.round(rate * (BARS.length - 1))]).join("");
    return `${bars} ${rates.map((rate) => (100 * rate).toFixed(0)).join(" ")} %`;
}

/** Milliseconds of all jobs after the prompt: a row for each member, a column for each phase. */
function describeTimes({ timings, speculation }: FinishPart, members: readonly string[]): string {
    const { decodeMs, fuseMs } = timings;
    const phases: [string, readonly number[]][] =
        speculation === undefined || speculation.blocks === 0
            ? [["ms", [...members.map((name) => decodeMs[name] ?? 0), fuseMs]]]
            : [
                  ["drafting, ms", [...speculation.draftMs, speculation.draftFuseMs]],
                  ["verifying, ms", [...speculation.stepMs, speculation.stepFuseMs]],
              ];
    const rows = [...members, "fuse and draw"].map((name, row) => [
        name,
        ...phases.map(([, values]) => (values[row] ?? 0).toFixed(1)),
    ]);
    const together = ["together", ...phases.map(([, values]) => sum(values).toFixed(1))];
    return formatTable(["", ...phases.map(([phase]) => phase)], [...rows, together], { palette: errorColors });
}

/** Undefined while costs are unknown. */
function formatFactor(factor: number | undefined): string {
    return factor === undefined ? "unknown" : `${factor.toFixed(2)} x`;
}

/** Why an answer has no text, and where to look. */
export function describeEmpty({ stoppedBy }: FinishPart, { recipe }: Ensemble): string {
    if (stoppedBy !== undefined) return `The text is empty: it began with the stop text ${quote(stoppedBy)}.`;
    const check = recipe.file === undefined ? "" : ", which `eft-llama recipe check` looks into";
    return (
        "The text is empty: its first token was already the end of a text. Perhaps models have each other's " +
        `parts${check}, or the chat template is not that of the fine-tuned model.`
    );
}
