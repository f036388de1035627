/** What becomes of a system prompt. */

import type { PromptRenderer } from "./prompt.js";

/** Templates may leave out what they have no place for, or have no role for it: a sentence for each. */
export function describeSystem(
    system: string | undefined,
    members: readonly { readonly name: string; readonly prompt: PromptRenderer }[],
): string[] {
    if (system === undefined || system.trim() === "") return [];
    const namesWith = (fate: PromptRenderer["systemPrompt"]): string =>
        members
            .filter(({ prompt }) => prompt.systemPrompt === fate)
            .map(({ name }) => name)
            .join(", ");
    const [blind, folded] = [namesWith("left out"), namesWith("in the first question")];
    return [
        ...(blind === "" ? [] : [`The prompt template has no place for a system prompt; not shown to: ${blind}.`]),
        ...(folded === ""
            ? []
            : [`The prompt template has no system role; put in front of the first question for: ${folded}.`]),
    ];
}
