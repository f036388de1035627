/** What may be done for one request, so that nobody waits long for it. */

/**
 * Parts of languages and ranges of characters that are looked at: half a second, and up to three times as long with
 * classes of many ranges. */
const MOST_WORK = 1_000_000;

/** A language that needs more states than a grammar should have rules. */
export class TooManyStates extends Error {}

/** What is left to be done for one request; several schemas may share it. */
export interface Work {
    left: number;
}

export const createWork = (): Work => ({ left: MOST_WORK });
