/** Schemas as people write them: types of zod, whose texts zod itself parses. */

import { describe, expect, test } from "@jest/globals";
import { z } from "zod";
import { FORMAT_OF_PATTERN, FORMATS } from "../../src/grammar/formats.js";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import { checkTools } from "../../src/tools/check-tools.js";
import { createRandom, createReader, createWalker } from "../helpers/grammar-texts.js";

const SEEDS = 100;

interface Tree {
    name: string;
    children: Tree[];
}
const Tree: z.ZodType<Tree> = z.object({
    name: z.string(),
    get children() {
        return z.array(Tree);
    },
});
const Address = z.object({
    street: z.string().min(1).max(60),
    city: z.string(),
    zip: z.string().regex(/^\d{5}$/),
    country: z.enum(["PE", "EC", "BO"]),
});

/** With a value that has to be one of the texts. */
const SHAPES: readonly (readonly [string, z.ZodType, unknown])[] = [
    [
        "a label",
        z.object({ label: z.enum(["good", "bad"]), reason: z.string().max(80) }),
        { label: "good", reason: '"so"' },
    ],
    ["an address", Address, { street: "Jr. Unión 1", city: "Lima", zip: "15001", country: "PE" }],
    [
        "an invoice",
        z.object({
            number: z.string().regex(/^[A-Z]{2}-\d{4,6}$/),
            issued: z.iso.date(),
            lines: z
                .array(
                    z.object({
                        text: z.string(),
                        count: z.int().min(1).max(999),
                        price: z.number().nonnegative().multipleOf(0.01),
                    }),
                )
                .min(1)
                .max(20),
            total: z.number().gte(0).lt(1_000_000),
            to: Address.optional(),
        }),
        { number: "AB-1234", issued: "2024-02-29", lines: [{ text: "x", count: 2, price: 9.99 }], total: 19.98 },
    ],
    [
        "a discriminated union",
        z.discriminatedUnion("type", [
            z.object({ type: z.literal("circle"), radius: z.number().positive() }),
            z.object({ type: z.literal("square"), side: z.number().positive() }),
            z.object({ type: z.literal("none") }),
        ]),
        { type: "square", side: 0.5 },
    ],
    ["a recursive tree", Tree, { name: "a", children: [{ name: "b", children: [] }] }],
    ["JSON", z.json(), [{ a: [1, null, "x"] }]],
    ["a record", z.record(z.string(), z.number()), { a: 1, "b c": 2 }],
    ["a record of named keys", z.record(z.enum(["de", "en"]), z.string()), { de: "ja", en: "yes" }],
    ["a record of some named keys", z.partialRecord(z.enum(["de", "en"]), z.string()), { en: "yes" }],
    ["a record of keys by a pattern", z.record(z.string().regex(/^id-\d+$/), z.int32()), { "id-7": -5 }],
    ["a tuple", z.tuple([z.string(), z.number(), z.boolean().nullable()]), ["a", 1.5, null]],
    ["a tuple with a rest", z.tuple([z.string()], z.int()), ["a", 1, 2, 3]],
    [
        "what may be missing, null or filled in",
        z.object({
            a: z.string().optional(),
            b: z.int().nullable(),
            c: z.boolean().default(true),
            d: z.string().nullish(),
        }),
        { b: null, c: false, d: null },
    ],
    [
        "dates and times",
        z.object({
            day: z.iso.date(),
            at: z.iso.datetime(),
            local: z.iso.datetime({ offset: true, local: true }),
            clock: z.iso.time(),
            span: z.iso.duration(),
        }),
        { day: "2024-12-31", at: "2024-12-31T23:59:59.5Z", local: "2024-12-31T10:00", clock: "10:30", span: "P1DT2H" },
    ],
    [
        "addresses on the net",
        z.object({
            mail: z.email(),
            url: z.url(),
            id: z.uuid(),
            id4: z.uuidv4(),
            host: z.hostname(),
            v4: z.ipv4(),
            v6: z.ipv6(),
        }),
        {
            ...{
                mail: "a.b@example.com",
                url: "https://example.com/a?b=c#d",
                id: "123e4567-e89b-12d3-a456-426614174000",
            },
            ...{
                id4: "123e4567-e89b-42d3-a456-426614174000",
                host: "a-b.example.com",
                v4: "127.0.0.1",
                v6: "2001:db8::1",
            },
        },
    ],
    [
        "codes",
        z.object({
            a: z.cuid2(),
            b: z.ulid(),
            c: z.nanoid(),
            d: z.base64(),
            e: z.e164(),
            f: z.mac(),
            g: z.hex(),
            h: z.cidrv4(),
        }),
        {
            a: "x1",
            b: "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            c: "V1StGXR8_Z5jdHi6B-myT",
            d: "YQ==",
            e: "+5111234567",
            f: "0A:1B:2C:3D:4E:5F",
            g: "ff",
            h: "10.0.0.0/8",
        },
    ],
    [
        "numbers with bounds",
        z.object({
            a: z.int().min(1).max(5),
            b: z.number().min(0).max(1),
            c: z.number().gt(-1.5).lt(1.5),
            d: z.int().multipleOf(5),
            e: z.int(),
        }),
        { a: 3, b: 0.25, c: -1.25, d: 35, e: -12 },
    ],
    ["literals", z.union([z.literal(["a", 1, true, null]), z.literal("b")]), "b"],
    [
        "nested lists",
        z
            .array(z.array(z.number().min(0).max(9)).length(3))
            .min(1)
            .max(3),
        [
            [1, 2, 3],
            [4, 5, 6.5],
        ],
    ],
    [
        "strings",
        z.object({
            a: z.string().startsWith("ab").includes("x").endsWith("c").max(12),
            b: z.string().lowercase().min(2),
            c: z.templateLiteral(["v", z.int(), "-", z.enum(["rc", "ga"])]),
        }),
        { a: "ab x c", b: "ok", c: "v1-rc" },
    ],
    ["both of two", z.intersection(z.object({ a: z.string() }), z.object({ b: z.number() })), { a: "x", b: 1 }],
    ["other properties", z.object({ a: z.string() }).catchall(z.boolean()), { a: "x", b: true }],
    ["anything besides", z.looseObject({ a: z.string() }), { a: "x", b: [1] }],
    [
        "a union of objects",
        z.union([
            z.object({ ok: z.literal(true), value: z.int() }),
            z.object({ ok: z.literal(false), error: z.string() }),
        ]),
        { ok: false, error: "no" },
    ],
    ["nothing certain", z.object({ a: z.any(), b: z.unknown() }), { a: 1, b: { c: null } }],
];

