/** Which templates write a space between a prompt and its answer. */

import { expect, test } from "@jest/globals";
import { spacesAnswers } from "../../src/prompts/answer-space.js";
import type { ChatMessage } from "../../src/prompts/messages.js";
import { compileTemplate } from "../../src/template/template.js";

const TURNS = "{% for m in messages %}{% if m.role == 'user' %}U {{ m.content }} A{% else %}";
const END = "{% endif %}{% endfor %}";

test.each<[string, string, boolean]>([
    ["Llama 2's", `${TURNS} {{ m.content }}</s>${END}`, true],
    ["one that trims", `${TURNS}{{ ' ' + m.content.strip() }}</s>${END}`, true],
    ["one without", `${TURNS}{{ m.content }}${END}`, false],
    ["one with a line end", `${TURNS}\n{{ m.content }}${END}`, false],
    [
        "one that begins thinking",
        `${TURNS} {{ m.content }}${END}{% if add_generation_prompt %}<think>{% endif %}`,
        false,
    ],
    ["one that leaves answers out", `${TURNS}${END}`, false],
    ["one that fails", "{{ raise_exception('no') }}", false],
])("%s", (_name, source, expected) => {
    const template = compileTemplate(source);
    const render = (messages: readonly ChatMessage[], _variables: unknown, isPrompt: boolean): string =>
        template.render({}, { messages, add_generation_prompt: isPrompt }, new Set()).text;
    expect(spacesAnswers(render as Parameters<typeof spacesAnswers>[0])).toBe(expected);
});
