/** Arguments of functions, filters and methods. */

import type { Context } from "./context.js";
import { fail, None, typeName, Undefined, type Named, type Value } from "./values.js";

/**
 * Texts among the values count as read.
 *
 * @param parameters - names in the order in which values may be given
 * @returns a value for each parameter, undefined where none was given
 * @throws TemplateFault for more values than parameters, and for other names
 */
export function bind(
    { work }: Context,
    name: string,
    parameters: readonly string[],
    args: readonly Value[],
    named: Named,
): (Value | undefined)[] {
    if (args.length > parameters.length) fail(`${name} takes at most ${parameters.length} arguments`);
    for (const key of named.keys()) if (!parameters.includes(key)) fail(`${name} has no argument named ${key}`);
    const bound = parameters.map((parameter, index) => args[index] ?? named.get(parameter));
    for (const each of bound) if (typeof each === "string") work.read(each.length);
    return bound;
}

/** @throws TemplateFault */
export function needText(name: string, value: Value | undefined): string {
    if (typeof value === "string") return value;
    if (value instanceof Undefined) fail(value.reason);
    return fail(`${name} needs a text` + (value === undefined ? "" : `, not a value of the type ${typeName(value)}`));
}

/** A text, or undefined where nothing or `none` was given. @throws TemplateFault */
export function optionalText(name: string, value: Value | undefined): string | undefined {
    return value === undefined || value instanceof None ? undefined : needText(name, value);
}

/** @throws TemplateFault */
export function optionalInteger(name: string, value: Value | undefined): number | undefined {
    if (value === undefined || value instanceof None) return undefined;
    if (typeof value === "number" || typeof value === "boolean") return Number(value);
    return fail(`${name} needs an integer, not a value of the type ${typeName(value)}`);
}
