/**
 * From the text of a prompt to the tokens each member sees.
 *
 * A chat template is rendered to one string, which is tokenized as a whole: that is how models are trained and how
 * other engines evaluate them. Tokenizing template and text apart would be safer against control tokens in the text, but
 * splits words at the seam (`[INST]` + ` ` + `What` instead of `[INST]` + ` What`), so it is done only for texts that do
 * contain the spelling of a control token.
 */

import { Template } from "@huggingface/jinja";
import { EftError } from "../errors.js";
import type { NativeModel } from "../native/binding.js";
import type { PromptTemplate } from "../types.js";

const ROLES = ["system", "user", "assistant"] as const;

/** One turn of a conversation. */
export interface ChatMessage {
    readonly role: (typeof ROLES)[number];
    readonly content: string;
}

/** A text is the user's only turn. @throws EftError OPTION_INVALID */
export function toMessages(prompt: unknown): readonly ChatMessage[] {
    if (typeof prompt === "string") return [{ role: "user", content: prompt }];
    const isMessage = (message: Partial<ChatMessage> | null | undefined): boolean =>
        ROLES.some((role) => role === message?.role) && typeof message?.content === "string";
    // Holes of a list are no messages, and every() would pass over them.
    const messages = Array.isArray(prompt) ? Array.from(prompt as readonly Partial<ChatMessage>[]) : undefined;
    if (messages?.every(isMessage)) return messages as readonly ChatMessage[];
    throw new EftError(
        "OPTION_INVALID",
        `prompt must be a text or a list of messages, each with a role (${ROLES.join(", ")}) and a text as content.`,
    );
}

/** A member's way of turning messages into tokens. */
export interface PromptRenderer {
    /** The text that the member sees, special tokens spelled out. */
    render(messages: readonly ChatMessage[]): string;
    /** The tokens that the member sees. `rendered`: what render() makes of the messages, if it is known. */
    tokenize(messages: readonly ChatMessage[], rendered?: string): Int32Array;
}

/**
 * @param template - `from` must have been resolved to the Jinja text before
 * @param owner - the model that the template comes from, whose `bos_token` and `eos_token` it means. Default: the member's own
 * @throws EftError TEMPLATE_INVALID, also from the renderer's functions
 */
export function createPromptRenderer(
    member: string,
    template: Exclude<PromptTemplate, { kind: "from" }>,
    model: NativeModel,
    owner = model,
): PromptRenderer {
    if (template.kind === "plain") {
        const render = (messages: readonly ChatMessage[]): string => messages.map(({ content }) => content).join("\n");
        return { render, tokenize: (messages, text = render(messages)) => tokenizePlain(model, text) };
    }
    const compiled = attempt(member, () => new Template(template.template));
    const special = specialTexts(owner);
    // The owner's BOS takes the place of the member's, if the member reads it as a token.
    const beginnings = [
        specialTexts(model).bos,
        ...(special.bos !== "" && spellsControlToken(model, special.bos) ? [special.bos] : []),
    ];
    const render = (messages: readonly ChatMessage[]): string =>
        attempt(member, () =>
            compiled.render({
                messages,
                add_generation_prompt: true,
                bos_token: special.bos,
                eos_token: special.eos,
            }),
        );
    return {
        render,
        tokenize: (messages, text = render(messages)) => tokenizeRendered(model, text, messages, beginnings),
    };
}

/**
 * Whether a text certainly has more tokens than `limit`, found out from its beginning alone. Tokenizers take quadratic
 * time on some texts (100 s for a megabyte), which a text that does not fit anyway should not cost.
 */
export function surelyExceeds(model: NativeModel, text: string, limit: number): boolean {
    // Sixteen characters a token are more than any language has; only repetitive texts need further looks.
    for (let length = 16 * limit; length < text.length; length *= 2) {
        // The cut may split the last word into a few tokens more.
        if (model.tokenize(text.slice(0, length), false, false).length > limit + 100) return true;
    }
    return false;
}

/** Tokens of a text with nothing around it but what the model's tokenizer itself adds in front (BOS). */
export function tokenizePlain(model: NativeModel, text: string): Int32Array {
    return withoutEos(model, model.tokenize(text, true, false), true);
}

function tokenizeRendered(
    model: NativeModel,
    rendered: string,
    messages: readonly ChatMessage[],
    beginnings: readonly string[],
): Int32Array {
    const addSpecial = !beginnings.some((bos) => bos !== "" && rendered.startsWith(bos));
    const pieces = isolateControlTokens(model, rendered, messages);
    const tokens = pieces.flatMap(({ text, parseSpecial }, index) => [
        ...model.tokenize(text, addSpecial && index === 0, parseSpecial),
    ]);
    return withoutEos(model, Int32Array.from(tokens), addSpecial);
}

/** The rendered text in one piece, unless a message spells a control token: then that message is a piece of its own. */
function isolateControlTokens(
    model: NativeModel,
    rendered: string,
    messages: readonly ChatMessage[],
): { text: string; parseSpecial: boolean }[] {
    const pieces: { text: string; parseSpecial: boolean }[] = [];
    let rest = rendered;
    for (const { content } of messages) {
        const at = rest.indexOf(content);
        if (at < 0 || !spellsControlToken(model, content)) continue;
        pieces.push({ text: rest.slice(0, at), parseSpecial: true }, { text: content, parseSpecial: false });
        rest = rest.slice(at + content.length);
    }
    pieces.push({ text: rest, parseSpecial: true });
    return pieces.filter(({ text }) => text !== "");
}

function spellsControlToken(model: NativeModel, text: string): boolean {
    const [parsed, plain] = [model.tokenize(text, false, true), model.tokenize(text, false, false)];
    return parsed.length !== plain.length || parsed.some((token, index) => token !== plain[index]);
}

/** Some tokenizers append EOS to every text; a prompt that ends there has nothing left to say. */
function withoutEos(model: NativeModel, tokens: Int32Array, addedSpecial: boolean): Int32Array {
    const { addEos, eos } = model.info;
    return addedSpecial && addEos && tokens.at(-1) === eos ? tokens.subarray(0, -1) : tokens;
}

function specialTexts(model: NativeModel): { bos: string; eos: string } {
    const text = (token: number): string => (token < 0 ? "" : (model.tokenTexts(token, token + 1)[0] ?? ""));
    return { bos: text(model.info.bos), eos: text(model.info.eos) };
}

function attempt<T>(member: string, body: () => T): T {
    try {
        return body();
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new EftError(
            "TEMPLATE_INVALID",
            `The prompt template of member ${member} cannot be rendered: ${reason}`,
            {
                cause: error,
            },
        );
    }
}
