/** What somebody hands in takes bounded work, counted and not timed, and fails with nothing but an EftError. */

import { describe, expect, test } from "@jest/globals";
import { EftError } from "../../src/errors.js";
import { programOf } from "../../src/grammar/gbnf-program.js";
import { isValidJson, jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { Fields } from "../../src/grammar/schema-report.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import { createWork } from "../../src/grammar/work.js";
import { allowsArguments } from "../../src/tools/allows-arguments.js";
import { checkTools } from "../../src/tools/check-tools.js";
import type { Tool } from "../../src/tools/types.js";

const list = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));
const named = (count: number, make: (index: number) => unknown): Record<string, unknown> =>
    Object.fromEntries(list(count, (index) => [`name${index}`, make(index)]));
const nested = (depth: number, make: (inner: unknown) => unknown): JsonSchema => {
    let schema: unknown = { type: "null" };
    for (let level = 0; level < depth; level++) schema = make(schema);
    return schema as JsonSchema;
};
const TEXT = { type: "string" };
/** Many schemas that lead to one. */
const often = (schema: unknown): JsonSchema => ({
    $defs: { long: schema },
    properties: named(100, (index) => ({ $ref: "#/$defs/long", title: `${index}` })),
});
const LONG_TEXTS = list(99, (index) => `${index}`.padEnd(10_000, "x"));
/** Of its values only the last is valid. */
const LONG = { enum: [...LONG_TEXTS, 1], not: { type: "string" } };
/** A short value that is beyond all bounds once it is written out. */
const doubled = (times: number): unknown => {
    let value: unknown = ["x"];
    for (let count = 0; count < times; count++) value = [value, value];
    return value;
};
const CLASSES = ["\\p{L}", "\\P{Lu}", "\\p{Lo}", "\\P{N}", "\\p{S}", "\\p{M}", "\\p{Alphabetic}", "\\p{Cn}"];
const SCRIPTS = [
    ...["Latin", "Greek", "Cyrillic", "Armenian", "Hebrew", "Arabic", "Syriac", "Thaana", "Devanagari", "Bengali"],
    ...["Gurmukhi", "Gujarati", "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao"],
];

/** What is done for a schema, its grammar and the program of that; undefined: it is refused. */
function workOf(schema: JsonSchema): number | undefined {
    const work = createWork();
    const before = work.left;
    try {
        programOf(jsonSchemaToGbnf(schema, { work }).grammar, undefined, () => 0);
    } catch (error) {
        // Not even where the stack overflows.
        if (!EftError.isInstance(error) || error.code !== "GRAMMAR_INVALID") throw error;
        return undefined;
    }
    return before - work.left;
}

describe("accepted, in not more units of work than", () => {
    test.each<[string, JsonSchema, number]>([
        ["a label", { properties: { a: { enum: ["b", "c"] }, d: { type: "integer", minimum: 1, maximum: 5 } } }, 5000],
        ["a thousand properties", { properties: named(1000, () => TEXT) }, 300_000],
        ["hundreds of bounds", { properties: named(200, (index) => ({ type: "integer", minimum: index })) }, 400_000],
        [
            "thousands of objects",
            { enum: list(2000, (i) => ({ id: i, name: `object ${i}`, more: [{ x: 1 }] })) },
            500_000,
        ],
        ["thousands of values", { enum: list(5000, (index) => `v${index}`) }, 400_000],
        ["texts that begin alike", { enum: list(10_000, (index) => `value-${100_000_000 + index}`) }, 700_000],
        ["as many letters as strings can have", { type: "string", pattern: "^\\p{L}{1,2000}$" }, 600_000],
        ["letters that are none of capitals", { type: "string", pattern: "^[^\\p{Lu}\\p{Lt}\\P{L}]*$" }, 250_000],
        ["values of which each comes once", { items: { enum: list(100, (i) => i) }, uniqueItems: true }, 700_000],
        [
            "a hundred kinds",
            {
                oneOf: list(100, (index) => ({
                    type: "object",
                    properties: { kind: { const: `kind${index}` }, ...named(10, () => TEXT) },
                    required: ["kind"],
                })),
            },
            400_000,
        ],
        ["what is nested hundreds of times", nested(400, (inner) => ({ type: "array", items: inner })), 300_000],
        ["first items of many kinds", { type: "array", prefixItems: list(1000, () => TEXT) }, 300_000],
    ])("%s", (_name, schema, most) => {
        const used = workOf(schema);
        expect(used).toBeGreaterThan(0);
        expect(used).toBeLessThan(most);
    });

    test("tools of a request as a whole, which often say the same", () => {
        const work = createWork();
        for (let tool = 0; tool < 100; tool++) {
            const properties = named(
                20,
                (index) =>
                    [
                        TEXT,
                        { type: "integer", minimum: 0, maximum: 1000 + tool },
                        { enum: list(8, (value) => `value-${tool}-${value}`) },
                        { type: "string", format: "date-time" },
                        { type: "array", items: TEXT, maxItems: 20 },
                    ][index % 5],
            );
            jsonSchemaToGbnf({ type: "object", properties, required: Object.keys(properties) }, { work });
        }
        expect(work.left).toBeGreaterThan(0);
    });
});

