/** JSON schemas as grammars: what can be enforced, and what is refused. That texts are valid is shown in test/engine. */

import { describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf as convert } from "../../src/grammar/json-schema.js";
import { readSchema, type JsonSchema, type SchemaSource } from "../../src/grammar/schema-source.js";
import { createReader } from "../helpers/grammar-texts.js";

const jsonSchemaToGbnf = (schema: JsonSchema | SchemaSource): string => convert(schema).grammar;

test("an object: properties in their order, and those that are not required may be missing", () => {
    const schema = {
        type: "object",
        properties: { a: { type: "integer" }, 'b"\\': { type: "boolean" }, c: { type: "null" } },
        required: ["c"],
    };
    const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
    for (const text of ['{"c":null}', ' {"a": 1,"c": null}', String.raw`{"a":1, "b\"\\":true,"c":null}`]) {
        expect([text, isText(text)]).toEqual([text, true]);
    }
    for (const text of ["{}", '{"a":1}', '{"c":null,"a":1}', '{"c":null,"d":1}', '{"c":null}}', '{"c" :null}']) {
        expect([text, isText(text)]).toEqual([text, false]);
    }
});

test("names that the schema does not list may come twice, and count once", () => {
    const texts: [JsonSchema, readonly string[], readonly string[]][] = [
        [
            { properties: { b: {}, c: {} }, additionalProperties: true, minProperties: 2 },
            ['{"b":0,"":0,"":0}', '{"b":0,"c":0}'],
            ['{"":0,"":0}', '{"":0,"a":0,"":0}', '{"b":0}'],
        ],
        [
            { properties: { b: {}, c: {} }, patternProperties: { "^[ab]$": {} }, minProperties: 2, maxProperties: 2 },
            ['{"b":0,"a":0}'],
            ['{"a":1,"a":3}', '{"b":0,"b":0}', '{"b":0,"a":0,"a":0}'],
        ],
        [
            { properties: { b: {} }, required: ["b"], additionalProperties: true, minProperties: 1 },
            ['{"b":0}', '{"b":0,"a":0,"a":0}'],
            ['{"a":0}', '{"b":0,"b":0}'],
        ],
    ];
    for (const [schema, some, none] of texts) {
        const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
        expect([...some, ...none].filter(isText)).toEqual(some);
    }
});

test("`oneOf` excludes what another alternative means, and not only what a grammar of it says", () => {
    const excluding: [JsonSchema, readonly string[], readonly string[]][] = [
        [{ oneOf: [{ type: "number" }, { minimum: 1e16 }] }, ["9", "-1.5"], ["6e19", "1E16"]],
        [{ oneOf: [{ type: "number" }, { exclusiveMinimum: 0, maximum: 1e-17 }] }, ["9", "0"], ["1e-17", "1e-18"]],
        [{ oneOf: [{ type: "number" }, { minimum: 1e-20, maximum: 1e-20 }] }, ["9", "0"], ["1e-20"]],
        [{ oneOf: [{ type: "integer" }, { minimum: -1e30, maximum: -1e15 }] }, ["9", "-9"], ["-1000000000000000"]],
    ];
    for (const [schema, some, none] of excluding) {
        const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
        expect([...some, ...none].filter(isText)).toEqual(some);
    }
    const text = (format: string, more = {}): JsonSchema => ({ type: "string", format, ...more });
    const refused: JsonSchema[] = [
        { oneOf: [{ type: "string" }, text("hostname", { pattern: "^[0-9]+$" })] },
        { oneOf: [{ type: "string" }, text("time", { pattern: "60Z$" })] },
        { oneOf: [{ type: "string" }, text("email", { minLength: 65 })] },
        { oneOf: [{ type: "string" }, text("ipv6", { pattern: "[.]" })] },
        { oneOf: [{ enum: ["9"] }, text("hostname")] },
        { oneOf: [{ enum: [{ a: "9" }] }, { properties: { a: text("hostname") } }] },
        { oneOf: [{ enum: [{ "9": 1 }] }, { propertyNames: text("hostname") }] },
        { oneOf: [text("hostname"), text("ipv4")] },
    ];
    for (const schema of refused) expect(() => jsonSchemaToGbnf(schema)).toThrow("`oneOf` cannot be enforced");
    const apart: JsonSchema[] = [
        { oneOf: ["date", "date-time", "time", "duration", "uuid"].map((format) => text(format)) },
        { oneOf: [text("ipv4"), text("ipv6")] },
        { oneOf: [text("uri"), text("hostname")] },
        { oneOf: [{ type: "number", maximum: 5 }, { minimum: 1e20 }] },
        { oneOf: [{ type: "integer" }, { type: "number", minimum: 0.1, maximum: 0.9 }] },
    ];
    for (const schema of apart) expect(() => readGbnf(jsonSchemaToGbnf(schema))).not.toThrow();
});

