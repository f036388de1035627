/** What schemas that hold together say about the properties of objects. */

import { escapePointer } from "./json-value.js";
import type { Regular, Regulars } from "./regular.js";
import { TooManyStates } from "./work.js";
import type { Alternative, Atom, Expander } from "./schema-alternatives.js";
import { mapOf, namesOf } from "./schema-keywords.js";
import { shapeOf, type Limits } from "./schema-shape.js";
import { countOf, isObject, unitsOf, type Fields, type Located, type Report } from "./schema-report.js";

export interface PropertyGroup {
    /** Names, and what all of their values have to be. */
    readonly names: Regular;
    readonly schemas: readonly Located[];
}

export interface ObjectLimits {
    /** In the order of the schema. */
    readonly listed: readonly {
        readonly name: string;
        readonly isRequired: boolean;
        readonly schemas: readonly Located[];
    }[];
    /** Those of other names. */
    readonly others: readonly PropertyGroup[];
    readonly min: number;
    /** undefined: no bound */
    readonly max: number | undefined;
}

const MOST_PATTERNS = 6;
/** Units of work for a schema or a name. */
const LOOK = 10;
export const MOST_PROPERTIES = 1000;
/** Keywords of which names of properties can be too many to tell apart. */
const NAMING = ["patternProperties", "propertyNames", "properties", "required"];
const LISTED = ["properties", "required", "patternProperties"];