test("each keyword that cannot be enforced counts, where that is no error", () => {
    const unknown = { properties: named(20, () => named(300, () => 1)) };
    const work = createWork();
    const before = work.left;
    expect(jsonSchemaToGbnf(unknown, { isStrict: false, work }).unenforced).toHaveLength(6000);
    expect(before - work.left).toBeGreaterThan(10 * 6000);
    const many = { properties: named(300, () => unknown.properties.name0) };
    expect(jsonSchemaToGbnf(many, { isStrict: false }).unenforced).toHaveLength(300);
    const more = { properties: named(300, () => named(400, () => 1)) };
    expect(() => jsonSchemaToGbnf(more, { isStrict: false })).toThrow("a grammar of it would be too large");
});

describe("a request costs the same as often as it is made:", () => {
    const costOf = (schemas: readonly JsonSchema[]): number => {
        const work = createWork();
        for (const schema of schemas) jsonSchemaToGbnf(schema, { work });
        return work.left;
    };

    test("many tools that have languages in common", () => {
        const schemas = list(60, (tool) => ({
            type: "object",
            properties: named(25, (index) => (index === 0 ? { const: tool } : { minimum: index, type: "integer" })),
        }));
        const first = costOf(schemas);
        for (let count = 0; count < 5; count++) expect(costOf(schemas)).toBe(first);
        // Whoever asked for some of them alone leaves the others as they were.
        for (const schema of schemas) jsonSchemaToGbnf(schema);
        expect(costOf(schemas)).toBe(first);
    });

    test("patterns with Unicode properties, each of which counts once", () => {
        const schemas = ["\\p{Script=Ogham}", "\\P{Script=Ogham}a"].map((pattern) => ({ type: "string", pattern }));
        const first = costOf(schemas);
        expect(costOf(schemas)).toBe(first);
        const other = costOf([...schemas, { type: "string", pattern: "\\p{Script=Runic}" }]);
        expect(first - other).toBeGreaterThan(50_000);
        expect(createWork().left - first).toBeLessThan(100_000);
    });
});