test.each<[string, JsonSchema]>([
    ["everything", true],
    ["everything, too", { description: "whatever" }],
    ["a number or nothing", { type: ["number", "integer", "null"] }],
    ["any object", { type: "object" }],
    ["an empty object", { type: "object", additionalProperties: false }],
    ["a map", { additionalProperties: { type: "integer" } }],
    ["an object without its type", { properties: { a: true } }],
    ["any array", { type: "array" }],
    ["an empty array", { type: "array", maxItems: 0 }],
    ["arrays of some length", { items: { type: "integer" }, minItems: 2, maxItems: 5 }],
    ["long arrays of groups", { items: { type: ["integer", "null"] }, maxItems: 1000 }],
    ["strings of some length", { type: "string", minLength: 2, maxLength: 2000 }],
    ["values", { enum: ["a", 1, null, { b: [true] }, 'quote " backslash \\ newline \n'] }],
    ["values of a type", { type: "string", enum: ["a", 1] }],
    ["integers between bounds", { type: "integer", minimum: -1.5, exclusiveMaximum: Number.MAX_SAFE_INTEGER }],
    ["null", { const: null }],
    ["alternatives", { anyOf: [{ type: "integer" }, { oneOf: [{ type: "null" }, { type: "null" }] }] }],
    ["dates and the like", { items: { anyOf: ["date", "time", "date-time", "uuid"].map((format) => ({ format })) } }],
])("a grammar of %s", (_name, schema) => {
    readGbnf(jsonSchemaToGbnf(schema));
});

test("a schema that refers to itself, at any place", () => {
    const schema = {
        properties: { value: { type: "integer" }, next: { anyOf: [{ type: "null" }, { $ref: "#/$defs/a~1b" }] } },
        $defs: { "a/b": { type: "array", items: { $ref: "#" } } },
    };
    const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
    expect(isText('{"value":1,"next":[{"next":[{"next":null}]},{}]}')).toBe(true);
    expect(isText('{"next":[{"next":1}]}')).toBe(false);
});

test("references by anchor, and within a schema of its own name", () => {
    const schema = {
        $id: "https://example.com/root",
        items: { anyOf: [{ $ref: "#city" }, { $ref: "other#/$defs/count" }] },
        $defs: {
            a: { $anchor: "city", enum: ["Lima"] },
            b: { $id: "other", $defs: { count: { const: 5 } } },
        },
    };
    const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
    expect(isText('["Lima",5]')).toBe(true);
    expect(isText('["Quito"]')).toBe(false);
});

