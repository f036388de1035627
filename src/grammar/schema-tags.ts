/** What tells alternatives apart at a glance, as in discriminated unions: required properties of few values. */

import type { Alternative } from "./schema-alternatives.js";
import { isList, isObject, keyOf, type Report } from "./schema-report.js";

interface Tags {
    /** The values that properties can have which an object needs, by their names. */
    readonly values: ReadonlyMap<string, ReadonlySet<string>>;
    readonly isObject: boolean;
}

/** Units of work for a value of a tag, and for two alternatives that are compared. */
const TAG = 10;
const PAIR = 2;

/** @returns tells whether it is certain, at a glance, that nothing is valid for two alternatives */
export function createTags(report: Report): (one: Alternative, other: Alternative) => boolean {
    const known = new Map<Alternative, Tags>();

    function tagsOf(alternative: Alternative): Tags {
        const found = known.get(alternative) ?? readTags(alternative, report);
        known.set(alternative, found);
        return found;
    }

    return (one, other) => {
        report.spend(PAIR);
        const [left, right] = [tagsOf(one), tagsOf(other)];
        if (!left.isObject && !right.isObject) return false;
        for (const [name, values] of left.values) {
            const others = right.values.get(name);
            if (others === undefined) continue;
            report.spend(values.size);
            if (![...values].some((value) => others.has(value))) return true;
        }
        return false;
    };
}

function readTags(alternative: Alternative, report: Report): Tags {
    const values = new Map<string, ReadonlySet<string>>();
    for (const { schema: owner } of alternative) {
        for (const name of isList(owner.required) ? owner.required : []) {
            for (const { schema } of alternative) {
                report.spend(1);
                const { properties } = schema;
                if (typeof name !== "string" || !isObject(properties) || !Object.hasOwn(properties, name)) continue;
                const property = properties[name];
                if (!isObject(property)) continue;
                const list = "const" in property ? [property.const] : property.enum;
                if (!isList(list)) continue;
                report.spend(TAG * list.length);
                values.set(name, new Set(list.map((value) => keyOf(value, report.spend))));
            }
        }
    }
    return { values, isObject: alternative.some(({ schema }) => schema.type === "object") };
}
