/** What a schema says, for those who ask: what makes a grammar of it, and what judges values by it. */

import { createExpander, type Expander, type Judge } from "./schema-alternatives.js";
import { createArrays, type Arrays } from "./schema-arrays.js";
import { createJudge } from "./schema-judge.js";
import type { JsonCopy } from "./json-value.js";
import { createObjects, type Objects } from "./schema-objects.js";
import { createReferences } from "./schema-references.js";
import type { Report } from "./schema-report.js";
import { createLimits, impliedTypes, type Limits } from "./schema-shape.js";
import type { Regulars } from "./regular.js";

export interface SchemaReader {
    readonly limits: Limits;
    readonly expander: Expander;
    readonly objects: Objects;
    readonly arrays: Arrays;
    readonly judges: ReturnType<typeof createJudge>;
}

/** @param isOpen - as `createExpander` takes it */
export function createSchemaReader(
    { value: root, sizes }: JsonCopy,
    regulars: Regulars,
    report: Report,
    isOpen: boolean,
): SchemaReader {
    const limits = createLimits(regulars, report);
    // What is asked of alternatives needs their makers, and the makers ask it.
    const judge: Judge = {
        isNever: (alternative) => wide.isNever(alternative),
        impliedTypes: (alternative) =>
            alternative.some(({ schema }) => "type" in schema) ? [] : impliedTypes(alternative),
        hasProperty: (alternative, name) => objects.hasProperty(alternative, name),
        requiredOf: (alternative) => objects.requiredOf(alternative),
    };
    const expander = createExpander(report, createReferences(root, report), sizes, isOpen, judge);
    const objects = createObjects(regulars, limits, expander, report, isOpen);
    const arrays = createArrays(report);
    const judges = createJudge(regulars, limits, expander, objects, arrays, report);
    // What excludes each other does so for values that no grammar says, too.
    const wideObjects = createObjects(regulars, limits.wide, expander, report, isOpen);
    const wide = createJudge(regulars, limits.wide, expander, wideObjects, arrays, report);
    return { limits, expander, objects, arrays, judges };
}
