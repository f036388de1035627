/** Texts with places for values: `'{}'.format(x)`. */

import type { Context } from "./context.js";
import { fail, type Named, type Value } from "./values.js";

/** Python's `str.format`, for fields without a format of their own. */
export function formatFields(context: Context, pattern: string, args: readonly Value[], named: Named): string {
    const { work, standIns, values } = context;
    let next = 0;
    const make = (found: string, field: string | undefined): string => {
        if (found === "{{" || found === "}}") return found.charAt(0);
        if (field === undefined) return fail(`there is a single ${found} in a text that is formatted`);
        if (!/^\w*$/.test(field)) return fail(`formats such as {${field}} are not known here`);
        const value = field === "" ? args[next++] : /^\d+$/.test(field) ? args[Number(field)] : named.get(field);
        return values.text(value ?? fail(`nothing was given for {${field}}`));
    };
    work.read(pattern.length);
    const parts: string[] = [];
    let from = 0;
    // Places are found in what the text stands for, and what lies between them is cut out of the text itself.
    for (const { 0: found, 1: field, index } of standIns.plain(pattern).matchAll(/\{\{|\}\}|\{([^{}]*)\}|[{}]/g)) {
        const part = make(found, field);
        work.write(part.length + index - from);
        parts.push(pattern.slice(from, index), part);
        from = index + found.length;
    }
    return [...parts, pattern.slice(from)].join("");
}