/** @param isOpen - whether objects may have properties that no schema lists, where nothing says that they may not */
export function createObjects(regulars: Regulars, limits: Limits, expander: Expander, report: Report, isOpen: boolean) {
    const { both, either, not, never, all, text } = regulars;

    const spendOnNames = (names: readonly string[]): void => {
        report.spend(LOOK * names.length + unitsOf(names));
    };

    /** The patterns that a schema gives for names. */
    function patternsOf({ schema, at }: Atom): { source: string; names: Regular; schema: unknown; at: string }[] {
        if (isObject(schema.patternProperties)) spendOnNames(Object.keys(schema.patternProperties));
        return mapOf(schema, "patternProperties", at).flatMap(({ name, schema: own, at: place }) => {
            const names = limits.pattern(name, at, "patternProperties");
            return names === undefined ? [] : [{ source: name, names, schema: own, at: place }];
        });
    }

    /**
     * What the value of a property has to be.
     *
     * @param isMatch - whether the name is one of a pattern
     */
    function schemasOf(
        alternative: Alternative,
        name: string | undefined,
        isMatch: (source: string, names: Regular) => boolean,
    ): Located[] {
        report.spend(alternative.length * (LOOK + unitsOf([name ?? ""])));
        const isEvaluated = new Set<Atom>();
        return alternative.flatMap((atom): Located[] => {
            const { schema, at, scope, isOpposite = false } = atom;
            if (scope !== undefined) {
                if (!("unevaluatedProperties" in schema) || scope.some((one) => isEvaluated.has(one))) return [];
                isEvaluated.add(atom);
                return [{ schema: schema.unevaluatedProperties, at: `${at}/unevaluatedProperties` }];
            }
            const own = propertyOf(atom, name);
            for (const pattern of patternsOf(atom)) if (isMatch(pattern.source, pattern.names)) own.push(pattern);
            if (own.length === 0 && "additionalProperties" in schema) {
                own.push({ schema: schema.additionalProperties, at: `${at}/additionalProperties` });
            }
            if (own.length > 0 && !isOpposite) isEvaluated.add(atom);
            return own;
        });
    }

    const schemasOfName = (alternative: Alternative, name: string): Located[] =>
        schemasOf(alternative, name, (_source, names) => regulars.matches(names, name));

    /** What the names have to be; undefined: any texts. */
    function nameLanguage(alternative: Alternative): Regular | undefined {
        const schemas = nameSchemas(alternative);
        if (schemas.length === 0) return undefined;
        const languages = expander.expand(schemas).map((one) => {
            const shape = shapeOf([...one, { schema: { type: "string" }, at: "#" }], isOpen, report);
            if (!shape.kinds.has("string")) return never;
            const own = limits.stringLanguage(shape);
            if (shape.values === undefined) return own ?? all;
            const texts = shape.values.filter((value) => typeof value === "string");
            return both(own ?? all, either(...texts.map(text)));
        });
        return either(...languages);
    }

    function nameSchemas(alternative: Alternative): Located[] {
        return alternative.flatMap(({ schema, at }) =>
            "propertyNames" in schema ? [{ schema: schema.propertyNames, at: `${at}/propertyNames` }] : [],
        );
    }

    /** Names that `propertyNames` lists, in its order. */
    function namesListed(alternative: Alternative): string[] {
        const schemas = nameSchemas(alternative);
        if (schemas.length === 0) return [];
        const shapes = expander.expand(schemas).map((one) => shapeOf(one, isOpen, report));
        if (shapes.some(({ values }) => values === undefined)) return [];
        return shapes.flatMap(({ values = [] }) => values.filter((value) => typeof value === "string"));
    }

    function requiredOf(alternative: Alternative): string[] {
        return [...new Set(alternative.flatMap(({ schema, at }) => namesOf(schema.required, "required", at)))];
    }

    /** Whether properties may come that are not listed. */
    function hasOthers(alternative: Alternative): boolean {
        const isGiven = alternative.some(
            ({ schema }) => isGivenBy(schema, "additionalProperties") || isGivenBy(schema, "unevaluatedProperties"),
        );
        return isOpen || isGiven || !alternative.some(({ schema }) => LISTED.some((keyword) => keyword in schema));
    }

    function hasProperty(alternative: Alternative, name: string): boolean {
        return (
            alternative.some(
                ({ schema }) =>
                    (isObject(schema.properties) && Object.hasOwn(schema.properties, name)) ||
                    "patternProperties" in schema,
            ) ||
            requiredOf(alternative).includes(name) ||
            hasOthers(alternative)
        );
    }

    /** The names that are listed; each comes once, in this order. */
    function listedNames(alternative: Alternative): string[] {
        for (const { schema } of alternative)
            if (isObject(schema.properties)) spendOnNames(Object.keys(schema.properties));
        const named = alternative.flatMap(({ schema, at }) => mapOf(schema, "properties", at).map(({ name }) => name));
        const others = hasOthers(alternative) ? namesListed(alternative) : [];
        return [...new Set([...named, ...requiredOf(alternative), ...others])];
    }

    function objectLimits(alternative: Alternative): ObjectLimits {
        const required = new Set(requiredOf(alternative));
        const names = nameLanguage(alternative);
        const all_ = listedNames(alternative);
        const listed = all_.map((name) => {
            const isName = names === undefined || regulars.matches(names, name);
            const schemas = isName
                ? schemasOfName(alternative, name)
                : [{ schema: false, at: `${alternative[0]?.at ?? "#"}/propertyNames` }];
            return { name, isRequired: required.has(name), schemas };
        });
        let min = 0;
        let max: number | undefined;
        for (const atom of alternative) {
            min = Math.max(min, countOf(report, atom, "minProperties", MOST_PROPERTIES) ?? 0);
            const most = countOf(report, atom, "maxProperties", MOST_PROPERTIES);
            if (most !== undefined) max = Math.min(max ?? most, most);
        }
        return { listed, others: otherGroups(alternative, names ?? all, all_), min, max };
    }

    /** Names that are not listed, by the patterns that they match. */
    function otherGroups(alternative: Alternative, names: Regular, listed: readonly string[]): PropertyGroup[] {
        const patterns = [...new Map(alternative.flatMap(patternsOf).map((one) => [one.source, one.names]))];
        const atom = alternative.find(({ schema }) => "patternProperties" in schema);
        if (patterns.length > MOST_PATTERNS) {
            report.refuse(atom?.at ?? "#", "patternProperties", `there are more than ${MOST_PATTERNS} patterns`);
            return [];
        }
        // Without patterns, and where there are no others, nobody asks.
        if (patterns.length === 0 && !hasOthers(alternative)) return [];
        const unlisted = both(names, not(either(...listed.map(text))));
        const groups: PropertyGroup[] = [];
        for (let bits = 0; bits < 2 ** patterns.length; bits++) {
            const matched = new Set(
                patterns.filter((_one, index) => (bits >> index) % 2 === 1).map(([source]) => source),
            );
            if (matched.size === 0 && !hasOthers(alternative)) continue;
            const own = both(unlisted, ...patterns.map(([source, one]) => (matched.has(source) ? one : not(one))));
            const schemas = schemasOf(alternative, undefined, (source) => matched.has(source));
            if (schemas.some(({ schema }) => schema === false)) continue;
            try {
                if (!regulars.isEmpty(own)) groups.push({ names: own, schemas });
            } catch (error) {
                if (!(error instanceof TooManyStates)) throw error;
                limits.refuseLarge(alternative.filter(({ schema }) => NAMING.some((keyword) => keyword in schema)));
            }
        }
        return groups;
    }

    return { objectLimits, schemasOfName, nameLanguage, requiredOf, hasProperty };
}

export type Objects = ReturnType<typeof createObjects>;

/** What one of the properties has to be: none of the others is looked at, of which there may be many. */
function propertyOf({ schema: { properties }, at }: Atom, name: string | undefined): Located[] {
    if (name === undefined || !isObject(properties) || !Object.hasOwn(properties, name)) return [];
    return [{ schema: properties[name], at: `${at}/properties/${escapePointer(name)}` }];
}

/** Whether a keyword says what other properties are. */
function isGivenBy(schema: Fields, keyword: string): boolean {
    return keyword in schema && schema[keyword] !== false;
}
