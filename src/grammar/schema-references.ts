/** Where `$ref` leads: to a place in the same schema, by its path, its anchor or its `$id`. */

import { escapePointer } from "./json-value.js";
import { invalid, isList, isObject, type Fields, type Located, type Report } from "./schema-report.js";

const START = "schema:/";
/** Keywords whose values are no schemas. */
const NOT_SCHEMAS = new Set(["enum", "const", "default", "examples"]);

/** Units of work for a value that may be led to, and for an address that is read. */
const VALUE = 4;
const ADDRESS = 60;

/** Finds the schema to which a reference leads that another schema has. */
export type Resolve = (from: Fields, keyword: "$ref" | "$dynamicRef", at: string) => Located;

export function createReferences(root: unknown, report: Report): Resolve {
    /** By `$id` and by `$id#anchor`. */
    const known = new Map<string, Located>();
    const bases = new Map<object, string>();
    /** How many schemas have a `$dynamicAnchor` of a name. */
    const dynamic = new Map<string, number>();
    let isIndexed = false;

    /** What stands in several places has the base of the first. */
    function index(): void {
        isIndexed = true;
        known.set(START, { schema: root, at: "#" });
        const pending: { value: unknown; at: string; base: string; isMap: boolean }[] = [
            { value: root, at: "#", base: START, isMap: false },
        ];
        for (const { value, at, base: outer, isMap } of pending) {
            report.spend(VALUE);
            if ((!isObject(value) && !isList(value)) || bases.has(value)) continue;
            let base = outer;
            if (isObject(value) && !isMap) {
                const { $id, $anchor, $dynamicAnchor } = value;
                if (typeof $id === "string") {
                    report.spend(ADDRESS);
                    base = resolve($id, outer) ?? outer;
                    known.set(base.replace(/#$/, ""), { schema: value, at });
                }
                if (typeof $dynamicAnchor === "string") {
                    dynamic.set($dynamicAnchor, (dynamic.get($dynamicAnchor) ?? 0) + 1);
                }
                for (const anchor of [$anchor, $dynamicAnchor]) {
                    if (typeof anchor === "string")
                        known.set(`${base.replace(/#.*$/, "")}#${anchor}`, { schema: value, at });
                }
            }
            bases.set(value, base);
            for (const [key, inner] of Object.entries(value)) {
                if (isObject(value) && !isMap && NOT_SCHEMAS.has(key)) continue;
                const isNames = /^(properties|patternProperties|\$defs|definitions|dependentSchemas)$/.test(key);
                pending.push({ value: inner, at: `${at}/${escapePointer(key)}`, base, isMap: !isMap && isNames });
            }
        }
    }

    return (from, keyword, at) => {
        const { [keyword]: reference } = from;
        const nowhere = (): never => invalid(at, `\`${keyword}\` leads to ${String(reference)}, where nothing is`);
        const elsewhere = (): never =>
            invalid(at, `\`${keyword}\` can lead to a place in the same schema only, such as #/$defs/name`);
        if (typeof reference !== "string") return elsewhere();
        if (!isIndexed) index();
        report.spend(ADDRESS + reference.length);
        const full = resolve(reference, bases.get(from) ?? START);
        if (full === undefined) return elsewhere();
        const [document = "", fragment = ""] = full.split(/#(.*)/s);
        if (keyword === "$dynamicRef" && (dynamic.get(fragment) ?? 0) > 1) {
            report.refuse(at, keyword, `several schemas have the \`$dynamicAnchor\` ${fragment}`);
            return { schema: true, at };
        }
        const start = known.get(document);
        if (start === undefined) return elsewhere();
        const path = decode(fragment);
        if (path === "") return start;
        if (!path.startsWith("/")) return known.get(`${document}#${path}`) ?? nowhere();
        let target: unknown = start.schema;
        for (const step of path.split("/").slice(1)) {
            const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
            const isThere = (isObject(target) || isList(target)) && Object.hasOwn(target, key);
            target = isThere ? (target as Fields)[key] : undefined;
        }
        return target === undefined
            ? nowhere()
            : { schema: target, at: start.at === "#" ? `#${path}` : start.at + path };
    };
}

function resolve(reference: string, base: string): string | undefined {
    try {
        return new URL(reference, base).href;
    } catch {
        return undefined;
    }
}

/** Without `%20` and the like, where it has them. */
function decode(fragment: string): string {
    try {
        return decodeURIComponent(fragment);
    } catch {
        return fragment;
    }
}
