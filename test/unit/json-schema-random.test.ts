/** Random schemas of all keywords at once: no grammar is wider than its schema, nor narrower than it says. */

import { expect, test } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import { EftError } from "../../src/errors.js";
import { readGbnf, type Gbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import { createRandom, createReader, createWalker } from "../helpers/grammar-texts.js";
import { textsOf } from "../helpers/json-schema-suite.js";

const SCHEMAS = 150;
const TEXTS = 20;

/** Makes schemas and values, which a seed determines. */
function createMaker(seed: number) {
    const random = createRandom(seed);
    const chance = (probability: number): boolean => random() < probability;
    const count = (below: number): number => Math.floor(random() * below);
    const pick = <Value>(...values: Value[]): Value => values[count(values.length)] as Value;
    const list = <Value>(length: number, make: () => Value): Value[] => Array.from({ length }, make);
    const name = (): string => pick("a", "b", "c", "d");

    function value(depth: number): unknown {
        if (depth > 0 && chance(0.2)) return list(count(4), () => value(depth - 1));
        if (depth > 0 && chance(0.3)) return Object.fromEntries(list(count(4), () => [name(), value(depth - 1)]));
        return pick<unknown>(null, true, false, count(12) - 4, 0.5, 2.25, -1.5, "", "a", "ab", "b", "xyz", "aab");
    }

    function schema(depth: number): unknown {
        if (chance(0.05)) return chance(0.7);
        const made: Record<string, unknown> = {};
        const some = (probability: number, keyword: string, make: () => unknown): void => {
            if (chance(probability)) made[keyword] = make();
        };
        const types = ["string", "number", "integer", "object", "array", "boolean", "null"];
        some(0.6, "type", () =>
            chance(0.25) ? [pick("string", "number"), pick("object", "null", "array")] : pick(...types),
        );
        const isAbout = (...names: string[]): boolean =>
            made.type === undefined ? chance(0.3) : names.some((one) => [made.type].flat().includes(one));
        const inner = (): unknown => schema(depth - 1);
        if (isAbout("string")) {
            some(0.3, "minLength", () => count(3));
            some(0.3, "maxLength", () => 1 + count(4));
            some(0.3, "pattern", () => pick("^a", "b$", "a", "^[a-c]*$", "^(ab|x)+", "^.{2}$"));
        }
        if (isAbout("number", "integer")) {
            some(0.3, "minimum", () => count(8) - 4);
            some(0.2, "exclusiveMaximum", () => pick(3.5, 5, 0.1, 7));
            some(0.2, "multipleOf", () => pick(1, 2, 0.5, 3, 0.25));
        }
        if (depth > 0 && isAbout("array")) {
            some(0.3, "prefixItems", () => list(1 + count(2), inner));
            some(0.5, "items", inner);
            some(0.3, "minItems", () => count(3));
            some(0.3, "maxItems", () => count(4));
            // ajv takes an empty array for one that contains something where there are prefixItems.
            if (made.prefixItems === undefined) some(0.2, "contains", inner);
            some(0.1, "minContains", () => count(3));
            some(0.1, "maxContains", () => 1 + count(2));
            some(0.1, "uniqueItems", () => true);
        }
        if (depth > 0 && isAbout("object")) {
            some(0.7, "properties", () => Object.fromEntries(list(1 + count(3), () => [name(), inner()])));
            some(0.4, "required", () => [name()]);
            some(0.3, "additionalProperties", () => pick(false, true, inner()));
            some(0.15, "patternProperties", () => ({ [pick("^a", "b", "^[cd]$")]: inner() }));
            some(0.1, "propertyNames", () =>
                pick<unknown>({ pattern: "^[a-c]" }, { enum: ["a", "b"] }, { maxLength: 1 }),
            );
            some(0.15, "maxProperties", () => count(4));
            some(0.15, "minProperties", () => count(3));
            some(0.1, "dependentRequired", () => ({ [name()]: [name()] }));
            some(0.1, "unevaluatedProperties", () => pick(false, schema(0)));
        }
        some(0.08, "enum", () => list(1 + count(4), () => value(2)));
        some(0.04, "const", () => value(1));
        if (depth === 0) return made;
        for (const keyword of ["allOf", "anyOf", "oneOf"]) some(0.12, keyword, () => [inner(), inner()]);
        some(0.15, "not", inner);
        some(0.08, "if", inner);
        if (made.if !== undefined) {
            some(0.7, "then", inner);
            some(0.6, "else", inner);
        }
        return made;
    }
    return { schema, value };
}

/** @returns undefined: it is refused */
function grammarOf(schema: unknown, isOpen: boolean): Gbnf | undefined {
    try {
        return readGbnf(jsonSchemaToGbnf(schema as JsonSchema, { isOpen }).grammar);
    } catch (error) {
        if (EftError.isInstance(error) && error.code === "GRAMMAR_INVALID") return undefined;
        throw error;
    }
}

test(`${SCHEMAS} schemas`, () => {
    let [accepted, valid] = [0, 0];
    for (let seed = 0; seed < SCHEMAS; seed++) {
        const { schema: make, value } = createMaker(seed);
        const schema = make(3);
        const grammar = grammarOf(schema, false);
        if (grammar === undefined) continue;
        accepted++;
        const options = { strict: false, ownProperties: true, logger: false, code: { optimize: false } } as const;
        const isValid = new Ajv2020(options).compile(schema as object);
        const walk = createWalker(grammar);
        const shown = JSON.stringify(schema);
        for (let count = 0; count < TEXTS; count++) {
            const text = walk(createRandom(count), 3 * count);
            if (!isValid(JSON.parse(text))) throw new Error(`${text} is not valid: seed ${seed}, ${shown}`);
        }
        const open = grammarOf(schema, true);
        if (open === undefined) continue;
        const isText = createReader(open);
        for (let count = 0; count < TEXTS; count++) {
            const instance = value(3);
            if (isValid(instance)) valid++;
            // Of two names that are not listed nobody knows that they differ.
            if (isValid(instance) && shown.includes('"minProperties":2')) continue;
            if (textsOf(instance).some(isText) === isValid(instance)) continue;
            throw new Error(`${JSON.stringify(instance)} is wrong: seed ${seed}, ${shown}`);
        }
    }
    expect(accepted).toBeGreaterThan(SCHEMAS / 3);
    expect(valid).toBeGreaterThan(SCHEMAS);
});
