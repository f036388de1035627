/** What may be done for one request, so that nobody waits long for it. */

/** Units of about a tenth of a microsecond. Counts do not depend on the machine, so what is too large for one is so for all. */
const MOST_WORK = 1_500_000;
/** What is left for the rest when no more languages can be looked at, so that a schema can do without. */
const FOR_THE_REST = 200_000;
/** Of a step in a language. */
const STEP = 5;

/** What takes more than may be done, or a language that needs more states than a grammar should have rules. */
export class TooManyStates extends Error {}

/** What is left to be done for one request; several schemas may share it. */
export interface Work {
    left: number;
}

export const createWork = (): Work => ({ left: MOST_WORK });

/**
 * @param count - units
 * @throws TooManyStates where less is left
 */
export function spend(work: Work, count: number): void {
    const whole = Math.ceil(count);
    if (work.left < whole) throw new TooManyStates();
    work.left -= whole;
}

/**
 * @param steps - parts of languages, or ranges of characters
 * @throws TooManyStates where less is left than the rest may need
 */
export function spendOnLanguages(work: Work, steps: number): void {
    if (work.left - STEP * steps < FOR_THE_REST) throw new TooManyStates();
    work.left -= STEP * steps;
}