describe(`${SEEDS} texts of each are parsed by zod:`, () => {
    test.each(SHAPES)("%s", (_name, type, value) => {
        const grammar = readGbnf(jsonSchemaToGbnf(type).grammar);
        const walk = createWalker(grammar);
        for (let seed = 0; seed < SEEDS; seed++) {
            const text = walk(createRandom(seed), 10 + 3 * seed);
            const { error } = type.safeParse(JSON.parse(text));
            if (error !== undefined) throw new Error(`${text}: ${error.message}`);
        }
        expect(type.parse(value)).toBeDefined();
        const text = JSON.stringify(value);
        expect([text, createReader(grammar)(text)]).toEqual([text, true]);
    });
});

test("a date has no JSON schema, which is said", () => {
    expect(() => jsonSchemaToGbnf(z.object({ at: z.date() }))).toThrow(
        expect.objectContaining({
            code: "GRAMMAR_INVALID",
            message: expect.stringContaining("it cannot be read: Date"),
        }),
    );
});

describe("the patterns that stand for formats", () => {
    const types: Readonly<Record<string, z.ZodType>> = {
        email: z.email(),
        hostname: z.hostname(),
        duration: z.iso.duration(),
    };

    test.each([...FORMAT_OF_PATTERN])("%s are those of zod: %s", (pattern, format) => {
        expect(types[format]?.toJSONSchema()).toMatchObject({ format, pattern });
    });

    // Times may name no zone and identifiers have versions with zod, and it says both by a pattern beside the format.
    const others: Readonly<Record<string, z.ZodType>> = {
        ...{ date: z.iso.date(), ipv4: z.ipv4(), ipv6: z.ipv6(), cidrv4: z.cidrv4(), cidrv6: z.cidrv6(), mac: z.mac() },
        ...{ base64: z.base64(), base64url: z.base64url(), e164: z.e164(), hex: z.hex(), cuid: z.cuid() },
        ...{ cuid2: z.cuid2(), ulid: z.ulid(), xid: z.xid(), ksuid: z.ksuid(), nanoid: z.nanoid() },
        ...{ lowercase: z.string().lowercase(), uppercase: z.string().uppercase(), uri: z.url() },
    };
    test.each(Object.entries({ ...types, ...others }))("texts of %s without a pattern are parsed", (format, type) => {
        expect(type.toJSONSchema()).toMatchObject({ format });
        expect(Object.keys(FORMATS)).toContain(format);
        const walk = createWalker(readGbnf(jsonSchemaToGbnf({ format }).grammar));
        for (let seed = 0; seed < SEEDS; seed++) {
            const text = walk(createRandom(seed));
            expect([text, type.safeParse(JSON.parse(text)).success]).toEqual([text, true]);
        }
    });
});

describe("what a model writes is what a type parses:", () => {
    const Settings = z.object({
        unit: z.string().default("metre"),
        digits: z.string().transform((text) => text.length),
        count: z.coerce.number(),
        price: z
            .string()
            .regex(/^\d+$/)
            .pipe(z.transform((text) => Number(text))),
    });

    test("defaults may be missing, and what is transformed is not so yet", () => {
        const { grammar } = jsonSchemaToGbnf(Settings);
        const isText = createReader(readGbnf(grammar));
        for (const text of [
            '{"unit":"m","digits":"abc","count":3,"price":"12"}',
            '{"digits":"","count":0,"price":"1"}',
        ])
            expect([text, isText(text)]).toEqual([text, true]);
        for (const text of ['{"digits":3,"count":3,"price":"12"}', '{"digits":"","count":0,"price":12}'])
            expect([text, isText(text)]).toEqual([text, false]);
        const walk = createWalker(readGbnf(grammar));
        for (let seed = 0; seed < SEEDS; seed++)
            expect(Settings.safeParse(JSON.parse(walk(createRandom(seed), 20))).success).toBe(true);
    });

    test("also as the parameters of a tool", () => {
        const [tool] = checkTools("tools", [{ name: "set", parameters: Settings }]);
        expect(tool?.parameters).toMatchObject({
            properties: { digits: { type: "string" } },
            required: ["digits", "count", "price"],
        });
    });
});
