/** Sampling options: defaults, ranges, and their form for the native draw. */

import { checkInteger, checkKeys, checkNumber } from "../options.js";
import { EftError } from "../errors.js";
import type { NativeDraw } from "../native/binding.js";
import type { SamplingOptions } from "../types.js";

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
const CHECKS: { readonly [Key in keyof SamplingOptions]: (name: string, value: unknown) => number } = {
    temperature: (name, value) => checkNumber(name, value, 0, 100),
    topK: (name, value) => checkInteger(name, value, 0, 2 ** 31 - 1),
    topP: (name, value) => checkNumber(name, value, SMALLEST, 1),
    minP: (name, value) => checkNumber(name, value, 0, 1),
    repeatPenalty: (name, value) => checkNumber(name, value, SMALLEST, 10),
    frequencyPenalty: (name, value) => checkNumber(name, value, -100, 100),
    presencePenalty: (name, value) => checkNumber(name, value, -100, 100),
    penaltyLastN: (name, value) => checkInteger(name, value, 0, 65_536),
};

/**
 * Overlays options, later ones winning; undefined values count as absent.
 *
 * @throws EftError OPTION_INVALID
 */
export function resolveSampling(...layers: readonly Partial<SamplingOptions>[]): SamplingOptions {
    const result: Record<keyof SamplingOptions, number> = { ...DEFAULT_SAMPLING };
    for (const layer of layers) {
        checkKeys("sampling", layer, Object.keys(CHECKS));
        for (const key of Object.keys(layer) as (keyof SamplingOptions)[]) {
            if (layer[key] !== undefined) result[key] = CHECKS[key](key, layer[key]);
        }
    }
    return result;
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
    const entries = Object.entries(bias).map(([token, value]) => {
        if (typeof value !== "number" || (value !== -Infinity && !(Math.abs(value) <= MOST_BIAS))) {
            throw new EftError(
                "OPTION_INVALID",
                `logitBias of token ${token} must be a number from ${-MOST_BIAS} to ${MOST_BIAS}, or -Infinity to forbid it, ` +
                    `not ${String(value)}.`,
            );
        }
        return [checkInteger("a token id in logitBias", Number(token), 0, vocabularySize - 1), value] as const;
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