describe("keywords hold together:", () => {
    test.each<[string, JsonSchema, readonly unknown[], readonly unknown[]]>([
        [
            "allOf",
            { allOf: [{ properties: { a: { minimum: 1 } } }, { properties: { a: { type: "integer" }, b: true } }] },
            [{ a: 1, b: 2 }],
            [{ a: 0 }, { a: 1.5 }],
        ],
        [
            "alternatives beside others",
            {
                type: "object",
                properties: { id: { type: "integer" } },
                required: ["id"],
                anyOf: [{ properties: { a: true } }, { properties: { b: true } }],
            },
            [{ id: 1 }, { id: 1, a: 1 }, { id: 1, b: 1 }],
            [{ a: 1 }, { id: 1, c: 1 }],
        ],
        [
            "a reference beside others",
            { $ref: "#/$defs/a", maximum: 5, $defs: { a: { type: "integer" } } },
            [5],
            [6, 4.5],
        ],
        ["values and what else is said", { enum: ["a", "bb", 1, 7], minLength: 2, maximum: 5 }, ["bb", 1], ["a", 7]],
        ["not: values", { type: ["integer", "string"], not: { enum: [0, "", "a"] } }, [1, "b"], [0, "a", ""]],
        ["not: a type", { not: { type: ["object", "array", "number"] } }, ["a", null], [1, {}]],
        ["not: a property", { properties: { a: true, b: true }, not: { required: ["a"] } }, [{ b: 1 }], [{ a: 1 }]],
        [
            "if, then, else",
            {
                properties: { kind: { enum: ["a", "b"] }, n: { type: "integer" } },
                required: ["kind", "n"],
                if: { properties: { kind: { const: "a" } } },
                then: { properties: { n: { maximum: 5 } } },
                else: { properties: { n: { minimum: 6 } } },
            },
            [
                { kind: "a", n: 5 },
                { kind: "b", n: 6 },
            ],
            [
                { kind: "a", n: 6 },
                { kind: "b", n: 5 },
            ],
        ],
        [
            "properties that depend on others",
            {
                properties: { a: true, b: true, c: true },
                dependentRequired: { a: ["b"] },
                dependentSchemas: { b: { required: ["c"] } },
            },
            [{}, { c: 1 }, { b: 1, c: 1 }, { a: 1, b: 1, c: 1 }],
            [{ a: 1 }, { a: 1, b: 1 }, { b: 1 }],
        ],
        [
            "one of properties",
            { properties: { a: true, b: true }, oneOf: [{ required: ["a"] }, { required: ["b"] }] },
            [{ a: 1 }, { b: 1 }],
            [{}, { a: 1, b: 1 }],
        ],
        [
            "one of objects without a type, which a constant tells apart",
            {
                oneOf: [
                    { properties: { kind: { const: "a" }, at: { format: "date" } }, required: ["kind"] },
                    { properties: { kind: { const: "b" }, at: { format: "time" } }, required: ["kind"] },
                ],
            },
            [{ kind: "a", at: "2024-01-31" }, { kind: "b" }],
            [{ kind: "b", at: "2024-01-31" }, {}],
        ],
        ["one of what is said of numbers alone, or anything", { oneOf: [true, { minimum: 5 }] }, [4], [5, "", {}]],
        [
            "not: what is said of a type alone",
            { not: { type: "number", not: { type: "integer", minimum: 0 } } },
            [0, "a"],
            [-1, 0.5],
        ],
        [
            "one of numbers",
            {
                oneOf: [
                    { type: "integer", minimum: 0 },
                    { type: "integer", maximum: 5 },
                ],
            },
            [-1, 6],
            [0, 5],
        ],
        [
            "other properties",
            { properties: { a: { type: "integer" } }, additionalProperties: { type: "boolean" } },
            [{}, { a: 1 }, { a: 1, b: true }, { b: true, c: false }],
            [{ a: true }, { b: 1 }, { b: true, a: 1 }],
        ],
        [
            "properties by patterns",
            {
                patternProperties: { "^n": { type: "integer" }, x$: { minimum: 5 } },
                additionalProperties: { type: "null" },
            },
            [{ n: 1 }, { nx: 5 }, { x: 5 }, { a: null }],
            [{ n: null }, { nx: 4 }, { nx: 5.5 }, { x: null }],
        ],
        [
            "names of properties",
            { propertyNames: { pattern: "^[a-z]+$", maxLength: 3 }, additionalProperties: { type: "integer" } },
            [{ a: 1 }, { abc: 1 }],
            [{ "": 1 }, { abcd: 1 }, { A: 1 }],
        ],
        [
            "how many properties",
            { properties: { a: true, b: true, c: true }, minProperties: 1, maxProperties: 2 },
            [{ a: 1 }, { b: 1, c: 1 }],
            [{}, { a: 1, b: 1, c: 1 }],
        ],
        [
            "how many properties, of names that may come twice",
            { properties: { b: true, c: true }, additionalProperties: true, minProperties: 2 },
            [
                { b: 1, c: 1 },
                { b: 1, a: 1 },
                { c: 1, a: 1, d: 1 },
            ],
            [{}, { b: 1 }, { a: 1 }],
        ],
        [
            "how many properties, by patterns",
            {
                ...{ properties: { b: true, c: true }, patternProperties: { "^[ab]$": { type: "integer" } } },
                ...{ minProperties: 2, maxProperties: 2 },
            },
            [
                { b: 1, c: "" },
                { b: 1, a: 1 },
                { c: "", a: 1 },
            ],
            [{ a: 1 }, { b: 1 }, { b: "", c: 1 }, { b: 1, c: 1, a: 1 }],
        ],
        [
            "tuples",
            {
                prefixItems: [{ type: "integer" }, { type: "boolean" }],
                items: { type: "null" },
                minItems: 1,
                maxItems: 3,
            },
            [[1], [1, true], [1, true, null]],
            [[], [true], [1, null], [1, true, null, null], [1, true, 1]],
        ],
        [
            "tuples of older drafts",
            { items: [{ type: "integer" }], additionalItems: false },
            [[], [1]],
            [[1, 1], [true]],
        ],
        [
            "items among others",
            { items: { type: "integer" }, contains: { minimum: 5 } },
            [[5], [1, 6, 2]],
            [[], [4], [5, true]],
        ],
        [
            "how many items among others",
            { items: { type: "integer" }, contains: { minimum: 5 }, minContains: 2, maxContains: 3, maxItems: 4 },
            [
                [5, 5],
                [1, 6, 2, 7],
                [5, 6, 7],
            ],
            [[5], [5, 6, 7, 8], [1, 2, 3, 5, 6]],
        ],
        [
            "items of which each comes once",
            { items: { enum: ["a", "b"] }, uniqueItems: true, minItems: 1 },
            [["a"], ["b", "a"]],
            [[], ["a", "a"]],
        ],
        [
            "properties that nothing else has looked at",
            { allOf: [{ properties: { a: true } }], properties: { b: true }, unevaluatedProperties: { type: "null" } },
            [
                { b: 1, a: 1 },
                { a: 1, c: null },
            ],
            [{ c: 1 }],
        ],
    ])("%s", (_name, schema, valid, others) => {
        const isText = createReader(readGbnf(jsonSchemaToGbnf(schema)));
        for (const value of valid) expect([value, isText(JSON.stringify(value))]).toEqual([value, true]);
        for (const value of others) expect([value, isText(JSON.stringify(value))]).toEqual([value, false]);
    });
});

