/** Calls as templates write them. */

import { tryCalls, type CallSyntax } from "../../src/prompts/call-syntax.js";
import { tryChannels } from "../../src/prompts/channels.js";
import type { JsonValue } from "../../src/types.js";
import { readPublicTemplates, sampleOf } from "./public-templates.js";

/** Those of public templates, each once, by the name of a template. */
export async function readSyntaxes(): Promise<ReadonlyMap<string, CallSyntax>> {
    const found = new Map<string, CallSyntax>();
    const known = new Set<string>();
    for (const [name, source] of await readPublicTemplates()) {
        const render = sampleOf(source);
        const ends = ["<|im_end|>", "<|eot_id|>", "</s>", "<|call|>"];
        const syntax = tryCalls(render, ends, tryChannels(render))?.syntax;
        const key = JSON.stringify(syntax);
        if (syntax !== undefined && !known.has(key)) found.set(name, syntax);
        known.add(key);
    }
    return found;
}

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
