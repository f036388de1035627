/** Numbers, patterns and formats as grammars: against numbers themselves and the engine's regular expressions. */

import { describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import { createRandom, createReader, createWalker } from "../helpers/grammar-texts.js";

const grammarOf = (schema: JsonSchema): ReturnType<typeof readGbnf> => readGbnf(jsonSchemaToGbnf(schema).grammar);

/** Reads a value that has been written as JSON does. */
function reads(schema: JsonSchema): (value: unknown) => boolean {
    const isText = createReader(grammarOf(schema));
    return (value) => isText(JSON.stringify(value));
}

describe("integers between bounds", () => {
    test("all of them and no others", () => {
        for (const [min, max] of [
            [-130, 1200],
            [-7, 95],
            [0, 0],
            [1, 195],
            [17, 17],
            [-120, -9],
            [98, 1001],
            [-1, 1],
        ] as const) {
            const isIn = reads({ type: "integer", minimum: min, maximum: max });
            for (let value = -140; value <= 1210; value++) {
                if (isIn(value) !== (value >= min && value <= max))
                    throw new Error(`${value} between ${min} and ${max}`);
            }
        }
    });

    test("at the ends of what is exact", () => {
        const isIn = createReader(grammarOf({ type: "integer", minimum: -1e14, maximum: 999_999_999_999_999 }));
        for (const text of ["0", "-1", "999999999999999", "-100000000000000"])
            expect([text, isIn(text)]).toEqual([text, true]);
        for (const text of ["-0", "00", "01", "1000000000000000", "1.0", "-100000000000001"])
            expect([text, isIn(text)]).toEqual([text, false]);
    });
});

describe("decimals", () => {
    const BOUNDS: readonly JsonSchema[] = [
        { minimum: 0, maximum: 1 },
        { exclusiveMinimum: 0, exclusiveMaximum: 1 },
        { minimum: -3.25, exclusiveMaximum: 17.005 },
        { exclusiveMinimum: -0.5, maximum: 0.25 },
        { maximum: -12.5 },
        { exclusiveMinimum: 99.99 },
        { exclusiveMaximum: 100 },
        { minimum: 1e-7, maximum: 1e21 },
        { exclusiveMinimum: 0.1 + 0.2, maximum: 0.5 },
    ];

    test.each(BOUNDS)("between bounds: %j", (schema) => {
        const {
            minimum = -Infinity,
            maximum = Infinity,
            exclusiveMinimum: above = -Infinity,
            exclusiveMaximum: below = Infinity,
        } = schema as Record<string, number>;
        const isValid = (value: number): boolean =>
            value >= minimum && value <= maximum && value > above && value < below;
        const grammar = grammarOf({ type: "number", ...(schema as object) });
        const walk = createWalker(grammar);
        for (let seed = 0; seed < 400; seed++) {
            const text = walk(createRandom(seed), seed % 30);
            if (!isValid(Number(text))) throw new Error(`${text} is not within bounds`);
        }
        const isIn = createReader(grammar);
        const edges = [minimum, maximum, above, below].filter(Number.isFinite);
        const values = [0, 0.05, 0.25, 0.5, 1, -0.001, -12.5, -13, 17.005, 100, 123456.75, ...edges];
        for (const value of values.flatMap((each) => [each, each + 0.125, each - 0.125, each + 1, each - 1])) {
            const text = String(value);
            if (/e/.test(text) || (text.split(".")[0] ?? "").length > 15) continue;
            if ((text.split(".")[1] ?? "").length > 16) continue;
            if (isIn(text) !== isValid(value)) throw new Error(`${text} is wrong`);
        }
    });

    test.each([1, 2, 7, 12, 100, 1000, 250, 0.01, 0.5, 0.25, 2.5, 1e-8])("multiples of %d", (factor) => {
        const places = Math.max(0, String(factor.toFixed(8)).replace(/0+$/, "").split(".")[1]?.length ?? 0);
        const isMultiple = (text: string): boolean => {
            const scaled = (value: string): bigint => {
                const [whole = "", behind = ""] = value.split(".");
                return BigInt(whole + behind.padEnd(16, "0"));
            };
            return scaled(text) % scaled(factor.toFixed(places)) === 0n;
        };
        const grammar = grammarOf({ type: "number", multipleOf: factor });
        const walk = createWalker(grammar);
        for (let seed = 0; seed < 200; seed++) {
            const text = walk(createRandom(seed), seed % 20);
            if (!isMultiple(text)) throw new Error(`${text} is none`);
        }
        const isText = createReader(grammar);
        for (let count = 0; count < 300; count++) {
            const text = (count * factor).toFixed(places);
            if (!isText(text)) throw new Error(`${text} is one`);
        }
        for (const text of ["1", "0.005", "3.7", "14.5", "12345678.25", "0.000000001"])
            expect(isText(text)).toBe(isMultiple(text));
    });

    test("but for values", () => {
        const isText = createReader(grammarOf({ type: "number", not: { enum: [0, 1.5] } }));
        for (const text of ["0", "0.0", "1.5", "1.500"]) expect([text, isText(text)]).toEqual([text, false]);
        for (const text of ["0.01", "1.51", "-1.5", "15"]) expect([text, isText(text)]).toEqual([text, true]);
    });
});

describe("patterns", () => {
    const PATTERNS = [
        "^[A-Z]{2}-\\d{3,5}$",
        "foo|bar",
        "^foo|bar$",
        "^(foo|ba+r)$",
        "(^a|b)c",
        "a(b$|c)",
        "^$",
        "",
        "^.$",
        '^[^"\\\\]*$',
        "^\\s*\\S+?\\s*$",
        "^(?:a|(?<name>b))*c+?$",
        "^[\\w.-]+@[\\w-]+\\.\\w{2,}$",
        "^[\\d\\-+]{0,4}$",
        "^\\u0041\\x42\\u{43}\\cJ?$",
        "^(a?){3}b{2}$",
        "^[^]$",
        "^\\p{Lu}\\p{Ll}*$",
        "[\\u{1F600}-\\u{1F64F}]",
        "^a|^b|c$|d$",
        "^\\/\\.\\$\\^$",
    ];
    /** What texts are made of: all that patterns name, and what needs a backslash in JSON. */
    const LETTERS = [...'aabbccfoobarABC0159-+@. \n\t"\\/$^_', "é", "Ü", "\u2028", "\u0001", "😀", "name"];

    test.each(PATTERNS)("%s", (pattern) => {
        const expression = new RegExp(pattern, "u");
        const grammar = grammarOf({ type: "string", pattern });
        const isText = createReader(grammar);
        const walk = createWalker(grammar);
        for (let seed = 0; seed < 200; seed++) {
            const text = walk(createRandom(seed), 20);
            if (!expression.test(JSON.parse(text) as string)) throw new Error(`${text} does not match`);
            if (!isText(text)) throw new Error(`${text} is not read`);
        }
        const random = createRandom(5);
        const texts = [
            "",
            "AB-123",
            "foo",
            "xfoo",
            "bar",
            "ac",
            "xc",
            "bc",
            "ab",
            "abx",
            "a@b.cd",
            "ABC",
            "/.$^",
            "Éa",
            "bb",
        ];
        for (let count = 0; count < 500; count++) {
            const length = Math.floor(random() * 7);
            texts.push(Array.from({ length }, () => LETTERS[Math.floor(random() * LETTERS.length)] ?? "").join(""));
        }
        for (const text of texts) {
            if (isText(JSON.stringify(text)) !== expression.test(text))
                throw new Error(`${JSON.stringify(text)} is wrong`);
        }
    });

    test("several, a length and values that are excluded, at once", () => {
        const isText = reads({
            type: "string",
            allOf: [{ pattern: "a" }, { pattern: "b$" }],
            minLength: 3,
            maxLength: 4,
            not: { enum: ["aab"] },
        });
        for (const text of ["xab", "axxb", "😀ab"]) expect([text, isText(text)]).toEqual([text, true]);
        for (const text of ["ab", "aab", "axxxb", "xxb", "aba"]) expect([text, isText(text)]).toEqual([text, false]);
    });
});
