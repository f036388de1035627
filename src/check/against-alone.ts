/** Our numbers and texts beside those of node-llama-cpp alone. */

import { collect, complete } from "../decoding/complete.js";
import type { CompletionOptions, CompletionResult, TokenPart } from "../decoding/completion.js";
import type { Verdict } from "../ensemble/check.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { Member } from "../ensemble/members.js";
import { EftError } from "../errors.js";
import { plural } from "../plural.js";
import type { CacheType } from "../types.js";
import { describeDifferenceOf, firstDifference, isNearTie, largestDifference, NEAR_TIE, ROUNDING } from "./compare.js";
import { evaluateAlone, type AloneResult } from "./independent.js";
import type { CheckSetup, Part, Subject } from "./part.js";
import { BEGINNINGS, TEXTS } from "./samples.js";

/** Tokens behind each beginning, and of greedy text. */
const [ROWS, GREEDY] = [8, 48];

/** What the ensemble made of a model. */
export interface OwnEvaluation {
    readonly beginnings: readonly { readonly tokens: Int32Array; readonly parts: readonly TokenPart[] }[];
    readonly prompt: Int32Array;
    /** With `scores`. */
    readonly greedy: CompletionResult;
    /** Tokens of {@link TEXTS}. */
    readonly texts: readonly Int32Array[];
    readonly contextSize: number;
    /** -1: all. */
    readonly gpuLayers: number;
    readonly cacheType: CacheType;
}

/** What node-llama-cpp's rows have shown. */
interface Rows {
    count: number;
    /** NaN as soon as one is. */
    worst: number;
}

/**
 * @param ensemble - of one member
 * @param prompt - what greedy text begins with
 */
export async function evaluateHere(
    ensemble: Ensemble,
    prompt: Int32Array,
    signal: AbortSignal | undefined,
): Promise<OwnEvaluation> {
    const [{ model, gpuLayers }] = ensemble.members as readonly [Member];
    const evaluate = (tokens: Int32Array, more: Partial<CompletionOptions>): Promise<CompletionResult> =>
        collect(complete(ensemble, { prompt: tokens, raw: true, scores: true, signal, speculation: false, ...more }));
    const beginnings: OwnEvaluation["beginnings"][number][] = [];
    for (const text of BEGINNINGS) {
        const tokens = model.tokenize(text, true, false);
        const { parts } = await evaluate(tokens, { maxTokens: ROWS, seed: 7 });
        beginnings.push({ tokens, parts });
    }
    const greedy = await evaluate(prompt, { maxTokens: GREEDY, sampling: { temperature: 0 } });
    const texts = TEXTS.map((text) => model.tokenize(text, false, false));
    const { contextSize, cacheType } = ensemble;
    return { beginnings, prompt, greedy, texts, contextSize, gpuLayers, cacheType };
}

/** Adds findings about tokens, log-probabilities and greedy text. */
export async function compareWithAlone(
    own: OwnEvaluation,
    { model, lora }: Subject["spec"],
    part: Part,
    { backend, threads, options }: CheckSetup,
): Promise<void> {
    const rows: Rows = { count: 0, worst: 0 };
    const places = own.beginnings.map(() => 0);
    const alone = await part.run("node-llama-cpp", async () => {
        const task = {
            ...{ file: model, lora, backend: backend.backend, threads, cacheType: own.cacheType },
            ...{ contextSize: own.contextSize, gpuLayers: own.gpuLayers < 0 ? ("max" as const) : own.gpuLayers },
            texts: TEXTS,
            beginnings: own.beginnings.map(({ tokens, parts }) => ({
                tokens: [...tokens, ...parts.slice(0, -1).map(({ id }) => id)],
                from: tokens.length,
            })),
            greedy: { tokens: [...own.prompt], most: own.greedy.parts.length },
        };
        const result = await evaluateAlone(
            task,
            (beginning, row) => {
                const at = places[beginning] ?? 0;
                places[beginning] = at + 1;
                const scores = own.beginnings[beginning]?.parts[at]?.scores ?? new Float32Array();
                const difference = largestDifference(scores, row);
                rows.worst = Number.isNaN(difference) ? NaN : Math.max(rows.worst, difference);
                rows.count++;
            },
            options.signal,
        );
        if (typeof result === "string") return { warning: `not asked: ${result}` };
        if (result.backend !== backend.backend)
            return {
                verdict: { warning: `it has no ${backend.backend} here and computes on ${result.backend}` },
                result,
            };
        return { result };
    });
    if (alone === undefined) return;
    await part.run("tokens", () => compareTokens(own, alone));
    await part.run("log-probabilities", () => compareRows(own, rows, part, alone.backend === backend.backend));
    await part.run("greedy text", () => compareGreedy(own, alone, part));
}

/** @throws EftError DECODE_FAILED */
function compareTokens({ texts }: OwnEvaluation, { ids }: AloneResult): Verdict {
    const wrong = TEXTS.filter((_, index) => String(texts[index]) !== String(ids[index]));
    if (wrong.length === 0) return `${plural(TEXTS.length, "text")} have the same tokens as in node-llama-cpp`;
    throw new EftError(
        "DECODE_FAILED",
        `node-llama-cpp makes other tokens of ${wrong.map((text) => JSON.stringify(text)).join(", ")}`,
    );
}

/** @throws EftError DECODE_FAILED */
function compareRows(
    { beginnings }: OwnEvaluation,
    { count, worst }: Rows,
    { measured }: Part,
    isSameBackend: boolean,
): Verdict {
    const expected = beginnings.reduce((sum, { parts }) => sum + parts.length, 0);
    measured.rows = count;
    measured.largestDifference = worst;
    const size = worst === 0 ? "do not differ" : `differ by at most ${worst.toPrecision(2)}`;
    const text = `at ${count} places they ${size} from node-llama-cpp's`;
    if (count === expected && worst <= ROUNDING) return text;
    if (count === expected && worst <= NEAR_TIE && !isSameBackend) return `${text}, as between devices`;
    if (count === expected && worst <= NEAR_TIE)
        return { warning: `${text}: more than rounding of the same sums explains` };
    const reason = Number.isNaN(worst) ? `at ${count} places some are no numbers, or not as many` : text;
    throw new EftError(
        "DECODE_FAILED",
        `${reason}; ${plural(expected, "place")} were compared. The model is evaluated wrongly by one of both.`,
    );
}

/** @throws EftError DECODE_FAILED */
function compareGreedy({ greedy }: OwnEvaluation, alone: AloneResult, { measured }: Part): Verdict {
    const difference = firstDifference(alone.greedy, greedy, 0);
    measured.greedyText = greedy.text;
    measured.greedyTokens = difference?.at ?? greedy.parts.length;
    const quoted = JSON.stringify(greedy.text.length > 60 ? `${greedy.text.slice(0, 60)}…` : greedy.text);
    if (difference === undefined)
        return `${plural(greedy.parts.length, "token")}, the same as node-llama-cpp's: ${quoted}`;
    const where = `the first difference to node-llama-cpp's is ${describeDifferenceOf(difference)}`;
    if (isNearTie(difference)) return `${where}: a near-tie, which rounding explains`;
    throw new EftError("DECODE_FAILED", `${where}. The most probable tokens should be the same.`);
}
