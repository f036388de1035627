/** What must not change a text: prompts that are found in a cache, and drafts. And how fast texts are made. */

import type { Verdict } from "../ensemble/check.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import { collect, complete } from "../decoding/complete.js";
import type { CompletionOptions, CompletionResult } from "../decoding/completion.js";
import { DEFAULT_SAMPLING } from "../decoding/sampling.js";
import { timePerToken } from "../decoding/timings.js";
import { canTakeBack } from "../host/sequences.js";
import { flaggedIds } from "../models/token-tables.js";
import { plural } from "../plural.js";
import { describeDifferenceOf, firstDifference, isNearTie } from "./compare.js";
import type { Part } from "./part.js";
import { longText, QUESTION, STORY } from "./samples.js";

const SEED = 11;
const TOKENS = 24;
/** Of a text whose speed is measured: as many as take this long, in seconds, between these numbers. */
const [SPEED_SECONDS, LEAST_TIMED, MOST_TIMED] = [4, 16, 64];
/** From so much on it is more than the noise of clocks. */
const PAYS = 1.05;
/** Drafts of a block, of which the last one is wrong. */
const DRAFTS = 3;
/** The text is the same with drafts as without, whatever a recipe says. */
const EXACT = { selective: 0, coupling: "gumbel" } as const;

/** Runs all of it. */
export async function exercise(ensemble: Ensemble, part: Part, signal: AbortSignal | undefined): Promise<void> {
    const run = createRun(ensemble, signal);
    const plain = await part.run("text", async () => {
        const result = await run(STORY, { scores: true });
        return { result };
    });
    if (plain === undefined) return;
    await part.run("prefix", async () => {
        // Only the beginning of the story is left in the cache.
        await run(`${STORY.slice(0, STORY.length / 2)} nothing happened`, { maxTokens: 4 });
        const again = await run(STORY);
        const reused = Math.min(...Object.values(again.reusedTokens));
        const how = `${reused} of ${plural(again.usage.promptTokens, "token")} of a prompt found in the cache`;
        return compareTexts(again, plain, how);
    });
    await part.run("drafts", () => checkDrafts(ensemble, run, plain));
    await part.run("speed", () => measure(ensemble, run, part));
}

type Run = (prompt: string, options?: Partial<CompletionOptions>) => Promise<CompletionResult>;

/** Blocks of drafts that are partly wrong, so that something has to be taken back. */
async function checkDrafts(ensemble: Ensemble, run: Run, plain: CompletionResult): Promise<Verdict> {
    const ids = plain.parts.map(({ id }) => id);
    const lengths = Object.values(plain.promptTokens);
    const propose = (text: readonly number[]): readonly number[] => {
        const length = lengths.find((each) => text.slice(each).every((id, index) => id === ids[index]));
        const at = text.length - (length ?? text.length);
        return ids.slice(at, at + DRAFTS).map((id, index) => (index === DRAFTS - 1 ? (id === 0 ? 1 : id - 1) : id));
    };
    const drafted = await run(STORY, { speculation: { ...EXACT, lookup: propose, length: DRAFTS } });
    const { blocks = 0, accepted = 0 } = drafted.speculation ?? {};
    const how = canTakeBack(ensemble.target)
        ? `${plural(blocks, "block")} of drafts, ${accepted} of them accepted, the rest taken back`
        : `${plural(blocks, "block")} of drafts, ${accepted} of them accepted, behind the rest its state restored`;
    return compareTexts(drafted, plain, how);
}

/** @throws EftError DECODE_FAILED where texts differ by more than rounding explains */
function compareTexts(result: CompletionResult, plain: CompletionResult, how: string): Verdict {
    const difference = firstDifference(
        result.parts.map(({ id }) => id),
        plain,
        1,
    );
    if (difference === undefined) return `${how}: the same text`;
    const where = `${how}: the first difference is ${describeDifferenceOf(difference)}`;
    if (isNearTie(difference)) return `${where}, which rounding explains`;
    throw new EftError("DECODE_FAILED", `${where}. The same seed should give the same text.`);
}

