/** From texts to tokens and back, as an ensemble sees them. */

import type { VocabularyReport } from "../models/vocabulary.js";
import { checkOptions, string, type OptionTable } from "../options.js";
import type { TokenTexts } from "../prompts/added-tokens.js";
import { toMessages, type ChatMessage } from "../prompts/messages.js";
import { answerTraits, checkVariables, renderPrompts } from "../prompts/prompt.js";
import { checkTokenIds } from "../prompts/token-ids.js";
import { tokenizeContinuation } from "../prompts/tokens.js";
import { checkToolChoice, checkTools } from "../tools/check-tools.js";
import type { ResolvedTool, Tool, ToolChoice } from "../tools/types.js";
import type { TemplateVariables, TokenIds } from "../types.js";
import type { Member } from "./members.js";

/** How messages are counted. */
export interface CountOptions {
    /** What the templates are given besides the messages; overlays what the recipe says. */
    readonly templateVariables?: TemplateVariables | undefined;
    /** What the prompt tells the model that it may call. Default: nothing. */
    readonly tools?: readonly Tool[] | undefined;
    /** Default `auto`. With `none` the prompt tells of no tools; nothing else of it counts. */
    readonly toolChoice?: ToolChoice | undefined;
}

/** Texts and tokens of an ensemble. */
export interface Tokenizer {
    /**
     * The tokens that say exactly this text, as in the middle of another: nothing is put in front, neither a token that begins
     * texts nor the space that some tokenizers add, so that {@link Tokenizer.detokenize} gives the text back, but for U+2581 where
     * that is a space to SentencePiece, and halves of surrogate pairs. No text becomes a control token, whatever it spells.
     *
     * The ids are those of the common vocabulary, and the tokenizer is that of the member that has the most of them. Long texts
     * are read on another thread.
     *
     * @throws EftError OPTION_INVALID, also for a line of more than a million characters where the tokenizer cannot take it; DISPOSED
     */
    tokenize(text: string): Promise<Int32Array>;
    /**
     * The text of tokens, as an answer made of them says it: control tokens have none (`tokenText` spells them out), and bytes
     * that are no whole character become U+FFFD.
     *
     * @param tokens - ids from 0 to `vocabulary.size - 1`
     * @throws EftError OPTION_INVALID, DISPOSED
     */
    detokenize(tokens: TokenIds): string;
    /**
     * How many tokens something has. A text is counted by itself, as {@link Tokenizer.tokenize} reads it. Messages are counted as
     * the prompt that `complete()` makes of them, template and control tokens included: where the members' prompts differ, that of
     * the longest, which has to fit into the context; the same number as `usage.promptTokens` of a completion with these options.
     *
     * @throws EftError OPTION_INVALID, TEMPLATE_INVALID, DISPOSED
     */
    countTokens(prompt: string | readonly ChatMessage[], options?: CountOptions): Promise<number>;
}

const COUNT_OPTIONS: OptionTable<CountOptions> = {
    templateVariables: checkVariables,
    tools: checkTools,
    toolChoice: checkToolChoice,
};

/** @param alive - throws if the ensemble has been disposed of */
export function createTokenizer(
    members: readonly Member[],
    vocabulary: Pick<VocabularyReport, "size">,
    texts: TokenTexts,
    alive: <T>(part: T) => T,
): Tokenizer {
    async function tokenize(text: string): Promise<Int32Array> {
        const checked = string("What tokenize reads", text);
        return tokenizeContinuation((alive(members)[texts.speaker] as Member).model, checked);
    }
    return {
        tokenize,
        detokenize(tokens) {
            const checked = checkTokenIds("tokens", tokens, vocabulary.size);
            return alive(texts).detokenize(checked, false).toString("utf8");
        },
        async countTokens(prompt, options = {}) {
            const { templateVariables: variables, ...checked } = checkOptions("countTokens", options, COUNT_OPTIONS);
            if (typeof prompt === "string") return (await tokenize(prompt)).length;
            const messages = toMessages(prompt, "What countTokens counts");
            const tools = checked.toolChoice === "none" ? [] : ((checked.tools ?? []) as readonly ResolvedTool[]);
            const use = tools.length === 0 ? undefined : { tools, syntax: answerTraits(alive(members)).syntax };
            const prompts = await renderPrompts(alive(members), messages, { variables, use, limit: Infinity });
            return Math.max(...prompts.map(({ tokens }) => tokens?.length ?? 0));
        },
    };
}