describe("refused, with an EftError:", () => {
    test.each<[string, JsonSchema]>([
        ["first items beyond number", { type: "array", prefixItems: list(20_000, (index) => ({ minLength: index })) }],
        ["the opposite of many first items", { not: { prefixItems: list(1500, () => TEXT) } }],
        [
            "objects of objects of objects",
            { properties: named(100, () => ({ properties: named(500, () => ({ minLength: 1 })) })) },
        ],
        [
            "lists of which each value comes once",
            { properties: named(100, (k) => ({ uniqueItems: true, items: { enum: list(100, (i) => `${k} ${i}`) } })) },
        ],
        [
            "many counts",
            {
                properties: named(50, (k) => ({
                    contains: { minimum: k },
                    minContains: 60,
                    maxContains: 70,
                    maxItems: 69,
                })),
            },
        ],
        [
            "values that hundreds of schemas judge",
            { enum: list(5000, (i) => `t${i}`), anyOf: list(100, (i) => ({ maxLength: i })) },
        ],
        ["values that are left out", { type: "string", not: { enum: list(5000, (index) => `some text ${index}`) } }],
        ["more values than a call has arguments", { type: "integer", not: { enum: list(150_000, (index) => index) } }],
        ["texts of many alternatives", { pattern: `^(?:${list(10_000, (index) => `word${index}`).join("|")})$` }],
        ["a pattern of a megabyte", { pattern: "a".repeat(1_000_000) }],
        [
            "classes in classes",
            { pattern: list(3000, (i) => `[${CLASSES[i % 8]}${String.fromCodePoint(0x4e00 + i)}]`).join("|") },
        ],
        [
            "a pattern of many Unicode properties",
            { pattern: SCRIPTS.flatMap((name) => [`\\p{Script=${name}}`, `\\P{scx=${name}}`]).join("|") },
        ],
        ["a pattern that doubles", { pattern: `^(?:a|b)*a(?:a|b){16}$` }],
        ["many patterns of names", { patternProperties: Object.fromEntries(list(10_000, (i) => [`a${i}`, true])) }],
        [
            "alternatives that nothing tells apart",
            { oneOf: list(100, (i) => ({ type: "object", properties: { [`a${i}`]: TEXT } })) },
        ],
        [
            "references in a row",
            {
                $ref: "#/$defs/name0",
                $defs: named(20_000, (i) => ({ properties: { a: { $ref: `#/$defs/name${i + 1}` } } })),
            },
        ],
        ["what is nested too deep", nested(5000, (inner) => ({ items: inner }))],
        ["opposites that are nested too deep", nested(900, (inner) => ({ not: inner }))],
        ["schemas that hold together and are nested too deep", nested(300, (inner) => ({ allOf: [inner] }))],
        ["long values that many schemas lead to", often(LONG)],
        [
            "long names that many schemas lead to",
            often({ properties: Object.fromEntries(LONG_TEXTS.map((name) => [name, false])) }),
        ],
        [
            "long values that tell many alternatives apart",
            {
                oneOf: list(30, (kind) => ({
                    type: "object",
                    required: ["kind", "long"],
                    properties: { kind: { const: kind }, long: LONG },
                })),
            },
        ],
        ["a type that is named often", { type: list(50_000, () => "string") }],
        ["a text of megabytes", { const: "x".repeat(50_000_000) }],
    ])("%s", (_name, schema) => {
        expect(workOf(schema)).toBeUndefined();
    });

    test.each<[string, JsonSchema]>([
        ["what is left out", { not: { const: doubled(40) } }],
        [
            "what tells alternatives apart",
            { oneOf: [doubled(40), 1].map((value) => ({ required: ["a"], properties: { a: { const: value } } })) },
        ],
    ])("values that are short until they are written out: %s", (_name, schema) => {
        expect(() => jsonSchemaToGbnf(schema)).toThrow("a grammar of it would be too large");
    });

    test.each<[string, string]>([
        [
            "sets of thousands of ranges",
            `root ::= ${list(1200, (k) => `[^${list(40, (i) => String.fromCodePoint(0x400 + 97 * i + k)).join("")}]`).join(" ")}`,
        ],
        [
            "thousands of sets",
            `root ::= ${list(24_000, (k) => `[^${String.fromCodePoint(0x10000 + 7 * k)}]`).join("")}`,
        ],
        ["groups in groups", `root ::= ${"(".repeat(5000)}"a"${")".repeat(5000)}`],
        ["rules in a circle", list(30_000, (k) => `${k === 0 ? "root" : `r${k}`} ::= r${(k + 1) % 30_000}`).join("\n")],
    ])("grammars with %s", (_name, grammar) => {
        expect(() => programOf(grammar, undefined, () => 0)).toThrow(
            expect.objectContaining({ code: "GRAMMAR_INVALID" }),
        );
    });

    test("tools with more values than one schema may have", () => {
        const tools = list(3, (index) => ({ name: `t${index}`, parameters: { examples: list(90_000, () => 1) } }));
        expect(() => checkTools("tools", tools)).toThrow("has more than 200000 values in the parameters up to t2");
    });

    test.each<[string, (name: string) => Tool]>([
        ["a description", (name) => ({ name, description: LONG_TEXTS.join("") })],
        [
            "a schema's annotations",
            (name) => ({ name, parameters: { properties: named(99, () => ({ title: LONG_TEXTS[0] })) } }),
        ],
        ["a schema's values", (name) => ({ name, parameters: { properties: { a: { enum: LONG_TEXTS } } } })],
        [
            "names",
            (name) => ({
                name,
                parameters: { properties: Object.fromEntries(LONG_TEXTS.map((text) => [text, true])) },
            }),
        ],
    ])("tools with texts that are long together, in %s", (_name, make) => {
        expect(() => checkTools("tools", [make("t0")])).not.toThrow();
        expect(() => checkTools("tools", [make("t0"), make("t1")])).toThrow(
            expect.objectContaining({
                code: "OPTION_INVALID",
                message: "tools has more than 1048576 characters in the tools up to t1.",
            }),
        );
    });
});

