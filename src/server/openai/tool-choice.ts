/** Which tools may be called, as OpenAI's protocols say it. */

import type { Tool, ToolChoice } from "../../tools/types.js";
import type { Note } from "../asking.js";
import { show } from "../../options.js";
import { RequestError } from "../failures.js";

/** A choice that names tools. */
export interface NamedChoice {
    readonly type: string;
    /** Of the type `function`. */
    readonly name: string | undefined;
    /** Of the type `allowed_tools`. */
    readonly allowed:
        { readonly mode: "auto" | "required"; readonly names: readonly (string | undefined)[] } | undefined;
}

/**
 * @returns the tools that are allowed, and whether one of them has to be called. Choices of other types have no effect
 * @throws RequestError
 */
export function chooseTools(
    tools: readonly Tool[],
    choice: ToolChoice | NamedChoice | undefined,
    note: Note,
): { readonly tools: readonly Tool[]; readonly toolChoice: ToolChoice | undefined } {
    if (typeof choice !== "object" || !("type" in choice)) return { tools, toolChoice: choice };
    const { type, name, allowed } = choice;
    if (type === "function") {
        if (name === undefined) throw refuse("of the type function has no name; give that of one of tools.");
        return { tools, toolChoice: { tool: name } };
    }
    if (type === "allowed_tools") {
        if (allowed === undefined) throw refuse("of the type allowed_tools has none; give its mode and some of tools.");
        const { mode, names } = allowed;
        const known = tools.map((tool) => tool.name);
        const unknown = names.find((each) => each !== undefined && !known.includes(each));
        if (unknown !== undefined) throw refuse(`allows ${show(unknown)}, which is none of tools.`);
        return { tools: tools.filter((tool) => names.includes(tool.name)), toolChoice: mode };
    }
    note(`tool_choice of the type ${type.slice(0, 40)}`);
    return { tools, toolChoice: undefined };
}

function refuse(reason: string): RequestError {
    return new RequestError(400, `tool_choice ${reason}`, { param: "tool_choice" });
}
