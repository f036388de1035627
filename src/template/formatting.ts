/** Texts with places for values: `'{}'.format(x)`. */

import type { Context } from "./context.js";
import { fail, type Named, type Value } from "./values.js";

/** Python's `str.format`, for fields without a format of their own. */
export function formatFields(context: Context, pattern: string, args: readonly Value[], named: Named): string {
    let next = 0;
    return fill(context, pattern, /\{\{|\}\}|\{([^{}]*)\}|[{}]/g, ([found, field]) => {
        if (found === "{{" || found === "}}") return found.charAt(0);
        if (field === undefined) return fail(`there is a single ${found} in a text that is formatted`);
        if (!/^\w*$/.test(field)) return fail(`formats such as {${field}} are not known here`);
        const value = field === "" ? args[next++] : /^\d+$/.test(field) ? args[Number(field)] : named.get(field);
        return context.values.text(value ?? fail(`nothing was given for {${field}}`));
    });
}

function fill(
    { work, standIns }: Context,
    pattern: string,
    place: RegExp,
    make: (found: RegExpMatchArray) => string,
): string {
    work.read(pattern.length);
    const parts: string[] = [];
    let from = 0;
    // Places are found in what the text stands for, and what lies between them is cut out of the text itself.
    for (const found of standIns.plain(pattern).matchAll(place)) {
        const part = make(found);
        work.write(part.length + found.index - from);
        parts.push(pattern.slice(from, found.index), part);
        from = found.index + found[0].length;
    }
    return [...parts, pattern.slice(from)].join("");
}
