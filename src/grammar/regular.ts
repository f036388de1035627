/**
 * Regular languages of characters, with intersection and complement, by derivatives: what may follow a character is a language
 * again (J. Brzozowski, Derivatives of regular expressions, 1964; S. Owens et al., Regular-expression derivatives
 * reexamined, 2009).
 */

import { createClassMaker, createRangeMerger, classOf, type CharacterClasses } from "./character-classes.js";
import { includes, LAST, normalize } from "./character-ranges.js";
import type { CharacterRanges } from "./gbnf-rules.js";
import { createWork, spendOnLanguages, TooManyStates } from "./work.js";

/** A language; equal ones that are written alike are the same object. */
export interface Regular {
    readonly id: number;
    /** Whether the empty text is one of it. */
    readonly isNullable: boolean;
    /** Whether marks of the beginning or end of a text may stand in its texts. */
    readonly isMarked: boolean;
    readonly form: Form;
}

type Form =
    | { readonly kind: "nothing" }
    | { readonly kind: "characters"; readonly ranges: CharacterRanges }
    | { readonly kind: "sequence"; readonly first: Regular; readonly rest: Regular }
    | { readonly kind: "either" | "both"; readonly of: readonly Regular[] }
    | { readonly kind: "not" | "within"; readonly of: Regular }
    | { readonly kind: "repeat"; readonly of: Regular; readonly min: number; readonly max: number }
    | { readonly kind: "machine"; readonly machine: Machine };

/** A language by its states. */
export interface Machine {
    /** Unlike those of all other states of all machines. */
    readonly key: string;
    readonly isAccepting: boolean;
    /** The first characters of ranges of which it treats all alike. */
    readonly cuts: readonly number[];
    /** undefined: no text goes on so. */
    readonly next: (character: number) => Machine | undefined;
}

/** Deterministic, of states from which the end can be reached; the first state is where texts begin. */
export type Automaton = readonly {
    readonly isAccepting: boolean;
    readonly edges: readonly { readonly ranges: CharacterRanges; readonly next: number }[];
}[];

export type Regulars = ReturnType<typeof createRegulars>;

/** What stands for the beginning and the end of a text in patterns: no characters. */
export const BEGINNING = 0x110000;
export const ENDING = 0x110001;

const MOST_STATES = 4000;
const MOST_EDGES = 20_000;
const MOST_LANGUAGES = 200_000;
/** Of a text that is compared, where its steps are known. */
const CHARACTERS_OF_STEP = 10;

/**
 * Makes languages; what one maker makes knows nothing of another's.
 *
 * @param total - is used up
 */
