/** Conversations in the form that a template can show. */

import { textOf, type ChatMessage } from "./messages.js";

/** What a template makes of conversations, found out by trying. */
export interface TemplateTraits {
    /** Whether it shows what is said when that is one text. */
    readonly showsText: boolean;
    /** Whether it shows what is said when that is in parts. */
    readonly showsParts: boolean;
    /** What becomes of a system prompt: the template shows it, leaves it out, or fails. */
    readonly system: "shown" | "left out" | "refused";
}

const SAID = "What is said";
const INSTRUCTION = "Instructions";

/** @param render - throws where the template fails */
export function tryTemplate(render: (messages: readonly ChatMessage[]) => string): TemplateTraits {
    const attempt = (messages: readonly ChatMessage[]): string | undefined => {
        try {
            return render(messages);
        } catch {
            return undefined;
        }
    };
    const asText = attempt([{ role: "user", content: SAID }]);
    const asParts = attempt([{ role: "user", content: [{ type: "text", text: SAID }] }]) ?? "";
    const showsText = asText?.includes(SAID) ?? false;
    // Some write the parts as data.
    const showsParts = asParts.includes(SAID) && !/["']type["']/.test(asParts);
    const content = (text: string) => (showsText || !showsParts ? text : [{ type: "text" as const, text }]);
    const instructed = attempt([
        { role: "system", content: content(INSTRUCTION) },
        { role: "user", content: content(SAID) },
    ]);
    const isRefused = instructed === undefined && (asText !== undefined || showsParts);
    const system = isRefused ? "refused" : (instructed?.includes(INSTRUCTION) ?? true) ? "shown" : "left out";
    return { showsText, showsParts, system };
}

/**
 * The messages as the template can show them: parts are joined, or texts made parts, where it knows only the one or the
 * other; and where it refuses a system role, the first question begins with the system prompt, as Gemma's documentation has
 * it.
 */
export function adaptMessages(messages: readonly ChatMessage[], traits: TemplateTraits): readonly ChatMessage[] {
    const folded = traits.system === "refused" ? foldSystem(messages) : messages;
    if (traits.showsParts && traits.showsText) return folded;
    return folded.map((message) => {
        const { content } = message;
        if (typeof content !== "string" && content !== null && !traits.showsParts)
            return { ...message, content: textOf(message) };
        if (typeof content === "string" && !traits.showsText && traits.showsParts)
            return { ...message, content: [{ type: "text", text: content }] };
        return message;
    });
}

function foldSystem(messages: readonly ChatMessage[]): readonly ChatMessage[] {
    const count = messages.findIndex(({ role }) => role !== "system");
    const [instructions, rest] = count < 0 ? [messages, []] : [messages.slice(0, count), messages.slice(count)];
    if (instructions.length === 0) return messages;
    const system = instructions.map(textOf).join("\n\n");
    const [first, ...others] = rest;
    if (first?.role !== "user") return [{ role: "user", content: system }, ...rest];
    return [{ ...first, content: `${system}\n\n${textOf(first)}` }, ...others];
}
