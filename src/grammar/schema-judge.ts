/** Whether values are valid, and whether any may be, as JSON schemas mean it and not as grammars are narrower. */

import { isMultiple, isNoNumber } from "./numbers.js";
import type { Regulars } from "./regular.js";
import { TooManyStates } from "./work.js";
import { ownKeywords, plainNot, type Alternative, type Expander } from "./schema-alternatives.js";
import type { Arrays } from "./schema-arrays.js";
import type { Objects } from "./schema-objects.js";
import { kindOf, shapeOf, type Limits, type Shape } from "./schema-shape.js";
import { invalid, isList, isObject, keyOf, type Fields, type Located, type Report } from "./schema-report.js";

/** How deep properties of properties are looked at, and how many alternatives. */
const DEEPEST_LOOK = 3;
const MOST_LOOKS = 50_000;
const DEEPEST_VALUE = 200;
/** Units of work for an alternative and a value. */
const LOOK = 20;
const VALUE = 20;
/** Of an item and a schema. */
const ITEM = 2;

export function createJudge(
    regulars: Regulars,
    limits: Limits,
    expander: Expander,
    objects: Objects,
    arrays: Arrays,
    report: Report,
) {
    let looks = 0;

    /** Whether a value is valid. Objects may have properties that no schema lists, where nothing says otherwise. */
    function isValid(value: unknown, schemas: readonly Located[], depth = 0): boolean {
        if (schemas.length === 0) return true;
        if (depth > DEEPEST_VALUE) {
            return invalid(
                schemas[0]?.at ?? "#",
                `it is said of values that are nested more than ${DEEPEST_VALUE} deep`,
            );
        }
        return expander.expand(schemas).some((alternative) => {
            const shape = shapeOf(alternative, true, report);
            return shape.isListed(value) && isValidFor(value, shape, depth);
        });
    }

    /** Whether a value satisfies all of what is said besides the values that there may be. */
    function isValidFor(value: unknown, shape: Shape, depth = 0): boolean {
        report.spend(VALUE);
        const kind = kindOf(value);
        if (!shape.kinds.has(kind) || shape.isExcluded(value)) return false;
        if (typeof value === "string") {
            const language = limits.stringLanguage(shape);
            return language === undefined || regulars.matches(language, value);
        }
        if (typeof value === "number") {
            const { min, max, factors } = limits.numberLimits(shape);
            return value >= min && value <= max && factors.every((factor) => isMultiple(value, factor));
        }
        if (isList(value)) return isValidList(value, shape.alternative, depth + 1);
        return isObject(value) ? isValidObject(value, shape.alternative, depth + 1) : true;
    }

    function isValidList(value: readonly unknown[], alternative: Alternative, depth: number): boolean {
        const { min, max = Infinity, isUnique, contains } = arrays.arrayLimits(alternative);
        if (value.length < min || value.length > max) return false;
        report.spend(ITEM * value.length * alternative.length);
        if (isUnique && new Set(value.map((item) => keyOf(item, report.spend))).size < value.length) return false;
        const isEnough = contains.every(({ schema, least, most }) => {
            const count = value.filter((item) => isValid(item, [schema], depth)).length;
            return count >= least && count <= (most ?? Infinity);
        });
        return isEnough && value.every((item, index) => isValid(item, arrays.schemasOfItem(alternative, index), depth));
    }

    function isValidObject(value: Fields, alternative: Alternative, depth: number): boolean {
        const { min, max = Infinity } = objects.objectLimits(alternative);
        const names = Object.keys(value);
        const language = objects.nameLanguage(alternative);
        if (names.length < min || names.length > max) return false;
        if (!objects.requiredOf(alternative).every((name) => Object.hasOwn(value, name))) return false;
        return names.every(
            (name) =>
                (language === undefined || regulars.matches(language, name)) &&
                isValid(value[name], objects.schemasOfName(alternative, name), depth),
        );
    }

    function isNever(alternative: Alternative, depth = 0): boolean {
        // What is not certain is not.
        if (++looks > MOST_LOOKS) return false;
        report.spend(LOOK);
        const shape = shapeOf(alternative, true, report);
        if (shape.values !== undefined) return !shape.values.some((value) => isValidFor(value, shape));
        // Nothing but types.
        if (
            shape.kinds.size > 0 &&
            !alternative.some(({ schema }) => plainNot(schema) !== undefined || ownKeywords(schema).length > 1)
        )
            if (alternative.every(({ schema }) => "type" in schema)) return false;
        return [...shape.kinds].every((kind) => {
            try {
                if (kind === "string") return regulars.isEmpty(limits.stringLanguage(shape) ?? regulars.all);
                if (kind === "integer" || kind === "fraction")
                    return isNoNumber(regulars, limits.numberLimits({ ...shape, kinds: new Set([kind]) }));
            } catch (error) {
                if (!(error instanceof TooManyStates)) throw error;
                return false;
            }
            const isNeverValid = (schemas: readonly Located[]): boolean =>
                depth < DEEPEST_LOOK && expander.expand(schemas).every((one) => isNever(one, depth + 1));
            if (kind === "object") {
                return objects
                    .requiredOf(alternative)
                    .some((name) => isNeverValid(objects.schemasOfName(alternative, name)));
            }
            if (kind !== "array") return false;
            const { min, max = Infinity } = arrays.arrayLimits(alternative);
            return min > max || (min > 0 && isNeverValid(arrays.schemasOfItem(alternative, 0)));
        });
    }

    return { isValid, isValidFor, isNever };
}