async function measure(ensemble: Ensemble, run: Run, { measured }: Part): Promise<Verdict> {
    const prompts = [1, 2].map((number) => longText(number));
    const room = ensemble.contextSize - 2 * MOST_TIMED;
    let promptSpeed = 0;
    for (const prompt of prompts) {
        const ids = await ensemble.tokenize(prompt);
        const cut = ensemble.detokenize(ids.slice(0, room));
        const { timings, usage } = await run(cut, { maxTokens: 1 });
        const evaluated = usage.promptTokens - usage.reusedTokens;
        promptSpeed = Math.max(promptSpeed, (1000 * evaluated) / timings.firstTokenMs);
    }
    measured.promptTokensPerSecond = promptSpeed;
    const { timings: first } = await run(QUESTION, { maxTokens: LEAST_TIMED });
    const { timings, tokens } = await run(QUESTION, { maxTokens: lengthToTime(first.tokensPerSecond) });
    const perToken = (milliseconds: number): number => milliseconds / Math.max(1, tokens - 1);
    measured.tokensPerSecond = timings.tokensPerSecond;
    measured.stepMs = Object.fromEntries(
        Object.entries(timings.decodeMs).map(([name, milliseconds]) => [name, perToken(milliseconds)]),
    );
    measured.fuseMs = perToken(timings.fuseMs);
    const { contexts } = ensemble.target;
    measured.fourTokens = Object.fromEntries(
        ensemble.members.map(({ name }, index) => {
            const { id = -1 } = contexts[index] ?? {};
            const cost = (size: number): number => ensemble.costs.decodeMs("step", id, size);
            // Less than one is what else the machine had to do.
            return [name, Math.max(1, cost(DRAFTS + 1) / cost(1))];
        }),
    );
    const steps = Object.entries(measured.stepMs).map(([name, ms]) => `${name} ${ms.toPrecision(3)}`);
    const isAlone = steps.length === 1;
    const factors = Object.entries(measured.fourTokens).map(
        ([name, factor]) => `${isAlone ? "" : `${name} `}${factor.toPrecision(2)}`,
    );
    return [
        `prompt ${rounded(promptSpeed)}, text ${rounded(measured.tokensPerSecond)} tokens/s`,
        `a step takes ${isAlone ? Object.values(measured.stepMs)[0]?.toPrecision(3) : steps.join(" + ")} ms and ` +
            `${measured.fuseMs.toPrecision(2)} ms to fuse and draw`,
        `${DRAFTS} drafts more make it ${factors.join(", ")} times as long`,
    ].join("; ");
}

/** Whether drafts make texts faster here: in turns with texts without, since a machine has more to do at one time than at another. */
export async function measureSpeculation(
    ensemble: Ensemble,
    { measured }: Part,
    signal: AbortSignal | undefined,
): Promise<Verdict> {
    const maxTokens = lengthToTime(measured.tokensPerSecond ?? 0);
    const run = createRun(ensemble, signal);
    const results: Record<"plain" | "drafted", CompletionResult[]> = { plain: [], drafted: [] };
    // Here it finds out what drafts cost, and how often they are accepted.
    await run(QUESTION, { maxTokens, speculation: { selective: 0 } });
    for (let round = 0; round < 2; round++) {
        results.plain.push(await run(QUESTION, { maxTokens }));
        results.drafted.push(await run(QUESTION, { maxTokens, speculation: { selective: 0 } }));
    }
    const [plain, drafted] = [timePerToken(results.plain), timePerToken(results.drafted)];
    measured.speculativeTokensPerSecond = drafted.tokensPerSecond;
    measured.speculationGain = plain.ms / drafted.ms;
    const { acceptanceRate, blocks = 0 } = results.drafted.at(-1)?.speculation ?? {};
    const speed =
        `${rounded(drafted.tokensPerSecond)} tokens/s with drafts, ${rounded(plain.tokensPerSecond)} without: ` +
        `${measured.speculationGain.toFixed(2)} times as fast`;
    if (blocks === 0) return `${speed}; nothing was drafted, since that would not pay`;
    const accepted = acceptanceRate === undefined ? "" : `${Math.round(100 * acceptanceRate)} % of drafts accepted: `;
    return `${speed}; ${accepted}${measured.speculationGain > PAYS ? "it pays here" : "it hardly pays here"}`;
}

/** Tokens of a text whose speed is measured. */
function lengthToTime(tokensPerSecond: number): number {
    return Math.min(MOST_TIMED, Math.max(LEAST_TIMED, Math.round(SPEED_SECONDS * tokensPerSecond)));
}

function createRun(ensemble: Ensemble, signal: AbortSignal | undefined): Run {
    const ends = flaggedIds(ensemble.vocabulary.endOfGeneration);
    return (prompt, options = {}) =>
        collect(
            complete(ensemble, {
                ...{ prompt, signal, seed: SEED, speculation: false, maxTokens: TOKENS },
                raw: ensemble.recipe.prompt.kind === "plain",
                sampling: DEFAULT_SAMPLING,
                // Texts that end early would show little.
                logitBias: Object.fromEntries([...ends].map((id) => [id, -Infinity])),
                ...options,
            }),
        );
}

function rounded(value: number): string {
    return String(Number(value.toPrecision(3)));
}
