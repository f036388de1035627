/** What a check of models takes and says. */

import type { Finding } from "../ensemble/check.js";
import type { LoadOptions } from "../ensemble/options.js";
import type { MemoryShare } from "../models/context-memory.js";

/** How models are checked. Those of loading have the meanings and ranges that they have for {@link loadEnsemble}. */
export interface CheckOptions extends Pick<
    LoadOptions,
    "backend" | "threads" | "gpuLayers" | "cacheType" | "trust" | "signal" | "onTrial"
> {
    /** Called before anything is loaded. */
    readonly onStart?: ((checkedWith: CheckedWith) => void) | undefined;
    /** Called with each finding as soon as it is there. */
    readonly onFinding?: ((finding: Finding, about: string) => void) | undefined;
    /** Called when something that takes its time begins: its name, and the share of the whole check that has been done, 0..1. */
    readonly onProgress?: ((doing: string, fraction: number) => void) | undefined;
}

/** What was used for the check: what a reader of the report has to know. */
export interface CheckedWith {
    /** Of eft-llama. */
    readonly version: string;
    /** llama.cpp's release. */
    readonly llamaCpp: string;
    readonly nodeLlamaCpp: string;
    readonly node: string;
    /** e.g. `linux-x64`. */
    readonly platform: string;
    readonly cpu: string;
    readonly processors: number;
    /** Bytes. */
    readonly memory: number;
    readonly backend: string;
    /** Descriptions of its GPUs; empty on the CPU. */
    readonly devices: readonly string[];
    /** Backends that were tried before and not taken, and why. */
    readonly rejected: readonly { readonly backend: string; readonly reason: string }[];
    readonly threads: number;
}

/** What was measured of a model or a recipe; missing where the check did not come to it. */
export interface Measurements {
    /** Seconds. */
    loadSeconds?: number;
    /** Bytes, as the memory plan has it. */
    plannedBytes?: MemoryShare;
    /** Bytes that the process takes more than before loading; those of GPUs are not among them. */
    usedBytes?: number;
    /** Rows of log-probabilities that were compared with node-llama-cpp's, and the largest difference of a probable token. */
    rows?: number;
    largestDifference?: number;
    /** Tokens of greedy text up to the first difference to node-llama-cpp's. */
    greedyTokens?: number;
    greedyText?: string;
    promptTokensPerSecond?: number;
    tokensPerSecond?: number;
    /** Of text with drafts, and how many times as fast that was as text without. */
    speculativeTokensPerSecond?: number;
    speculationGain?: number;
    /** Milliseconds of a step: decoding per member, and fusing and drawing. */
    stepMs?: Readonly<Record<string, number>>;
    fuseMs?: number;
    /** A step of four tokens relative to a step of one, per member. */
    fourTokens?: Readonly<Record<string, number>>;
}

/** What was found about a model, or about all of them together. */
export interface CheckedPart {
    /** Name of the file without its folder, or of the recipe. */
    readonly name: string;
    readonly findings: readonly Finding[];
    readonly measured: Readonly<Measurements>;
}

/** The outcome of {@link checkModels}. No path in it tells more than the name of a file. */
export interface CheckReport {
    /** No finding has the state `failed`. */
    readonly passed: boolean;
    /** One sentence. */
    readonly conclusion: string;
    readonly checkedWith: CheckedWith;
    readonly models: readonly CheckedPart[];
    /** Of all together, where there are several. */
    readonly together?: CheckedPart;
    readonly seconds: number;
}
