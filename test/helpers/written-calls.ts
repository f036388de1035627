/** Calls as templates write them. */

import type { CallSyntax } from "../../src/prompts/call-syntax.js";
import type { JsonValue } from "../../src/types.js";

/** One call, without what stands around calls. */
export function writeCall(
    { call, pairs }: CallSyntax,
    name: string,
    values: Readonly<Record<string, JsonValue>>,
): string {
    const written =
        pairs === undefined
            ? JSON.stringify(values)
            : Object.entries(values)
                  .map(
                      ([key, value]) =>
                          `${pairs.before}${key}${pairs.other.middle}${typeof value === "string" ? value : JSON.stringify(value)}${pairs.other.end}`,
                  )
                  .join(pairs.between);
    const slots = { name, id: "abcdefghi", arguments: written };
    return call.map((piece) => (typeof piece === "object" ? piece.text : slots[piece])).join("");
}