export function createRegulars(total = createWork()) {
    const known = new Map<string, Regular>();
    /** By the class of the character. */
    const steps = new Map<Regular, (Regular | undefined)[]>();
    const classesOf = new Map<Regular, CharacterClasses>();
    const automata = new Map<Regular, Automaton | undefined>();
    const spend = (count: number): void => {
        spendOnLanguages(total, count);
    };
    const spent = new Set<string>();
    /** Counts what patterns of a request have in common. */
    const spendOnce = (what: string, count: number): void => {
        if (!spent.has(what)) spend(count);
        spent.add(what);
    };
    const { whole, classesOfRanges, classesOfCuts, refine } = createClassMaker(spend);
    const rangesOf = createRangeMerger(spend);

    function intern(key: string, form: Form, isNullable: boolean): Regular {
        const found = known.get(key);
        if (found !== undefined) return found;
        if (known.size > MOST_LANGUAGES) throw new TooManyStates();
        const made = { id: known.size, isNullable, isMarked: hasMarks(form), form };
        known.set(key, made);
        return made;
    }

    /** @param ranges - in any order; halves of surrogate pairs are left out */
    function characters(ranges: CharacterRanges): Regular {
        spend(ranges.length);
        const own = normalize(ranges);
        return intern(`c${own.join()}`, { kind: "characters", ranges: own }, false);
    }

    const never = characters([]);
    const nothing = intern("e", { kind: "nothing" }, true);
    const any = characters([[0, LAST]]);
    const all = repeat(any, 0, Infinity);
    const allMarked = repeat(characters([[0, ENDING]]), 0, Infinity);

    function sequence(...parts: readonly Regular[]): Regular {
        return parts.reduceRight((rest, first) => {
            if (first === never || rest === never) return never;
            if (first === nothing) return rest;
            if (rest === nothing) return first;
            const heads: Regular[] = [];
            let last = first;
            for (; last.form.kind === "sequence"; last = last.form.rest) heads.push(last.form.first);
            return [...heads, last].reduceRight(precede, rest);
        }, nothing);
    }

    /** @param first - no sequence */
    function precede(rest: Regular, first: Regular): Regular {
        const isNullable = first.isNullable && rest.isNullable;
        return intern(`s${first.id},${rest.id}`, { kind: "sequence", first, rest }, isNullable);
    }

    /** The parts of unions within unions, or intersections within intersections. */
    function flatten(kind: "either" | "both", parts: readonly Regular[]): Set<Regular> {
        const nested = parts.map(({ form }, index) => (form.kind === kind ? form.of : parts.slice(index, index + 1)));
        spend(nested.reduce((sum, { length }) => sum + length, 0));
        return new Set(nested.flat());
    }

    function either(...parts: readonly Regular[]): Regular {
        const flat = flatten("either", parts);
        const ranges = [...flat].flatMap((part) => (part.form.kind === "characters" ? part.form.ranges : []));
        const of = [...flat].filter(({ form }) => form.kind !== "characters");
        if (of.includes(allMarked)) return allMarked;
        if (of.includes(all) && ![...flat].some(({ isMarked }) => isMarked)) return all;
        if (ranges.length > 0) of.push(characters(ranges));
        return several(
            "either",
            of,
            never,
            of.some(({ isNullable }) => isNullable),
        );
    }

    function both(...parts: readonly Regular[]): Regular {
        const flat = flatten("both", parts);
        flat.delete(all);
        if (flat.has(never)) return never;
        return several(
            "both",
            [...flat],
            all,
            [...flat].every(({ isNullable }) => isNullable),
        );
    }

    function several(kind: "either" | "both", of: Regular[], none: Regular, isNullable: boolean): Regular {
        const [only = none] = of;
        if (of.length < 2) return only;
        of.sort((a, b) => a.id - b.id);
        return intern(`${kind}${of.map(({ id }) => id).join()}`, { kind, of }, isNullable);
    }

    /** All other texts. */
    function not(of: Regular): Regular {
        if (of === never) return all;
        if (of === all) return never;
        if (of.form.kind === "not") return of.form.of;
        return intern(`n${of.id}`, { kind: "not", of }, !of.isNullable);
    }

    function repeat(of: Regular, min: number, max: number): Regular {
        if (max === 0 || of === nothing) return nothing;
        if (of === never) return min === 0 ? nothing : never;
        if (min === 1 && max === 1) return of;
        const least = of.isNullable ? 0 : min;
        return intern(`r${of.id},${least},${max}`, { kind: "repeat", of, min: least, max }, least === 0);
    }

    /**
     * The texts in which `of` is found, where {@link BEGINNING} and {@link ENDING} stand for the places before and after them.
     */
    function matching(of: Regular): Regular {
        const marked = sequence(allMarked, of, allMarked);
        const begun = new Set<Regular>();
        for (let state = step(marked, BEGINNING); !begun.has(state); state = step(state, BEGINNING)) begun.add(state);
        return within(either(...begun));
    }

    function within(of: Regular): Regular {
        if (of === never) return never;
        if (of === allMarked) return all;
        const seen = new Set<Regular>();
        let isNullable = false;
        for (let state = step(of, ENDING); !seen.has(state) && !isNullable; state = step(state, ENDING)) {
            seen.add(state);
            ({ isNullable } = state);
        }
        return intern(`w${of.id}`, { kind: "within", of }, isNullable);
    }

    function machine(given: Machine): Regular {
        return intern(`m${given.key}`, { kind: "machine", machine: given }, given.isAccepting);
    }

    function text(value: string): Regular {
        return sequence(...[...value].map((character) => oneOf(character)));
    }

    /** One of these characters. */
    function oneOf(some: string): Regular {
        return characters([...some].map((character) => [character.codePointAt(0) ?? 0, character.codePointAt(0) ?? 0]));
    }

    /** What may follow a character at the beginning. */
    function step(language: Regular, character: number): Regular {
        const own = steps.get(language) ?? [];
        steps.set(language, own);
        const place = classOf(classes(language), character);
        let result = own[place];
        if (result !== undefined) return result;
        spend(1);
        result = derive(language.form, character);
        own[place] = result;
        return result;
    }

    function derive(form: Form, character: number): Regular {
        switch (form.kind) {
            case "nothing":
                return never;
            case "characters":
                return includes(form.ranges, character) ? nothing : never;
            case "sequence": {
                const next = sequence(step(form.first, character), form.rest);
                return form.first.isNullable ? either(next, step(form.rest, character)) : next;
            }
            case "either":
                return either(...form.of.map((part) => step(part, character)));
            case "both":
                return both(...form.of.map((part) => step(part, character)));
            case "not":
                return not(step(form.of, character));
            case "within":
                return within(step(form.of, character));
            case "repeat": {
                const rest = repeat(form.of, Math.max(0, form.min - 1), form.max - 1);
                return sequence(step(form.of, character), rest);
            }
            case "machine": {
                const next = form.machine.next(character);
                return next === undefined ? never : machine(next);
            }
        }
    }

    /** Characters by what may follow them at the beginning of a text. */
    function classes(language: Regular): CharacterClasses {
        let found = classesOf.get(language);
        if (found !== undefined) return found;
        found = makeClasses(language.form);
        classesOf.set(language, found);
        return found;
    }

    function makeClasses(form: Form): CharacterClasses {
        switch (form.kind) {
            case "nothing":
                return whole;
            case "characters":
                return classesOfRanges(form.ranges);
            case "sequence":
                return form.first.isNullable ? refine(classes(form.first), classes(form.rest)) : classes(form.first);
            case "either":
            case "both":
                spend(form.of.length);
                return [...new Set(form.of.map(classes))].reduce(refine);
            case "machine":
                return classesOfCuts(form.machine.cuts);
            case "not":
            case "within":
            case "repeat":
                return classes(form.of);
        }
    }

    /** All characters by what may follow them; what nothing may follow is left out. */
    function edgesOf(state: Regular): Map<Regular, CharacterRanges> {
        const own = classes(state);
        const members = new Map<Regular, number[]>();
        spend(own.examples.length);
        own.examples.forEach((example, place) => {
            if (example > LAST) return;
            const next = step(state, example);
            if (next === never) return;
            const places = members.get(next);
            if (places === undefined) members.set(next, [place]);
            else places.push(place);
        });
        return new Map([...members].map(([next, places]) => [next, rangesOf(own, places)]));
    }

    /**
     * @returns undefined: no text at all
     * @throws TooManyStates
     */
    function automaton(language: Regular): Automaton | undefined {
        if (!automata.has(language)) automata.set(language, makeAutomaton(language));
        return automata.get(language);
    }

    function makeAutomaton(language: Regular): Automaton | undefined {
        const places = new Map<Regular, number>([[language, 0]]);
        const edges: { ranges: CharacterRanges; next: number }[][] = [];
        let count = 0;
        // It grows while it is walked through.
        for (const [state] of places) {
            const list = [...edgesOf(state)].map(([next, ranges]) => {
                if (!places.has(next)) places.set(next, places.size);
                return { ranges, next: places.get(next) ?? 0 };
            });
            edges.push(list);
            count += list.length;
            if (places.size > MOST_STATES || count > MOST_EDGES) throw new TooManyStates();
        }
        return trim(
            [...places.keys()].map(({ isNullable }, place) => ({ isAccepting: isNullable, edges: edges[place] ?? [] })),
        );
    }

    function matches(language: Regular, value: string): boolean {
        spend(Math.ceil(value.length / CHARACTERS_OF_STEP));
        let state = language;
        for (const character of value) state = step(state, character.codePointAt(0) ?? 0);
        return state.isNullable;
    }

    /** @throws TooManyStates */
    function isEmpty(language: Regular): boolean {
        const states = new Set([language]);
        // It grows while it is walked through.
        for (const state of states) {
            if (state.isNullable) return false;
            for (const next of edgesOf(state).keys()) states.add(next);
            if (states.size > MOST_STATES) throw new TooManyStates();
        }
        return true;
    }

    return {
        ...{
            never,
            nothing,
            any,
            all,
            characters,
            oneOf,
            text,
            sequence,
            either,
            both,
            not,
            repeat,
            matching,
            machine,
        },
        ...{ automaton, matches, isEmpty, spendOnce },
    };
}

