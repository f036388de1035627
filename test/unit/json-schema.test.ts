/** JSON schemas as grammars: what can be enforced, and what is refused. That texts are valid is shown in test/engine. */

import { describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { integerRange, LARGEST_INTEGER } from "../../src/grammar/integer-range.js";
import { jsonSchemaToGbnf, type JsonSchema } from "../../src/grammar/json-schema.js";

test("an object: properties in their order, and those that are not required may be missing", () => {
    const schema = {
        type: "object",
        properties: { a: { type: "integer" }, 'b"\\': { type: "boolean" }, c: { type: "null" } },
        required: ["c"],
    };
    expect(jsonSchemaToGbnf(schema).split("\n").slice(0, 8)).toEqual([
        "root ::= space rule-7",
        String.raw`rule-1 ::= "\"a\"" ":" space integer`,
        String.raw`rule-2 ::= "\"b\\\"\\\\\"" ":" space boolean`,
        String.raw`rule-3 ::= "\"c\"" ":" space null`,
        `rule-4 ::= "," space rule-3`,
        `rule-5 ::= ("," space rule-2)? rule-4`,
        `rule-6 ::= ("," space rule-1)? rule-5`,
        `rule-7 ::= "{" (rule-1 rule-5 | rule-2 rule-4 | rule-3) "}"`,
    ]);
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
    const text = jsonSchemaToGbnf(schema);
    readGbnf(text);
    expect(text).toContain("(null | ref-1)");
});

describe("refuses, with the place in the schema:", () => {
    test.each<[string, unknown, string]>([
        ["what no text satisfies", { properties: { a: false } }, "at #/properties/a: it is `false`"],
        ["what is no schema", { items: 5 }, "at #/items: a schema is an object"],
        [
            "a pattern",
            { properties: { "a/b": { pattern: "x+" } } },
            "at #/properties/a~1b: `pattern` cannot be enforced",
        ],
        ["a factor", { type: "integer", multipleOf: 2 }, "`multipleOf` cannot be enforced"],
        ["a bound of fractions", { type: "number", minimum: 0 }, "`minimum` can be enforced for integers only"],
        ["a bound that is none", { type: "integer", minimum: "0" }, "`minimum` is a number"],
        ["bounds that exclude all", { type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 2 }, "leave no integer"],
        ["a misspelled keyword", { typ: "integer" }, "`typ` cannot be enforced"],
        ["a type that there is not", { type: "date" }, 'not "date"'],
        ["a format that is not known", { format: "email" }, 'not "email"'],
        ["a format with a length", { format: "date", maxLength: 3 }, "exclude each other"],
        ["a length that is none", { type: "string", minLength: -1 }, "`minLength` can be a whole number"],
        ["an array that is too long", { items: { enum: [1, 2] }, maxItems: 1001 }, "from 0 to 1000, not 1001"],
        ["a length that is too much", { type: "string", maxLength: 5000 }, "from 0 to 2000, not 5000"],
        ["lengths that exclude each other", { type: "array", minItems: 3, maxItems: 2 }, "`minItems` is more than"],
        ["a name that is required and not known", { properties: {}, required: ["a"] }, '`required` names "a"'],
        ["names that are none", { properties: {}, required: "a" }, "`required` is a list of names"],
        ["no values", { enum: [] }, "`enum` is a list of values"],
        ["a value that is none of its type", { type: "string", const: 5 }, "is of its `type`"],
        ["no alternatives", { anyOf: [] }, "`anyOf` is a list of schemas"],
        [
            "alternatives beside others",
            { type: "object", anyOf: [true] },
            "`anyOf` and `type` cannot be enforced together",
        ],
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
        expect(() => readGbnf(jsonSchemaToGbnf(schema))).toThrow("may begin with itself");
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
        expect(jsonSchemaToGbnf(schema)).toContain(
            String.raw`rule-1 ::= "\"__proto__\"" ":" space "{\"__proto__\":1}"`,
        );
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

describe("integers between bounds:", () => {
    /** GBNF of ranges is a regular expression but for its quotes and spaces. */
    const pattern = (min: number, max: number): RegExp =>
        new RegExp(`^(?:${integerRange(min, max).replaceAll(/[" ]/g, "")})$`);

    test("all of them and no others", () => {
        for (let min = -130; min <= 130; min += 7) {
            for (let max = min; max <= 1200; max += max < 130 ? 3 : 91) {
                const range = pattern(min, max);
                for (let value = -140; value <= 1210; value++) {
                    if (range.test(String(value)) !== (value >= min && value <= max)) {
                        throw new Error(`${value} between ${min} and ${max}`);
                    }
                }
            }
        }
    });

    test("at the ends of what is exact, and in one way only", () => {
        const all = pattern(-LARGEST_INTEGER, LARGEST_INTEGER);
        for (const text of ["0", "-1", "999999999999999", "-999999999999999"]) expect(text).toMatch(all);
        for (const text of ["", "-", "-0", "00", "01", "1000000000000000", "1.0"]) expect(text).not.toMatch(all);
        expect("456").toMatch(pattern(456, 456));
        expect("-456").toMatch(pattern(-456, -456));
    });
});
