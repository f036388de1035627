/** The control tokens that a chat template writes, and what they are to the members. */

import type { NativeModel } from "../native/binding.js";
import type { Recipe } from "../types.js";
import type { ChatMessage } from "./messages.js";
import { createPromptRenderers, type PromptMember, type PromptRenderer } from "./prompt.js";
import { tokenAttributes } from "../models/token-attributes.js";
import { isControl, type NamedModel } from "../models/token-tables.js";

/** Short conversations; a template that refuses one may render another. */
const CONVERSATIONS: readonly (readonly ChatMessage[])[] = [
    [
        { role: "user", content: "Hello" },
        { role: "assistant", content: "Hello" },
        { role: "user", content: "Hello" },
    ],
    [{ role: "user", content: "Hello" }],
];

/**
 * Which control tokens of the prompt templates are plain text for which members, as sentences. A template that cannot be
 * rendered says nothing here; loading reports it.
 *
 * @param models - in the order of the recipe's members
 */
export function describeForeignTokens(
    { members, prompt }: Pick<Recipe, "members" | "prompt">,
    models: readonly NamedModel[],
): string[] {
    const texts = renderSamples(
        models.map((model, index) => ({ ...model, template: members[index]?.prompt ?? prompt })),
    );
    // Each member begins with its own.
    const beginnings = models.flatMap(({ model }) =>
        model.info.bos < 0 ? [] : model.tokenTexts(model.info.bos, model.info.bos + 1),
    );
    const readers = new Map<string, string[]>();
    for (const [index, { name, model }] of models.entries()) {
        const whole = texts[index] ?? "";
        const text = whole.slice(beginnings.find((bos) => whole.startsWith(bos))?.length ?? 0);
        const written = new Set(models.flatMap((other) => controlTokensIn(text, other.model)));
        const foreign = [...written].filter((token) => !controlTokensIn(token, model).includes(token));
        if (foreign.length === 0) continue;
        const what = foreign.join(" and ");
        readers.set(what, [...(readers.get(what) ?? []), name]);
    }
    return [...readers].map(
        ([tokens, names]) =>
            `${names.join(" and ")} ${names.length === 1 ? "reads" : "read"} ${tokens} of the template as plain text.`,
    );
}

/**
 * Whether the chat template of a fine-tuned model writes control tokens, or ends a text with one, that its base has hardly been
 * trained on: any but those with which the base itself begins and ends a text. What two bases say about such tokens is noise.
 * Some files do not say that tokens like `<|im_end|>` are control tokens.
 */
export function usesUnfamiliarTokens(tuned: NativeModel, base: NativeModel): boolean {
    const [sample] = renderSamples([{ name: "tuned", model: tuned, template: { kind: "from", member: "tuned" } }]);
    const text = sample ?? tuned.info.chatTemplate ?? "";
    const spell = (token: number): string[] => (token < 0 ? [] : tuned.tokenTexts(token, token + 1));
    const familiar = [base.info.bos, base.info.eos].flatMap((token) =>
        token < 0 ? [] : base.tokenTexts(token, token + 1),
    );
    const written = [...controlTokensIn(text, tuned), ...spell(tuned.info.eos), ...(text.match(/<\|[^|]+\|>/g) ?? [])];
    return written.some((token) => !familiar.includes(token));
}

/** What each member sees of a conversation; undefined where that cannot be rendered. */
function renderSamples(members: readonly PromptMember[]): (string | undefined)[] {
    let renderers: readonly PromptRenderer[] = [];
    try {
        renderers = createPromptRenderers(members);
    } catch {
        // A template that is missing, or is none, shows where it is used.
    }
    return renderers.map(renderSample);
}

function renderSample(renderer: PromptRenderer): string | undefined {
    for (const messages of CONVERSATIONS) {
        try {
            return renderer.render(messages);
        } catch {
            // Whether the template is at fault, or this conversation, shows where it is used.
        }
    }
    return undefined;
}

/** Texts of the control tokens that a model finds in a text. */
function controlTokensIn(text: string, model: NativeModel): string[] {
    const attributes = tokenAttributes(model);
    const tokens = new Set(model.tokenize(text, false, true));
    return [...tokens]
        .filter((token) => isControl(attributes[token]))
        .flatMap((token) => model.tokenTexts(token, token + 1));
}