test("a set that stands in many places becomes bytes once", () => {
    const { byteSets, rules } = programOf(`root ::= ${'[^"]'.repeat(10_000)}${".".repeat(10_000)}`, undefined, () => 0);
    expect([byteSets.length, rules.length].every((length) => length < 2000)).toBe(true);
});

describe("arguments that are judged", () => {
    const again = { properties: { a: { $ref: "#" } } };
    const tool = (parameters: object) => ({ name: "t", description: undefined, parameters: parameters as Fields });
    const ask = (parameters: object, values: object): boolean => allowsArguments(tool(parameters), values as never);
    const deep = (depth: number): Record<string, unknown> => (depth === 0 ? { b: 2 } : { a: deep(depth - 1), c: 1 });

    test("need no more for a pattern that a program goes back and back with", () => {
        const parameters = { properties: { a: { pattern: "^(a+)+$" } } };
        expect(ask(parameters, { a: `${"a".repeat(60)}!` })).toBe(false);
        expect(ask(parameters, { a: "a".repeat(60) })).toBe(true);
    });

    test("are a call where that takes too much, and the next ones are judged by themselves", () => {
        // Its end is not valid, and each level leads to the next in two ways.
        const twice = tool({
            anyOf: [again, { ...again, required: ["c"] }],
            properties: { b: { const: 1 } },
        });
        for (const depth of [0, 3, 40, 3, 0]) expect(allowsArguments(twice, deep(depth) as never)).toBe(depth === 40);
    });

    test.each<[string, object, object]>([
        [
            "long texts",
            { properties: { a: { anyOf: list(500, (i) => ({ pattern: `^(a|b)*${i}$` })) } } },
            { a: "ab".repeat(50_000) },
        ],
        [
            "long lists",
            { properties: { a: { anyOf: list(500, (i) => ({ items: true, contains: { const: i } })) } } },
            { a: list(50_000, () => -1) },
        ],
        [
            "large items",
            { properties: { a: { anyOf: list(500, (i) => ({ uniqueItems: true, items: { const: i } })) } } },
            { a: list(20, () => deep(1000)) },
        ],
        [
            "large values",
            { properties: { a: { anyOf: list(500, (i) => ({ const: i, title: "x" })) } } },
            { a: "x".repeat(500_000) },
        ],
    ])("count: %s", (_name, parameters, values) => {
        expect(() => isValidJson(parameters as JsonSchema, values as never)).toThrow("too large");
        expect(ask(parameters, values)).toBe(true);
    });
});
