/** Sampling options: defaults, ranges, and their form for the native draw. */

import { EftError } from "../errors.js";
import type { NativeDraw } from "../native/binding.js";
import { integer, number, optionsOf, show } from "../options.js";
import type { SamplingOptions, Some } from "../types.js";

/** With these the draw is from the target itself. */
export const DEFAULT_SAMPLING: SamplingOptions = {
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    repeatPenalty: 1,
    frequencyPenalty: 0,
    presencePenalty: 0,
    penaltyLastN: 64,
};

const SMALLEST = Number.MIN_VALUE;
/** What sampling options may be. */
export const SAMPLING_OPTIONS = optionsOf<Some<SamplingOptions>>("sampling", {
    temperature: number(0, 100),
    topK: integer(0, 2 ** 31 - 1),
    topP: number(SMALLEST, 1),
    minP: number(0, 1),
    repeatPenalty: number(SMALLEST, 10),
    frequencyPenalty: number(-100, 100),
    presencePenalty: number(-100, 100),
    penaltyLastN: integer(0, 65_536),
});

/**
 * Overlays options, later ones winning; undefined values count as absent.
 *
 * @throws EftError OPTION_INVALID
 */
export function resolveSampling(...layers: readonly Some<SamplingOptions>[]): SamplingOptions {
    let sampling = DEFAULT_SAMPLING;
    for (const layer of layers) sampling = { ...sampling, ...SAMPLING_OPTIONS("sampling", layer) };
    return sampling;
}

/** Largest bias; float32 still tells differences of 0.001 there. */
const MOST_BIAS = 10_000;

/**
 * Token ids and what is added to their log-probabilities: -10,000 to 10,000, or -Infinity, which forbids a token. A bias does
 * not make a token possible that is masked.
 */
export type LogitBias = Readonly<Record<number, number>>;

/** @throws EftError OPTION_INVALID */
export function resolveLogitBias(
    bias: LogitBias,
    vocabularySize: number,
): Pick<NativeDraw, "biasTokens" | "biasValues"> {
    const entries = Object.entries<unknown>(bias).map(([token, value]) => {
        if (typeof value !== "number" || (value !== -Infinity && !(Math.abs(value) <= MOST_BIAS))) {
            throw new EftError(
                "OPTION_INVALID",
                `logitBias of token ${token} must be a number from ${-MOST_BIAS} to ${MOST_BIAS}, or -Infinity to forbid it, ` +
                    `not ${show(value)}.`,
            );
        }
        if (/^\d+$/.test(token) && Number(token) < vocabularySize) return [Number(token), value] as const;
        throw new EftError(
            "OPTION_INVALID",
            `logitBias takes token ids from 0 to ${vocabularySize - 1}, as ensemble.tokenize() gives them, not ${show(token)}.`,
        );
    });
    return {
        biasTokens: Int32Array.from(entries, ([token]) => token),
        biasValues: Float32Array.from(entries, ([, value]) => value),
    };
}

/** How many of the last tokens the penalties look at; 0 when all of them are off. */
export function penaltyWindow(sampling: SamplingOptions): number {
    const { repeatPenalty, frequencyPenalty, presencePenalty, penaltyLastN } = sampling;
    return repeatPenalty === 1 && frequencyPenalty === 0 && presencePenalty === 0 ? 0 : penaltyLastN;
}

/** The last tokens of prompt and text that the penalties look at. */
export function penaltyHistory(
    sampling: SamplingOptions,
    prompt: Int32Array,
    generated: readonly number[],
): Int32Array {
    const window = penaltyWindow(sampling);
    if (window === 0) return new Int32Array(0);
    const recent = generated.slice(-window);
    const fromPrompt = Math.min(prompt.length, window - recent.length);
    return Int32Array.from([...prompt.subarray(prompt.length - fromPrompt), ...recent]);
}
