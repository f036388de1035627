/** Log-probabilities of given texts: each text in a place of its own, so that many of them leave room for answers. */

import pMap from "p-map";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { ScoreItem } from "../scoring/items.js";
import { score, type Score, type ScoreOptions } from "../scoring/score.js";
import type { Client } from "./answers.js";
import type { Places } from "./places.js";

/** @throws EftError what `score()` throws; BUSY */
export async function scoreInPlaces(
    places: Places,
    ensemble: Ensemble,
    items: readonly ScoreItem[],
    { client, ...options }: ScoreOptions & { readonly client: Pick<Client, "key" | "signal"> },
): Promise<Score[]> {
    const { key, signal } = client;
    return pMap(
        items,
        async (item) => {
            const leave = await places.take(key, signal);
            try {
                const [scored] = await score(ensemble, [item], { ...options, signal });
                return scored as Score;
            } finally {
                leave();
            }
        },
        { concurrency: ensemble.sequences },
    );
}