test("what cannot be enforced is said, where that is asked for", () => {
    const schema = {
        properties: {
            a: { type: "string", pattern: "^(?!x)y", maxLength: 5 },
            c: { oneOf: [{ items: { multipleOf: 2 } }, { items: { multipleOf: 3 } }] },
            b: { uniqueItems: true, items: { type: "integer" } },
        },
        required: ["a"],
        typ: 1,
    };
    expect(() => convert(schema)).toThrow("cannot be enforced");
    const { grammar, unenforced } = convert(schema, { isStrict: false });
    expect(unenforced.map(({ place, keyword }) => `${place} ${keyword}`).sort()).toEqual([
        "# typ",
        "#/properties/a pattern",
        "#/properties/b uniqueItems",
        "#/properties/c oneOf",
    ]);
    const isText = createReader(readGbnf(grammar));
    expect(isText('{"a":"xxxxx","b":[1,1]}')).toBe(true);
    expect(isText('{"a":"xxxxxx"}')).toBe(false);
    expect(convert({ type: "integer" }, { isStrict: false }).unenforced).toEqual([]);
});

describe("schemas of those that know their own", () => {
    const source = { toJSONSchema: () => ({ type: "integer" }), type: "string" };
    test("are asked for it", () => {
        expect(readSchema(source)).toEqual({ type: "integer" });
        expect(jsonSchemaToGbnf(source)).toBe(jsonSchemaToGbnf({ type: "integer" }));
        expect(readSchema(true)).toBe(true);
    });

    test("may fail", () => {
        const failing = {
            toJSONSchema: () => {
                throw new Error("dates have none");
            },
        };
        expect(() => jsonSchemaToGbnf(failing)).toThrow("it cannot be read: dates have none");
    });
});

