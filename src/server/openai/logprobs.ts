/** Log-probabilities in OpenAI's forms. */

import type { TokenPart } from "../../decoding/completion.js";
import type { Ensemble } from "../../ensemble/ensemble.js";
import type { TokenLogprobs } from "./answer-schema.js";

interface Known {
    readonly id: number;
    readonly logprob: number;
}

/** Bytes of tokens that have been reported: the same ones are, again and again. */
const known = new WeakMap<Ensemble, Map<number, Buffer>>();

/** Bytes of a token by itself, control tokens spelled out. */
export function tokenBytes(ensemble: Ensemble, token: number): Buffer {
    const spelled = known.get(ensemble) ?? new Map<number, Buffer>();
    known.set(ensemble, spelled);
    const bytes = spelled.get(token) ?? ensemble.texts.detokenize(Int32Array.of(token), true);
    spelled.set(token, bytes);
    return bytes;
}

/** As chat completions have it. @param most - of the most probable tokens */
export function toTokenLogprobs(ensemble: Ensemble, { id, logprob, top = [] }: TokenPart, most: number): TokenLogprobs {
    return {
        ...describe(ensemble, { id, logprob }),
        top_logprobs: top.slice(0, most).map((other) => describe(ensemble, other)),
    };
}

function describe(ensemble: Ensemble, { id, logprob }: Known) {
    const bytes = tokenBytes(ensemble, id);
    return { token: bytes.toString("utf8"), logprob: finite(logprob), bytes: [...bytes] };
}

/** JSON knows no infinity. The least that clients are used to. */
export function finite(logprob: number): number {
    return Math.max(logprob, -9999);
}
