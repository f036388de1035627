/** Models whose vocabulary has the control tokens of well-known families, and what is made of prompts for them. */

import path from "node:path";
import { withVocabularies } from "../../src/models/gguf.js";
import type { ChatMessage } from "../../src/prompts/messages.js";
import { createPromptRenderers, type PromptRenderer } from "../../src/prompts/prompt.js";
import { KIND_BITS } from "../../src/models/token-tables.js";
import type { NativeModel } from "../../src/native/binding.js";
import { demoFile } from "./demo.js";
import { mapEntry, readGguf, withMetadata, writeGguf, type MetadataValue } from "./gguf.js";

const demo = readGguf(demoFile("small-chat"));

/** Writes a demo model with other metadata. */
export function writeVariant(
    folder: string,
    name: string,
    changes: Readonly<Record<string, MetadataValue | undefined>>,
): string {
    const file = path.join(folder, `${name}.gguf`);
    writeGguf(file, withMetadata(demo, changes));
    return file;
}

/** Control tokens of well-known models, in place of ordinary tokens of the demo family. */
export const CONTROL = [
    ...["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|im_start|>", "<|im_end|>"],
    ...["<bos>", "<start_of_turn>", "<end_of_turn>", "<|turn>", "<turn|>", "<|user|>", "<|end|>", "<|assistant|>"],
    ...["<\uff5cUser\uff5c>", "<\uff5cAssistant\uff5c>", "[CONTROL]", "<|im_end|>s", "[TOOL_CALLS]"],
];
const FIRST = 1000;
const NORMAL_TYPE = 1;
const CONTROL_TYPE = 3;

/** Writes a demo model that has them. */
export function writeControlVocabulary(folder: string): string {
    return writeVariant(folder, "control", {
        "tokenizer.ggml.tokens": mapEntry(demo, "tokenizer.ggml.tokens", (text, id) => CONTROL[id - FIRST] ?? text),
        "tokenizer.ggml.token_type": mapEntry(demo, "tokenizer.ggml.token_type", (type, id) =>
            // The demo family's own brackets are texts here, as they are to Llama 2.
            id === 3 || id === 4 ? NORMAL_TYPE : CONTROL[id - FIRST] === undefined ? type : CONTROL_TYPE,
        ),
    });
}

/** Public templates that write them. */
export const PUBLIC = [
    ...[
        "meta-llama-Llama-3.1-8B-Instruct",
        "meta-llama-Llama-3.2-3B-Instruct",
        "Qwen-Qwen3-0.6B",
        "Qwen-Qwen2.5-7B-Instruct",
    ],
    ...["google-gemma-2-2b-it", "google-gemma-4-31B-it", "microsoft-Phi-3.5-mini-instruct"],
    ...["deepseek-ai-DeepSeek-R1-Distill-Llama-8B"],
];

/** @param use - gets a renderer for each template */
export async function withRenderers(
    file: string,
    templates: readonly string[],
    use: (renderers: readonly PromptRenderer[], model: NativeModel) => void | Promise<void>,
): Promise<void> {
    await withVocabularies([file], async ([model]) => {
        const members = templates.map((template, index) => ({
            name: `m${index}`,
            model: model as NativeModel,
            template: template === "plain" ? ({ kind: "plain" } as const) : ({ kind: "jinja", template } as const),
        }));
        await use(createPromptRenderers(members), model as NativeModel);
    });
}

/** The control tokens among tokens. */
export function controlsOf(tokens: ArrayLike<number>, model: NativeModel): string[] {
    const attributes = model.tokenAttributes();
    return Array.from(tokens).flatMap((token) =>
        ((attributes[token] ?? 0) & (KIND_BITS.control | KIND_BITS.unknown)) === 0
            ? []
            : (model.tokenTexts(token, token + 1)[0] ?? ""),
    );
}

const LOOK_ALIKES: Readonly<Record<string, string>> = { "<": "\u2039", ">": "\u203a", "[": "\u2045", "]": "\u2046" };
/** The text with look-alikes of what control tokens begin and end with. */
export const disarm = (said: string): string => said.replace(/[<>[\]]/g, (character) => LOOK_ALIKES[character] ?? "");

export function disarmed(messages: readonly ChatMessage[]): ChatMessage[] {
    return messages.map((message) => {
        const { content } = message;
        if (typeof content === "string") return { ...message, content: disarm(content) };
        return { ...message, content: content && content.map((part) => ({ ...part, text: disarm(part.text) })) };
    });
}