describe("what would take too long is refused soon:", () => {
    test.each<[string, JsonSchema]>([
        ["a pattern that doubles with each character", { pattern: "a.{30}$" }],
        ["long counts of long counts", { pattern: "^((a{0,50}b){0,50}c){0,50}$", minLength: 5 }],
        [
            "many patterns at once",
            { allOf: Array.from({ length: 20 }, (_, index) => ({ pattern: `a.{${index}}b.*c` })) },
        ],
        [
            "combinations of alternatives",
            {
                allOf: Array.from({ length: 12 }, (_, index) => ({
                    anyOf: [{ minLength: index }, { maxLength: 50 + index }],
                })),
            },
        ],
        [
            "combinations of more schemas than there should be",
            { allOf: Array.from({ length: 500 }, () => ({ minLength: 1 })) },
        ],
        [
            "many alternatives that may all be valid",
            { oneOf: Array.from({ length: 400 }, (_, index) => ({ properties: { [`a${index}`]: true } })) },
        ],
    ])("%s", (_name, schema) => {
        expect(() => jsonSchemaToGbnf(schema)).toThrow(expect.objectContaining({ code: "GRAMMAR_INVALID" }));
    });
});

describe("refuses, with the place in the schema:", () => {
    test.each<[string, unknown, string]>([
        ["what no text satisfies", { properties: { a: false }, required: ["a"] }, "at #/properties/a: it is `false`"],
        ["what is no schema", { items: 5 }, "at #/items: a schema is an object"],
        [
            "a pattern that looks ahead",
            { properties: { "a/b": { pattern: "(?=x)x+" } } },
            "at #/properties/a~1b: `pattern` cannot be enforced: it looks ahead or behind",
        ],
        ["a pattern that refers back", { pattern: "(a)\\1" }, "it refers back to a group"],
        ["a pattern that asks for words", { pattern: "\\ba" }, "the edge of a word"],
        ["a pattern that is none", { pattern: "(" }, "it is no regular expression"],
        ["a large factor", { type: "integer", multipleOf: 12345 }, "`multipleOf` cannot be enforced"],
        ["a factor that is none", { multipleOf: 0 }, "`multipleOf` is more than 0"],
        ["a bound that is none", { type: "integer", minimum: "0" }, "`minimum` is a number"],
        ["bounds that exclude all", { type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 2 }, "leave no number"],
        ["a misspelled keyword", { typ: "integer" }, "`typ` cannot be enforced"],
        ["a type that there is not", { type: "date" }, 'not "date"'],
        ["a format that is not known", { format: "idn-email" }, 'not "idn-email"'],
        ["a format that only zod's patterns say", { format: "regex" }, 'not "regex"'],
        ["a format with a length that it never has", { format: "date", maxLength: 3 }, "no text satisfies it"],
        ["a length that is none", { type: "string", minLength: -1 }, "`minLength` can be a whole number"],
        ["an array that is too long", { items: { enum: [1, 2] }, maxItems: 1001 }, "from 0 to 1000, not 1001"],
        ["a length that is too much", { type: "string", maxLength: 5000 }, "from 0 to 2000, not 5000"],
        ["lengths that exclude each other", { type: "array", minItems: 3, maxItems: 2 }, "`minItems` is more than"],
        ["names that are none", { properties: {}, required: "a" }, "`required` is a list of names"],
        ["no values", { enum: [] }, "`enum` is a list of values"],
        ["a value that is none of its type", { type: "string", const: 5 }, "no value of `enum` or `const`"],
        ["no alternatives", { anyOf: [] }, "`anyOf` is a list of schemas"],
        [
            "types that exclude each other",
            { allOf: [{ type: "string" }, { type: "null" }] },
            "its types exclude each other",
        ],
        [
            "alternatives that may both be valid",
            { oneOf: [{ items: { multipleOf: 2 } }, { items: { multipleOf: 3 } }] },
            "`oneOf` cannot be enforced",
        ],
        [
            "items that may be equal",
            { items: { type: "string" }, uniqueItems: true },
            "`uniqueItems` cannot be enforced",
        ],
        ["names that may be equal", { type: "object", minProperties: 2 }, "`minProperties` cannot be enforced"],
        [
            "names that may be equal, beside listed ones",
            { properties: { a: true }, additionalProperties: true, minProperties: 3 },
            "it can be 2 there",
        ],
        [
            "names that may be equal, beside those that nothing can have",
            {
                properties: { a: { not: {} }, b: { type: "string", enum: [1] } },
                additionalProperties: true,
                minProperties: 2,
            },
            "it can be 1 there",
        ],
        ["a type that is named twice", { type: new Array(8).fill("string") }, "`type` names a type twice"],
        ["the opposite of a format", { not: { format: "date" } }, "`not` cannot be enforced: the opposite of `format`"],
        ["what never ends", { properties: { a: { $ref: "#" } }, required: ["a"] }, "no text satisfies it"],
        ["a reference elsewhere", { $ref: "http://x/y" }, "in the same schema only"],
        ["a reference to nothing", { $ref: "#/$defs/a" }, "where nothing is"],
        ["a reference that cannot be read", { $ref: "#/%zz" }, "where nothing is"],
    ])("%s", (_name, schema, message) => {
        expect(() => jsonSchemaToGbnf(schema as JsonSchema)).toThrow(
            expect.objectContaining({ code: "GRAMMAR_INVALID" }),
        );
        expect(() => jsonSchemaToGbnf(schema as JsonSchema)).toThrow(message);
    });

    test("an object that contains itself", () => {
        const schema: Record<string, unknown> = {};
        schema.items = schema;
        expect(() => jsonSchemaToGbnf(schema)).toThrow("nested more than 100 deep");
    });

    test("a reference that leads in a circle", () => {
        const schema = { $ref: "#/$defs/a", $defs: { a: { $ref: "#/$defs/b" }, b: { $ref: "#/$defs/a" } } };
        expect(() => jsonSchemaToGbnf(schema)).toThrow("leads in a circle");
    });
});

