/** Tools for templates that cannot show all that a schema may say or leave out. */

import { TooMuchWork } from "../template/work.js";
import type { ResolvedTool } from "../tools/types.js";

type Keywords = Readonly<Record<string, unknown>>;

/** Keywords that hold schemas by name, in a list, or one. */
const BY_NAME = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];
const LISTS = ["anyOf", "oneOf", "allOf", "prefixItems"];
const SINGLE = ["items", "not", "contains", "if", "then", "else", "propertyNames", "unevaluatedItems"];

/**
 * Shows tools, and where that fails, the same with everything written out that many templates take for granted: a description, properties,
 * and schemas that are objects with at most one type. What is enforced does not change by that.
 *
 * @param show - renders with these tools
 * @throws what `show` throws, with the name of the tool if it is one of them that cannot be shown
 */
export function showTools<Shown>(
    tools: readonly ResolvedTool[],
    show: (tools: readonly ResolvedTool[]) => Shown,
): Shown {
    const attempt = (shown: readonly ResolvedTool[]): { readonly shown: Shown } | { readonly fault: unknown } => {
        try {
            return { shown: show(shown) };
        } catch (fault) {
            // Each further try may take as long.
            if (fault instanceof TooMuchWork) throw fault;
            return { fault };
        }
    };
    const first = attempt(tools);
    if ("shown" in first) return first.shown;
    let suspects = tools.map(toPrintable);
    const second = attempt(suspects);
    if ("shown" in second) return second.shown;
    // Where a tool about which nothing is to be said fails too, it is something else.
    const plain = { name: "f", description: "", parameters: { type: "object", properties: {} } } as const;
    if ("fault" in attempt([plain])) throw first.fault;
    while (suspects.length > 1) {
        const half = suspects.slice(0, suspects.length / 2);
        suspects = "fault" in attempt(half) ? half : suspects.slice(half.length);
    }
    const { fault } = second;
    const reason = fault instanceof Error ? fault.message : String(fault);
    throw new Error(`it cannot show the parameters of the tool ${suspects[0]?.name}: ${reason}`, { cause: fault });
}

/** The same tool. */
export function toPrintable({ name, description = "", parameters }: ResolvedTool): ResolvedTool {
    const { properties = {}, ...rest } = printable(parameters) as Keywords;
    return { name, description, parameters: { type: "object", ...rest, properties } };
}

function printable(schema: unknown): unknown {
    if (typeof schema === "boolean") return schema ? {} : { not: {} };
    if (!isKeywords(schema)) return schema;
    const entries = Object.entries(schema).map(([key, value]): [string, unknown] => {
        if (SINGLE.includes(key)) return [key, printable(value)];
        if (key === "additionalProperties" && typeof value !== "boolean") return [key, printable(value)];
        if (LISTS.includes(key) && Array.isArray(value)) return [key, value.map(printable)];
        if (BY_NAME.includes(key) && isKeywords(value))
            return [key, Object.fromEntries(Object.entries(value).map(([name, each]) => [name, printable(each)]))];
        return [key, value];
    });
    const { type, ...rest } = Object.fromEntries(entries) as Keywords;
    if (type === undefined) return rest;
    const types = (Array.isArray(type) ? type : [type]) as readonly unknown[];
    const ways = types.map((each) => (each === "null" ? { const: null } : { type: each }));
    if (types.length === 1) return rest.const === undefined ? { ...ways[0], ...rest } : { type: types[0], ...rest };
    return rest.anyOf === undefined ? { ...rest, anyOf: ways } : { allOf: [{ anyOf: ways }, rest] };
}

function isKeywords(value: unknown): value is Keywords {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}
