/** From tokens to text that may be shown: whole UTF-8 characters, and nothing of a stop string. */

import type { TokenTexts } from "../prompts/added-tokens.js";
import { checkEnsemble, type Ensemble } from "../ensemble/ensemble.js";
import { checkInteger } from "../options.js";

export interface TextStream {
    /** Adds a token; returns the text that is certain now, often that of earlier tokens too. */
    push(token: number): string;
    /** The text that was held back, if there is no stop string after all. */
    flush(): string;
    /** The stop string that was met; nothing is released after it. */
    readonly stoppedBy: string | undefined;
}

/** @param stop - texts that end the generation; the first to occur wins, and is not part of the text */
export function createTextStream(texts: Pick<TokenTexts, "detokenize">, stop: readonly string[]): TextStream {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let pending = "";
    let stoppedBy: string | undefined;

    function release(): string {
        const found = stop
            .map((text) => ({ text, at: pending.indexOf(text) }))
            .filter(({ at }) => at >= 0)
            .sort((a, b) => a.at - b.at)[0];
        if (found !== undefined) {
            stoppedBy = found.text;
            const text = pending.slice(0, found.at);
            pending = "";
            return text;
        }
        const keep = Math.max(0, ...stop.map((text) => overlap(pending, text)));
        const text = pending.slice(0, pending.length - keep);
        pending = pending.slice(pending.length - keep);
        return text;
    }

    return {
        push(token) {
            if (stoppedBy !== undefined) return "";
            pending += decoder.decode(texts.detokenize(Int32Array.of(token), false), { stream: true });
            return release();
        },
        flush() {
            if (stoppedBy !== undefined) return "";
            const text = pending + decoder.decode();
            pending = "";
            return text;
        },
        get stoppedBy() {
            return stoppedBy;
        },
    };
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
    for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
        if (text.endsWith(stop.slice(0, length))) return length;
    }
    return 0;
}

/**
 * Text of a token by itself, control tokens spelled out; bytes that are no whole character become U+FFFD.
 *
 * @throws EftError OPTION_INVALID, DISPOSED
 */
export function tokenText(ensemble: Ensemble, token: number): string {
    checkEnsemble("tokenText", ensemble);
    checkInteger("token", token, 0, 2 ** 31 - 1);
    return ensemble.texts.detokenize(Int32Array.of(token), true).toString("utf8");
}