describe("values that are no JSON are refused with their place:", () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    const circle: unknown[] = [];
    circle.push({ circle });
    const nested = (depth: number): unknown => {
        let value: unknown = 1;
        for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { a: value };
        return value;
    };
    const values: [string, unknown, string][] = [
        ["a BigInt", 1n, "the BigInt 1n is not JSON"],
        ["a function", () => 1, "a function is not JSON"],
        ["a symbol", Symbol("a"), "a symbol is not JSON"],
        ["not a number", NaN, "NaN is not JSON"],
        ["infinity", -Infinity, "-Infinity is not JSON"],
        ["a date", new Date(0), "an object of class Date is not JSON"],
        ["a map", new Map(), "an object of class Map is not JSON"],
        ["a list with holes", [1, undefined], "undefined is not JSON"],
        ["a method", { toJSON: () => 1 }, "a function is not JSON"],
        ["a circle", circle, "it contains itself"],
        ["a very deep value", nested(20_000), "it is nested more than 1000 deep"],
        ["a very long list", new Array(1e9), "it has more than 200000 values"],
        [
            "a getter that throws",
            {
                get a(): never {
                    throw new TypeError("not today");
                },
            },
            "it cannot be read: not today",
        ],
        ["a revoked proxy", proxy, "it cannot be read: "],
        [
            "a proxy that throws what is no error",
            new Proxy(
                {},
                {
                    ownKeys() {
                        // eslint-disable-next-line @typescript-eslint/only-throw-error
                        throw Symbol("a");
                    },
                },
            ),
            "it cannot be read",
        ],
    ];
    const places: [string, (value: unknown) => unknown][] = [
        ["#", (value) => value],
        ["#/const", (value) => ({ const: value })],
        ["#/properties/a~1b/enum/1", (value) => ({ properties: { "a/b": { enum: [1, value] } } })],
        ["#/minLength", (value) => ({ minLength: value })],
        ["#/default", (value) => ({ default: value })],
        ["#/$defs/a/anyOf/0/items", (value) => ({ $defs: { a: { anyOf: [{ items: value }] } } })],
    ];
    test.each(values)("%s", (_name, value, message) => {
        for (const [place, make] of places) {
            const call = (): string => jsonSchemaToGbnf(make(value) as JsonSchema);
            expect(call).toThrow(expect.objectContaining({ code: "GRAMMAR_INVALID" }));
            expect(call).toThrow(`The JSON schema cannot be enforced at ${place}`);
            expect(call).toThrow(message);
        }
    });

    test("keywords that are not set are none", () => {
        expect(jsonSchemaToGbnf({ type: "string", maxLength: undefined })).toBe(jsonSchemaToGbnf({ type: "string" }));
    });

    test("names that mean something to JavaScript are names", () => {
        const schema = JSON.parse('{ "properties": { "__proto__": { "const": { "__proto__": 1 } } } }') as JsonSchema;
        expect(createReader(readGbnf(jsonSchemaToGbnf(schema)))('{"__proto__":{"__proto__":1}}')).toBe(true);
    });

    test("what can be nested is", () => {
        readGbnf(jsonSchemaToGbnf({ const: nested(990) }));
    });
});

