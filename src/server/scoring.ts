/** Log-probabilities of given texts: each text in a place of its own, so that many of them leave room for answers. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { ScoreItem } from "../scoring/items.js";
import { scoreInTurns, type Score, type ScoreOptions } from "../scoring/score.js";
import { RequestError } from "./failures.js";
import type { Asker, Places } from "./places.js";

/** Numbers in one answer: it is written in one go, in which nobody else is served. */
const MOST_NUMBERS = 300_000;

/**
 * Before anything is evaluated. A text has at most as many tokens as characters.
 *
 * @param each - numbers that are reported of a token. @throws RequestError
 */
export function checkReport(texts: readonly { readonly length: number }[], each: number, param: string): void {
    const most = texts.reduce((sum, { length }) => sum + length, 0) * each;
    if (most <= MOST_NUMBERS) return;
    throw new RequestError(
        400,
        `${param} may bring ${most} log-probabilities, and an answer has at most ${MOST_NUMBERS}; ask in several requests.`,
        { param },
    );
}

/** @throws EftError what `score()` throws; BUSY before anything is evaluated */
export async function scoreInPlaces(
    places: Places,
    ensemble: Ensemble,
    items: readonly ScoreItem[],
    { asker, ...options }: ScoreOptions & { readonly asker: Asker },
): Promise<Score[]> {
    places.checkRoom(asker.key);
    // Where one fails, the others need not wait for their turns.
    const failed = new AbortController();
    const signal = AbortSignal.any([asker.signal, failed.signal]);
    try {
        return await scoreInTurns(ensemble, items, { ...options, signal }, () =>
            places.take({ key: asker.key, signal }),
        );
    } finally {
        failed.abort();
    }
}
