/** The flags of sampling, and what they mean to the library. */

import type { InferredOptionTypes, Options } from "yargs";
import type { SamplingOptions } from "../index.js";

const number = (description: string) =>
    ({ type: "number", requiresArg: true, group: "Sampling:", description }) as const satisfies Options;

export const samplingOptions = {
    temperature: number("0 = always the most probable token, 1 = the target itself"),
    "top-k": number("Keep the k most probable tokens; 0 = off"),
    "top-p": number("Keep the most probable tokens that hold this mass; 1 = off"),
    "min-p": number("Drop tokens below this fraction of the first one's probability; 0 = off"),
    "repeat-penalty": number("Multiply the log-probability of recent tokens; 1 = off"),
    "frequency-penalty": number("Subtract this once per recent occurrence of a token; 0 = off"),
    "presence-penalty": number("Subtract this from recent tokens; 0 = off"),
    seed: number("The same seed gives the same text; default: a random one"),
    "max-tokens": { ...number("Most tokens to generate; default: what the context holds"), alias: "n" },
    stop: {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Sampling:",
        description: "Text that ends the generation; repeatable",
    },
} as const satisfies Record<string, Options>;

/** What the flags say; undefined where they leave it to the recipe. */
export function chooseSampling(flags: InferredOptionTypes<typeof samplingOptions>): Partial<SamplingOptions> {
    return {
        temperature: flags.temperature,
        topK: flags["top-k"],
        topP: flags["top-p"],
        minP: flags["min-p"],
        repeatPenalty: flags["repeat-penalty"],
        frequencyPenalty: flags["frequency-penalty"],
        presencePenalty: flags["presence-penalty"],
    };
}
