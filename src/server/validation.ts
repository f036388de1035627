/** What is wrong with a body, in sentences: from what the validator of schemas found. */

import { show } from "../options.js";

/** An error of the validator, with the schema and the value that it is about. */
export interface SchemaProblem {
    readonly instancePath: string;
    readonly keyword: string;
    readonly params?: { readonly missingProperty?: string; readonly additionalProperty?: string };
    readonly parentSchema?: Schema;
    readonly data?: unknown;
}

interface Schema {
    readonly type?: string;
    readonly enum?: readonly unknown[];
    readonly const?: unknown;
    readonly anyOf?: readonly Schema[];
    readonly items?: Schema;
    readonly properties?: Readonly<Record<string, Schema>>;
    readonly minimum?: number;
    readonly exclusiveMinimum?: number;
    readonly maximum?: number;
    readonly [limit: string]: unknown;
}

/** @returns the field, undefined for the whole body, and a sentence about it */
export function describeProblems(problems: readonly SchemaProblem[]): {
    readonly param?: string;
    readonly message: string;
} {
    const problem = mostTelling(problems);
    const path = problem?.instancePath.split("/").slice(1) ?? [];
    const { missingProperty: missing, additionalProperty: unknown } = problem?.params ?? {};
    const param = toParam([...path, missing ?? unknown ?? []].flat());
    const name = param === "" ? "The body" : param;
    const message =
        missing !== undefined
            ? `${name} is missing.`
            : unknown !== undefined
              ? `${name} is unknown; there are: ${Object.keys(problem?.parentSchema?.properties ?? {}).join(", ")}.`
              : `${name} must ${toDemand(problem)}.`;
    return { ...(param !== "" && { param }), message };
}

/** Of what may be one of several, the innermost part that is wrong says most, unless nothing of it is right. */
function mostTelling(problems: readonly SchemaProblem[]): SchemaProblem | undefined {
    const depth = ({ instancePath }: SchemaProblem): number => instancePath.split("/").length;
    const union = problems.find(({ keyword }) => keyword === "anyOf");
    const [first] = problems;
    if (union === undefined) return first;
    const inner = problems.find(
        (problem) => depth(problem) > depth(union) || !["type", "enum", "const", "anyOf"].includes(problem.keyword),
    );
    return inner ?? union;
}

/** As OpenAI writes it: `messages[0].role`. */
export function toParam(path: readonly string[]): string {
    return path
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~").slice(0, 60))
        .map((part, index) => (/^\d+$/.test(part) && index > 0 ? `[${part}]` : index > 0 ? `.${part}` : part))
        .join("");
}

function toDemand(problem: SchemaProblem | undefined): string {
    const { keyword = "", parentSchema: schema = {}, data } = problem ?? {};
    switch (keyword) {
        case "minItems":
        case "maxItems":
            return `have at ${keyword === "minItems" ? "least" : "most"} ${count(schema[keyword], "element")}`;
        case "maxLength":
            return `have at most ${count(schema.maxLength, "character")}`;
        case "maxProperties":
            return `have at most ${count(schema.maxProperties, "entry", "entries")}`;
        default:
            return `be ${describe(schema)}, not ${show(data)}`;
    }
}

function count(value: unknown, one: string, many = `${one}s`): string {
    return `${String(value)} ${value === 1 ? one : many}`;
}

function describe(schema: Schema): string {
    const { type, enum: values, anyOf, items, minimum, exclusiveMinimum: above, maximum } = schema;
    if (anyOf !== undefined) return anyOf.map(describe).join(" or ");
    if (values !== undefined) return `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`;
    if (schema.const !== undefined) return JSON.stringify(schema.const);
    const range =
        maximum === undefined
            ? ""
            : above === undefined
              ? ` from ${minimum} to ${maximum}`
              : ` above ${above} and at most ${maximum}`;
    if (type === "number") return `a number${range}`;
    if (type === "integer") return `a whole number${range}`;
    if (type === "array") return items?.type === undefined ? "a list" : `a list of ${NOUNS[items.type] ?? "values"}`;
    return { string: "a text", boolean: "true or false", object: "an object" }[type ?? ""] ?? "something else";
}

/** In the plural. */
const NOUNS: Readonly<Record<string, string>> = { string: "texts", integer: "whole numbers", object: "objects" };
