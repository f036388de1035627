/** Schemas that were read before: whoever asks again gets what a schema says, and nothing of others who asked. */

import { describe, expect, test } from "@jest/globals";
import { programOf } from "../../src/grammar/gbnf-program.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import { createRecent } from "../../src/grammar/recent.js";
import { createWork } from "../../src/grammar/work.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import { createRandom } from "../helpers/grammar-texts.js";

const NAMES = ["a", "b", "c", "d"];
const VALUES: readonly JsonSchema[] = [
    { type: "integer", minimum: 1, maximum: 30 },
    { enum: ["x", "y"] },
    { type: "string", pattern: "^a+$" },
    { type: "string", pattern: "^(?!a)" },
    { type: "boolean", title: "annotated" },
];

function randomSchema(random: () => number): { type: string; properties: Record<string, unknown>; required: string[] } {
    const shuffled = NAMES.map((name) => ({ name, order: random() })).sort((a, b) => a.order - b.order);
    const names = shuffled.slice(0, 1 + Math.floor(random() * 3)).map(({ name }) => name);
    const properties = Object.fromEntries(names.map((name) => [name, VALUES[Math.floor(random() * VALUES.length)]]));
    return { type: "object", properties, required: names };
}

function outcome(schema: JsonSchema, isStrict: boolean, isOpen: boolean): unknown {
    try {
        return jsonSchemaToGbnf(schema, { isStrict, isOpen });
    } catch (error) {
        return (error as Error).message;
    }
}

describe("a schema that is read again", () => {
    test("gives the same as one that nobody has read, in every way of reading it", () => {
        const random = createRandom(3);
        for (let count = 0; count < 300; count++) {
            const schema = randomSchema(random);
            const isStrict = random() < 0.5;
            const isOpen = random() < 0.3;
            // With a title of its own it is another one to whoever looks at its text, and says the same.
            const anew = outcome({ ...schema, title: `number ${count}` }, isStrict, isOpen);
            expect(outcome(schema, isStrict, isOpen)).toEqual(anew);
        }
    });

    test("keeps the order of its properties", () => {
        const [first, second] = [
            { properties: { a: true, b: true }, required: ["a", "b"] },
            { properties: { b: true, a: true }, required: ["a", "b"] },
        ].map((schema) => jsonSchemaToGbnf(schema).grammar);
        expect(first).not.toBe(second);
    });

    test("is not what was changed since", () => {
        const schema = { enum: ["before"] };
        const { grammar } = jsonSchemaToGbnf(schema);
        schema.enum[0] = "after";
        expect(jsonSchemaToGbnf(schema).grammar).toContain("after");
        expect(jsonSchemaToGbnf({ enum: ["before"] }).grammar).toBe(grammar);
    });

    test("shares no result that somebody may change", () => {
        const schema = { type: "string", pattern: "^(?!a)" };
        const read = (): { place: string }[] => jsonSchemaToGbnf(schema, { isStrict: false }).unenforced as never;
        const changed = read();
        for (const one of changed) one.place = "changed";
        changed.pop();
        expect(read()).toMatchObject([{ place: "#", keyword: "pattern" }]);
    });

    test("counts as much as it did", () => {
        const schema = { type: "string", pattern: "^[a-z]{3,17}-[0-9]{2,5}$" };
        const [before, after] = [createWork(), createWork()];
        jsonSchemaToGbnf(schema, { work: before });
        jsonSchemaToGbnf(schema, { work: after });
        expect(after).toEqual(before);
        expect(after.left).toBeLessThan(createWork().left);
        expect(() => jsonSchemaToGbnf(schema, { work: { left: 10 } })).toThrow("a grammar of it would be too large");
    });
});

describe("what is kept", () => {
    test("is what was asked for last, within both bounds", () => {
        const recent = createRecent<number>(3, 100);
        for (const [index, key] of ["a", "b", "c"].entries()) recent.set(key, index, 10);
        expect(recent.get("a")).toBe(0);
        recent.set("d", 3, 10);
        expect(["a", "b", "c", "d"].map((key) => recent.get(key))).toEqual([0, undefined, 2, 3]);
        recent.set("e", 4, 85);
        expect(["a", "c", "d", "e"].map((key) => recent.get(key))).toEqual([undefined, undefined, 3, 4]);
        recent.set("f", 5, 101);
        expect(["d", "e", "f"].map((key) => recent.get(key))).toEqual([3, 4, undefined]);
        recent.set("e", 6, 101);
        expect(recent.get("e")).toBeUndefined();
    });

    test("of a grammar depends on the tokens that it names", () => {
        const text = 'root ::= <think> "a"';
        const [first, second, again] = [5, 6, 5].map((id) => programOf(text, undefined, () => id));
        expect(second?.code).not.toEqual(first?.code);
        expect(again).toEqual(first);
        expect(programOf(text, undefined, () => 5)).toBe(again);
        expect(() =>
            programOf(text, undefined, () => {
                throw new Error("lacks it");
            }),
        ).toThrow("lacks it");
    });
});

describe("what is too large is refused by its place and keyword", () => {
    test.each([`^(?:${"a".repeat(8000)})b$`, `^${"a?".repeat(3000)}$`, `^${"[ab]?".repeat(1000)}$`])(
        "patterns of thousands of parts",
        (pattern) => {
            const schema = { properties: { a: { type: "string", pattern } } };
            const message = "#/properties/a: `pattern` cannot be enforced: a grammar of it would be too large";
            expect(() => jsonSchemaToGbnf(schema)).toThrow(
                expect.objectContaining({
                    code: "GRAMMAR_INVALID",
                    message: expect.stringContaining(message) as unknown,
                }),
            );
            expect(jsonSchemaToGbnf(schema, { isStrict: false }).unenforced).toMatchObject([{ keyword: "pattern" }]);
        },
    );

    test("also where nothing is left to be done", () => {
        for (let left = 0; left < 20; left++) {
            expect(() => jsonSchemaToGbnf({ type: "string", pattern: "^[a-z]+$" }, { work: { left } })).toThrow(
                expect.objectContaining({ code: "GRAMMAR_INVALID" }),
            );
        }
    });

    const LARGE: readonly (readonly [string, JsonSchema, string, string])[] = [
        ["a pattern", { pattern: "a.{30}$" }, "#", "pattern"],
        [
            "a pattern of a property",
            { properties: { a: { type: "string", pattern: "a.{30}$" } }, required: ["a"] },
            "#/properties/a",
            "pattern",
        ],
        ["an opposite", { type: "string", not: { pattern: "a.{30}$" } }, "#", "not"],
        [
            "patterns that hold together",
            { allOf: Array.from({ length: 20 }, (_, index) => ({ pattern: `a.{${index}}b.*c` })) },
            "#/allOf/0",
            "pattern",
        ],
        ["names", { patternProperties: { "a.{30}$": true } }, "#", "patternProperties"],
        ["names by a schema", { propertyNames: { pattern: "a.{30}$" } }, "#", "propertyNames"],
    ];
    test.each(LARGE)("%s", (_, schema, place, keyword) => {
        expect(() => jsonSchemaToGbnf(schema)).toThrow(`enforced at ${place}: \`${keyword}\``);
        const { unenforced } = jsonSchemaToGbnf(schema, { isStrict: false });
        expect(unenforced).toContainEqual({ place, keyword, reason: expect.stringContaining("too large") });
    });
});
