/** What a model says of itself, and what is recognised of it. */

import { EftError } from "../errors.js";
import type { Verdict } from "../ensemble/check.js";
import { formatBytes } from "../models/bytes.js";
import { summarize } from "../models/gguf.js";
import { flaggedIds } from "../models/token-tables.js";
import type { NativeModel } from "../native/binding.js";
import { loadBinding } from "../native/load-binding.js";
import { plural } from "../plural.js";
import { answerTraits, createPromptRenderers, type PromptRenderer } from "../prompts/prompt.js";
import type { PromptTemplate } from "../types.js";

/** The longest list of tokens that is read by anybody. */
const MOST_LISTED = 8;
const QUESTION = { role: "user", content: "Which one is it?" } as const;
const ANSWER = "That one over there";

/** Architecture, sizes, and how the model keeps what it has read. */
export function describeFile(file: string): string {
    const header = loadBinding().readHeader(file);
    const { architecture, quantization, parameters, tensorBytes, layers, trainContextSize } = summarize(file, header);
    const window = header.entries.find(([key]) => key === `${architecture}.attention.sliding_window`)?.[1];
    return [
        [architecture, quantization ?? "mixed", `${Number((parameters / 1e6).toPrecision(3))} M parameters`].join(", "),
        `${formatBytes(tensorBytes)} in ${plural(layers, "layer")}`,
        ...(header.expertCount > 0 ? [`${plural(header.expertCount, "expert")}, ${header.expertsUsed} at a time`] : []),
        ...(typeof window === "number" && window > 0 ? [`sliding window of ${window} tokens`] : []),
        ...(trainContextSize === undefined ? [] : [`trained for ${plural(trainContextSize, "token")}`]),
    ].join("; ");
}

/**
 * The tokenizer, and the tokens that end a text.
 *
 * @param file - that of the model
 */
export function describeVocabulary(model: NativeModel, file: string): Verdict {
    const { vocabularyType, vocabularySize, addBos, bos } = model.info;
    const ends = [...flaggedIds(model.endOfGeneration())];
    const begin = addBos && bos >= 0 ? `texts begin with ${spell(model, bos)}` : "nothing is put in front of texts";
    const size = `${vocabularyType}, ${vocabularySize} ids; ${begin}`;
    // llama.cpp then cuts words as GPT-2 does, and says so in its log alone.
    const { entries } = loadBinding().readHeader(file);
    const [, pre = "default"] = entries.find(([key]) => key === "tokenizer.ggml.pre") ?? [];
    if (vocabularyType === "BPE" && pre === "default")
        return {
            warning:
                `${size}; the file does not say how texts are cut into words (tokenizer.ggml.pre), so that tokens may be other ones ` +
                "than in training: convert it with a newer release of llama.cpp",
        };
    if (ends.length === 0)
        return { warning: `${size}; no token ends a text, so that texts end at the most tokens that are asked for` };
    const listed = ends.slice(0, MOST_LISTED).map((id) => spell(model, id));
    const more = ends.length > MOST_LISTED ? ` and ${ends.length - MOST_LISTED} more` : "";
    return `${size}; they end with ${listed.join(", ")}${more}`;
}

/** How a model keeps what it has read, where that is no usual cache; it decides what can be taken back. */
export function describeMemoryOf({ info }: NativeModel): string | undefined {
    if (info.isHybrid) return "hybrid: some layers keep a state, which cannot be cut";
    return info.isRecurrent ? "recurrent: it keeps a state, which cannot be cut" : undefined;
}

/** @throws EftError TEMPLATE_INVALID, TEMPLATE_MISSING */
export function createRenderer(model: NativeModel, template: PromptTemplate): PromptRenderer {
    const [renderer] = createPromptRenderers([{ name: "model", model, template }]);
    return renderer as PromptRenderer;
}

/** What is understood of a template, as far as it has been shown a conversation. @throws EftError TEMPLATE_INVALID */
export async function describeTemplate(model: NativeModel, prompt: PromptRenderer): Promise<Verdict> {
    const tokens = await prompt.tokenize([QUESTION]);
    const { thinking, hasChannels } = answerTraits([{ prompt }]);
    const doubts = hasChannels ? [] : findDoubts(model, prompt);
    const facts = [
        `recognised: a question takes ${plural(tokens.length, "token")}`,
        `the system prompt is ${prompt.systemPrompt}`,
        prompt.script.calls?.syntax === undefined && !hasChannels
            ? "tools are told in plain text"
            : "tools are told and called in its own way",
        ...(hasChannels ? ["answers have channels"] : []),
        ...(thinking === undefined
            ? []
            : [`thoughts stand between ${thinking.begin.trim()} and ${thinking.end.trim()}`]),
    ];
    return doubts.length === 0 ? facts.join("; ") : { warning: [...facts, ...doubts].join("; ") };
}

/** What an answer ends with in the template, and whether the model's texts end with it. */
function findDoubts(model: NativeModel, prompt: PromptRenderer): string[] {
    const turns = [QUESTION, { role: "assistant", content: ANSWER } as const, QUESTION];
    let text: string;
    try {
        text = prompt.render(turns);
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        return [`it fails at a conversation of several turns (${error.message})`];
    }
    const [, behind] = text.split(ANSWER);
    if (behind === undefined) return ["it does not show earlier answers as they were"];
    const ends = model.endOfGeneration();
    const [first = -1] = model.tokenize(behind.trimStart(), false, true);
    return ends[first] === 1
        ? []
        : [`behind an answer it writes ${JSON.stringify(behind.slice(0, 20))}, which ends no text: answers may run on`];
}

/** `"<|im_end|>" (2)`. */
function spell(model: NativeModel, id: number): string {
    return `${JSON.stringify(model.tokenTexts(id, id + 1)[0])} (${id})`;
}