function hasMarks(form: Form): boolean {
    switch (form.kind) {
        case "characters":
            return (form.ranges.at(-1)?.[1] ?? 0) > LAST;
        case "sequence":
            return form.first.isMarked || form.rest.isMarked;
        case "either":
        case "both":
            return form.of.some(({ isMarked }) => isMarked);
        case "repeat":
        case "not":
            return form.of.isMarked;
        case "nothing":
        case "within":
        case "machine":
            return false;
    }
}

/** Without the states from which the end cannot be reached. */
function trim(given: Automaton): Automaton | undefined {
    const before: number[][] = given.map(() => []);
    given.forEach(({ edges }, place) => {
        for (const { next } of edges) before[next]?.push(place);
    });
    const alive = new Set([...given.keys()].filter((place) => given[place]?.isAccepting === true));
    // It grows while it is walked through.
    for (const place of alive) for (const earlier of before[place] ?? []) alive.add(earlier);
    if (!alive.has(0)) return undefined;
    const places = new Map([...given.keys()].filter((place) => alive.has(place)).map((place, index) => [place, index]));
    return [...places.keys()].map((place) => ({
        isAccepting: given[place]?.isAccepting === true,
        edges: (given[place]?.edges ?? []).flatMap(({ ranges, next }) => {
            const target = places.get(next);
            return target === undefined ? [] : [{ ranges, next: target }];
        }),
    }));
}
