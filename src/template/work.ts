/** How much a template may do: it comes with a model file, which anybody can have made. */

/** Steps that every template has, whatever it is given; some thousand times what a short conversation takes. */
const STEPS = 1_000_000;
/** Characters that every template may make. */
const CHARACTERS = 1 << 23;
/** Steps and characters for each character that a template is given, and for each value. */
const PER_CHARACTER = { steps: 2, characters: 32 };
const STEPS_PER_VALUE = 500;
/** Steps for each pair of values: some templates look through all messages behind each message. */
const STEPS_PER_PAIR = 3;
/** Of those: five thousand messages need 12,500,000 where each is given the numbers of all others. */
const MAX_STEPS_FOR_PAIRS = 20_000_000;
/** Characters that are compared or copied in about the time of a step. */
const CHARACTERS_PER_STEP = 64;
/** Where each of them may be compared with each of another text. */
const COMPARISONS_PER_STEP = 256;
const SHORT_PATTERN = 16;

/** A template does too much. */
export class TooMuchWork extends Error {}

/** Counts what a rendering does. All of it throws {@link TooMuchWork} when it is too much. */
export interface Work {
    /** Something that takes about as long as looking up a variable. */
    readonly step: (count?: number) => void;
    /** Reading a text once. */
    readonly read: (length: number) => void;
    /** Making a text. */
    readonly write: (length: number) => void;
    /** Looking for a text within another. */
    readonly search: (length: number, pattern: number) => void;
}

/**
 * Counted and not timed, so that what is rendered on one machine is rendered on every other; time and memory are bounded
 * all the same.
 *
 * @param characters - of all texts that the template is given
 * @param values - that the template is given
 */
export function createWork(characters: number, values: number): Work {
    const forPairs = Math.min(STEPS_PER_PAIR * values * values, MAX_STEPS_FOR_PAIRS);
    let steps = STEPS + PER_CHARACTER.steps * characters + STEPS_PER_VALUE * values + forPairs;
    let room = CHARACTERS + PER_CHARACTER.characters * characters;
    function step(count = 1): void {
        steps -= count;
        // Not `steps < 0`: it may be NaN.
        if (!(steps >= 0))
            throw new TooMuchWork("it does not come to an end within the steps that a template may take");
    }
    function read(length: number): void {
        step(1 + length / CHARACTERS_PER_STEP);
    }
    return {
        step,
        read,
        write(length) {
            read(length);
            room -= length;
            if (!(room >= 0))
                throw new TooMuchWork("it makes more text than a template may for a conversation of this size");
        },
        search(length, pattern) {
            read(length + pattern);
            if (pattern > SHORT_PATTERN) step((length * pattern) / COMPARISONS_PER_STEP);
        },
    };
}