describe("parts that stand in several places are written once:", () => {
    test.each<[string, (part: JsonSchema) => JsonSchema]>([
        ["alternatives", (part) => ({ anyOf: [part, part] })],
        ["properties", (part) => ({ properties: { a: part, b: part } })],
        ["alternatives of objects", (part) => ({ anyOf: [{ properties: { a: part } }, { properties: { b: part } }] })],
        [
            "alternatives of alternatives",
            (part) => ({ anyOf: [{ anyOf: [part, { type: "null" }] }, { oneOf: [part] }] }),
        ],
        ["items", (part) => ({ items: part, maxItems: 2 })],
        ["what else an object has", (part) => ({ additionalProperties: part })],
    ])("%s", (_name, make) => {
        const levels = (count: number): string => {
            let schema: JsonSchema = { type: "integer", minimum: 5 };
            for (let i = 0; i < count; i++) schema = make(schema);
            return jsonSchemaToGbnf(schema);
        };
        readGbnf(levels(40));
        // In proportion to the number of levels, and not doubled by each.
        expect(levels(40).length).toBeLessThan(levels(10).length * 6);
    });

    test("by references, however long their chain", () => {
        const chain = (count: number): JsonSchema => ({
            $ref: "#/$defs/0",
            $defs: Object.fromEntries(
                Array.from({ length: count }, (_, index) => {
                    const next = index + 1 < count ? { $ref: `#/$defs/${index + 1}` } : true;
                    return [String(index), { properties: { a: next, b: next } }];
                }),
            ),
        });
        readGbnf(jsonSchemaToGbnf(chain(500)));
    });

    test("values as well, but what would be too long is refused", () => {
        let value: unknown = "ab";
        for (let i = 0; i < 60; i++) value = [value, value];
        for (const schema of [{ const: value }, { enum: [1, value] }]) {
            expect(() => jsonSchemaToGbnf(schema)).toThrow("its values are longer than 1048576 characters");
        }
        for (const schema of [{ format: value }, { type: value }, { maxLength: value }]) {
            expect(() => jsonSchemaToGbnf(schema)).toThrow("not a list");
        }
    });
});
