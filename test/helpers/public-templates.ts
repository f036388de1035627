/** Chat templates of well-known models, which llama.cpp has for its own tests and node-llama-cpp brings along. */

import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../../src/package.js";
import type { RenderSample } from "../../src/prompts/call-syntax.js";
import { compileTemplate, type Template } from "../../src/template/template.js";

interface LlamaSource {
    readonly extractLlamaSource: (target: string, paths: readonly string[]) => Promise<void>;
    readonly llamaRelease: () => Promise<string>;
}

/** Of Llama 2's chat models, which is not among llama.cpp's. */
export const LLAMA_2 =
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}" +
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}" +
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}" +
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}" +
    "{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";

const FOLDER = path.join("models", "templates");

/** File names and Jinja texts. They are unpacked once for each release of llama.cpp, which needs git. */
export async function readPublicTemplates(): Promise<ReadonlyMap<string, string>> {
    const script = path.join(packageRoot, "scripts", "llama-source.mjs");
    const { extractLlamaSource, llamaRelease } = (await import(script)) as LlamaSource;
    const target = path.join(packageRoot, "build", `templates-${await llamaRelease()}`);
    if (!existsSync(target)) {
        const unfinished = `${target}.${process.pid}`;
        await extractLlamaSource(unfinished, [FOLDER]);
        // Another test may have been quicker.
        if (!existsSync(target)) renameSync(unfinished, target);
    }
    const folder = path.join(target, FOLDER);
    const names = readdirSync(folder).filter((name) => name.endsWith(".jinja"));
    return new Map(names.map((name) => [name, readFileSync(path.join(folder, name), "utf8")]));
}

/** Renders conversations as a model does whose texts begin with `<s>` and end with `</s>`. @param template - or its Jinja text */
export function sampleOf(template: Template | string): RenderSample {
    const compiled = typeof template === "string" ? compileTemplate(template) : template;
    return (messages, variables, generation) =>
        compiled.render(
            { bos_token: "<s>", eos_token: "</s>" },
            { tools: null, documents: null, ...variables, messages, add_generation_prompt: generation },
            new Set(),
        ).text;
}
