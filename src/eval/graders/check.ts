/** What can be found wrong with graders before anything is graded. */

import { suggestion } from "../../recipe/problems.js";
import type { GraderSpec, Item, Question } from "../types.js";
import { findPatternFault } from "./pattern.js";

type Graders = Readonly<Record<string, GraderSpec>>;

/** What each type of grader takes beside its type: what it needs, as an example, and what it may have. */
const KEYS: Readonly<
    Record<GraderSpec["type"], { needs?: Readonly<Record<string, string>>; may?: readonly string[] }>
> = {
    exact: {},
    contains: { may: ["ignoreCase"] },
    regex: { may: ["pattern", "field"] },
    format: { may: ["pattern", "field"] },
    refusal: { may: ["phrases"] },
    all: { needs: { of: "[a, b]" } },
    any: { needs: { of: "[a, b]" } },
    not: { needs: { of: "a" } },
    judge: { needs: { criterion: "helpfulness" }, may: ["against"] },
};

/** A grader as it may be written, in full: `contains` is `{ type: contains }`. A wrong one is found by {@link checkGraders}. */
export function readGrader(source: GraderSpec["type"] | GraderSpec): GraderSpec {
    const grader = typeof source === "string" ? ({ type: source } as GraderSpec) : source;
    if ((grader.type !== "all" && grader.type !== "any") || typeof grader.of !== "string") return grader;
    return { ...grader, of: [grader.of] };
}

/**
 * @param graders - all graders of a task, by name
 * @param items - of the task; what is not a question is passed over
 * @returns what is wrong, a clause for each: types, keys, names of other graders, patterns, fields and answers that items lack
 */
export function checkGraders(graders: Graders, items: readonly Item[] = []): string[] {
    const questions = items.filter((item) => item.kind === "question");
    return Object.entries(graders).flatMap(([name, grader]) => {
        const ofKeys = findKeyFaults(grader);
        const faults = ofKeys.length > 0 ? ofKeys : findFaults(name, grader, graders, questions);
        return faults.map((fault) => `the grader "${name}" ${fault}`);
    });
}

/** Whatever the types say: these come from files. */
function findKeyFaults(grader: GraderSpec): string[] {
    const { type } = grader;
    if (!Object.hasOwn(KEYS, type))
        return [`is of the type "${type}", which there is not; ${suggestion(type, Object.keys(KEYS))}`];
    const { needs = {}, may = [] } = KEYS[type];
    for (const [key, example] of Object.entries(needs))
        if (!(key in grader)) return [`lacks "${key}"; write { type: ${type}, ${key}: ${example} }`];
    const known = ["type", ...Object.keys(needs), ...may];
    const foreign = Object.keys(grader).find((key) => !known.includes(key));
    if (foreign !== undefined)
        return [`is of the type "${type}", which has no "${foreign}"; ${suggestion(foreign, known)}`];
    return type === "not" && typeof grader.of !== "string"
        ? ['names several graders in "of", and "not" takes one']
        : [];
}

function findFaults(name: string, grader: GraderSpec, graders: Graders, questions: readonly Question[]): string[] {
    switch (grader.type) {
        case "exact":
        case "contains": {
            const lacking = questions.find(({ answers }) => answers.length === 0);
            return lacking === undefined ? [] : [`needs answers, and the item "${lacking.id}" has none`];
        }
        case "regex":
        case "format":
            return findPatternFaults(grader, questions);
        case "refusal":
            return grader.phrases?.every((phrase) => phrase.trim() !== "") === false || grader.phrases?.length === 0
                ? ['needs phrases with something in them; leave "phrases" out for the usual ones']
                : [];
        case "all":
        case "any":
        case "not": {
            const names = [grader.of].flat();
            if (names.length === 0) return ['names no grader in "of"'];
            const faults = names.flatMap((other) => findNameFaults(other, graders));
            return faults.length === 0 && reaches(name, names, graders)
                ? ["depends on itself; take it out of its own conditions"]
                : faults;
        }
        case "judge":
            return [];
    }
}

function findPatternFaults(
    { pattern, field }: { pattern?: string; field?: string },
    questions: readonly Question[],
): string[] {
    if (pattern !== undefined && field !== undefined) return ['has both "pattern" and "field"; keep one of the two'];
    if (pattern !== undefined) {
        const fault = findPatternFault(pattern);
        return fault === undefined ? [] : [`cannot use its pattern: ${fault}`];
    }
    if (field === undefined) return ['needs "pattern", a regular expression, or "field", an item\'s key that holds it'];
    for (const { id, fields } of questions) {
        const own = Object.hasOwn(fields, field) ? fields[field] : undefined;
        if (own === undefined)
            return [
                `needs the field "${field}", which the item "${id}" lacks; ${suggestion(field, Object.keys(fields))}`,
            ];
        const fault = findPatternFault(own);
        if (fault !== undefined) return [`cannot use the field "${field}" of the item "${id}" as a pattern: ${fault}`];
    }
    return [];
}

function findNameFaults(name: string, graders: Graders): string[] {
    const grader = Object.hasOwn(graders, name) ? graders[name] : undefined;
    if (grader === undefined) return [`names "${name}", which is no grader; ${suggestion(name, Object.keys(graders))}`];
    return grader.type === "judge" ? [`names "${name}", a judge, whose marks are neither 1 nor 0`] : [];
}

/** Whether following the names ends at `name`. */
function reaches(name: string, names: readonly string[], graders: Graders): boolean {
    const open = [...names];
    const seen = new Set<string>();
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
        if (next === name) return true;
        const grader = graders[next];
        if (seen.has(next) || grader === undefined || !("of" in grader)) continue;
        seen.add(next);
        open.push(...[grader.of].flat());
    }
    return false;
}
