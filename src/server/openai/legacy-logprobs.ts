/** Log-probabilities as `POST /v1/completions` has them: lists that run beside each other. */

import type { Ensemble } from "../../ensemble/ensemble.js";
import type { LegacyLogprobs } from "./completions-schema.js";
import { finite, tokenBytes } from "./logprobs.js";

export interface ScoredToken {
    readonly id: number;
    /** null: nothing precedes it. */
    readonly logprob: number | null;
    /** The most probable ones, descending. */
    readonly top: readonly { readonly id: number; readonly logprob: number }[];
}

export interface LogprobLists {
    add(tokens: readonly ScoredToken[]): void;
    /** What was added since it was last asked. */
    read(): LegacyLogprobs;
}

/** @param most - of the most probable tokens; the token itself comes with them */
export function createLegacyLogprobs(ensemble: Ensemble, most: number): LogprobLists {
    let length = 0;
    const empty = (): LegacyLogprobs => ({ tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] });
    let lists = empty();
    return {
        add(tokens) {
            for (const { id, logprob, top } of tokens) {
                const name = nameOf(ensemble, id);
                lists.tokens.push(name);
                lists.token_logprobs.push(logprob === null ? null : finite(logprob));
                const shown = top
                    .slice(0, most)
                    .map((other): [string, number] => [nameOf(ensemble, other.id), finite(other.logprob)]);
                const own: [string, number][] = logprob === null ? [] : [[name, finite(logprob)]];
                // What comes first wins where two tokens are spelled alike: the more probable one.
                lists.top_logprobs.push(logprob === null ? null : Object.fromEntries([...own, ...shown.reverse()]));
                lists.text_offset.push(length);
                length += textOf(ensemble, id).length;
            }
        },
        read() {
            const now = lists;
            lists = empty();
            return now;
        },
    };
}

function textOf(ensemble: Ensemble, token: number): string {
    return tokenBytes(ensemble, token).toString("utf8");
}

/** Bytes that are no text are spelled out, so that tokens stay apart. */
function nameOf(ensemble: Ensemble, token: number): string {
    const bytes = tokenBytes(ensemble, token);
    const text = bytes.toString("utf8");
    if (!text.includes("\ufffd")) return text;
    return `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}`;
}
