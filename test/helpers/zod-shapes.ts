/** Types as people write them with zod, small enough that any model comes to the end of one. */

import { z } from "zod";

const name = z.string().max(12);

interface Folder {
    readonly name: string;
    readonly inside: readonly Folder[];
}
const folder: z.ZodType<Folder> = z.object({
    name,
    get inside() {
        return z.array(folder).max(1);
    },
});

/** By what they show. */
export const ZOD_SHAPES: Readonly<Record<string, z.ZodType>> = {
    "an object": z.object({ city: name, isCapital: z.boolean() }),
    "an optional field": z.object({ city: name, nickname: name.optional() }),
    "a nullable field": z.object({ city: name.nullable() }),
    "a field with a default": z.object({ city: name, country: name.default("Peru") }),
    "an enumeration": z.object({ mood: z.enum(["positive", "negative", "neutral"]) }),
    literals: z.object({ kind: z.literal("city"), size: z.literal([1, 2, 3]) }),
    "an integer": z.object({ inhabitants: z.int() }),
    "an integer with bounds": z.object({ rank: z.int().min(1).max(195) }),
    "a number": z.object({ height: z.number() }),
    "an array": z.object({ languages: z.array(name).max(3) }),
    "an array with both bounds": z.object({ days: z.array(z.int().min(1).max(31)).min(2).max(4) }),
    "an object in an object": z.object({ place: z.object({ at: z.object({ x: z.int(), y: z.int() }) }) }),
    "an array of objects": z.object({
        cities: z
            .array(z.object({ name, isLarge: z.boolean() }))
            .min(1)
            .max(2),
    }),
    "a union": z.object({ value: z.union([z.int(), z.boolean(), z.null()]) }),
    "a discriminated union": z.discriminatedUnion("type", [
        z.object({ type: z.literal("point"), x: z.int() }),
        z.object({ type: z.literal("circle"), radius: z.int().positive() }),
    ]),
    descriptions: z.object({ city: name.describe("Its capital") }).meta({ title: "Country", description: "A country" }),
    "an exact object": z.strictObject({ yes: z.boolean() }),
    "a type that is used twice": z.object({ from: folder, to: folder }),
    "a type in itself": folder,
    "an extended object": z
        .object({ city: name })
        .extend({ year: z.int().min(1000).max(2999) })
        .partial({ city: true }),
    "any text": z.object({ text: z.string().min(1).max(40) }),
};
