/** What schemas that hold together say about the items of arrays. */

import type { Alternative } from "./schema-alternatives.js";
import { countOf, invalid, isList, type Located, type Report } from "./schema-report.js";

export interface ArrayLimits {
    /** Items from here on are alike. */
    readonly prefix: number;
    readonly min: number;
    /** undefined: no bound */
    readonly max: number | undefined;
    readonly isUnique: boolean;
    /** How many items are valid for a schema. */
    readonly contains: readonly {
        readonly schema: Located;
        readonly least: number;
        readonly most: number | undefined;
    }[];
}

/** The schemas of the first items, and that of all behind them; undefined: any. */
interface Items {
    readonly first: readonly Located[];
    readonly rest: Located | undefined;
}

/** Units of work. */
const ITEM = 5;
/** Half of the repetitions that a grammar may have: an item that is a group counts twice. */
export const MOST_ITEMS = 1000;

export function createArrays(report: Report) {
    const known = new Map<Alternative[number], Items>();

    function itemsOf(atom: Alternative[number]): Items {
        const items = known.get(atom) ?? readItems(atom);
        known.set(atom, items);
        return items;
    }

    function readItems({ schema, at }: Alternative[number]): Items {
        const { prefixItems, items, additionalItems } = schema;
        // Before draft 2020-12, a list of `items` stood for `prefixItems`.
        const isOld = isList(items);
        const keyword = isOld ? "items" : "prefixItems";
        const list = isOld ? items : prefixItems;
        if (list !== undefined && !isList(list)) return invalid(at, `\`${keyword}\` is a list of schemas`);
        report.spend(ITEM * (list?.length ?? 0));
        const first = (list ?? []).map((one, index) => ({ schema: one, at: `${at}/${keyword}/${index}` }));
        const rest = isOld ? additionalItems : items;
        return {
            first,
            rest: rest === undefined ? undefined : { schema: rest, at: `${at}/${isOld ? "additionalItems" : "items"}` },
        };
    }

    function schemasOfItem(alternative: Alternative, index: number): Located[] {
        const evaluated = new Set<unknown>();
        return alternative.flatMap((atom): Located[] => {
            const { schema, at, scope, isOpposite = false } = atom;
            if (scope !== undefined) {
                if (!("unevaluatedItems" in schema) || scope.some((one) => evaluated.has(one))) return [];
                evaluated.add(atom);
                return [{ schema: schema.unevaluatedItems, at: `${at}/unevaluatedItems` }];
            }
            const { first, rest } = itemsOf(atom);
            const own = first[index] ?? rest;
            if (own !== undefined && !isOpposite) evaluated.add(atom);
            return own === undefined ? [] : [own];
        });
    }

    function arrayLimits(alternative: Alternative): ArrayLimits {
        let [prefix, min] = [0, 0];
        let max: number | undefined;
        let isUnique = false;
        const contains: { schema: Located; least: number; most: number | undefined }[] = [];
        for (const atom of alternative) {
            const { schema, at } = atom;
            prefix = Math.max(prefix, itemsOf(atom).first.length);
            min = Math.max(min, countOf(report, atom, "minItems", MOST_ITEMS) ?? 0);
            const count = countOf(report, atom, "maxItems", MOST_ITEMS);
            if (count !== undefined) max = Math.min(max ?? count, count);
            if (schema.uniqueItems === true) isUnique = true;
            if (!("contains" in schema)) continue;
            const least = countOf(report, atom, "minContains", MOST_ITEMS) ?? 1;
            const most = countOf(report, atom, "maxContains", MOST_ITEMS);
            const isPast = atom.scope === undefined && alternative.some((one) => "unevaluatedItems" in one.schema);
            if (isPast) report.refuse(at, "contains", "it cannot be enforced beside `unevaluatedItems`");
            if (least > 0 || most !== undefined) {
                contains.push({ schema: { schema: schema.contains, at: `${at}/contains` }, least, most });
            }
        }
        return { prefix, min, max, isUnique, contains };
    }

    return { schemasOfItem, arrayLimits };
}

export type Arrays = ReturnType<typeof createArrays>;
