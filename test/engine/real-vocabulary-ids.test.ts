/**
 * Ids of texts and conversations in the vocabularies of well-known families, against the tokenizers that they come from. What differs is
 * llama.cpp's way, and of one kind each.
 */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Template } from "@huggingface/jinja";
import { readFileSync } from "node:fs";
import path from "node:path";
import type { ChatMessage, Ensemble, TemplateVariables } from "../../src/index.js";
import { flaggedIds } from "../../src/models/token-tables.js";
import type { NativeModel } from "../../src/native/binding.js";
import { loadOnCpu, repository } from "../helpers/demo.js";
import {
    FAMILIES,
    isFetched,
    REAL_FAMILIES,
    referenceTokenizer,
    type RealFamilyName,
    type Reference,
} from "../helpers/real-tokenizers.js";
import { writeRealFamily, type RealFamily } from "../helpers/real-vocabulary.js";

const TEXTS = Object.values(
    JSON.parse(readFileSync(path.join(repository, "test", "fixtures", "texts.json"), "utf8")) as Record<
        string,
        string[]
    >,
).flat();
const OPTIONS = { contextSize: 2048, trust: true };

/** As UTF-8 has it, where half of a surrogate pair has no place. */
const wellFormed = (text: string): string => Buffer.from(text).toString();
const isComposed = (text: string): boolean => text === text.normalize("NFC");

/** What the templates of chat models call the ends of a text. */
const SPECIAL: Readonly<Record<RealFamilyName, Readonly<Record<"bos_token" | "eos_token", string>>>> = {
    llama2: { bos_token: "<s>", eos_token: "</s>" },
    llama3: { bos_token: "<|begin_of_text|>", eos_token: "<|eot_id|>" },
    qwen3: { bos_token: "<|endoftext|>", eos_token: "<|im_end|>" },
    gemma3: { bos_token: "<bos>", eos_token: "<end_of_turn>" },
};

const user = (content: string): ChatMessage => ({ role: "user", content });
const assistant = (content: string): ChatMessage => ({ role: "assistant", content });
const system: ChatMessage = { role: "system", content: "You are brief.\n\nAnswer in French." };
const QUESTION = user("  Combien d’habitants a le Pérou ? 🦙 ");
const TURNS = [
    QUESTION,
    assistant("34 millions.\n\n- **2023**: 34,352,719"),
    user("Et le 日本?"),
    assistant("def f(x):\n    return x"),
    user("1+1=?"),
];
const TOOLS = [
    {
        type: "function",
        function: {
            name: "weather_in",
            description: "How the weather is — “today”.",
            parameters: {
                type: "object",
                properties: { city: { type: "string", enum: ["Lima", "Zürich"] } },
                required: ["city"],
            },
        },
    },
];
const CALLED: ChatMessage[] = [
    user("Is it sunny in Zürich?"),
    {
        role: "assistant",
        content: "",
        tool_calls: [
            { id: "abcdefgh1", type: "function", function: { name: "weather_in", arguments: { city: "Zürich" } } },
        ],
    },
    { role: "tool", content: '{"sunny": true}', tool_call_id: "abcdefgh1" },
];

interface Conversation {
    readonly messages: readonly ChatMessage[];
    readonly variables?: TemplateVariables;
}
const CONVERSATIONS: Readonly<Record<string, Conversation>> = {
    "a question": { messages: [QUESTION] },
    "a system prompt": { messages: [system, QUESTION] },
    "several turns": { messages: TURNS },
    "several turns with a system prompt": { messages: [system, ...TURNS] },
    "an answer of blanks and lines": {
        messages: [user("Go on"), assistant("    four\n\n\n  two\t"), user("\n\nAnd?\n")],
    },
};
const WITH_TOOLS: Readonly<Record<string, Conversation>> = {
    tools: { messages: [QUESTION], variables: { tools: TOOLS } },
    "tools and a system prompt": { messages: [system, QUESTION], variables: { tools: TOOLS } },
    "a call and its result": { messages: CALLED, variables: { tools: TOOLS } },
    "an answer to a result": { messages: [...CALLED, assistant("Oui."), user("Merci!")], variables: { tools: TOOLS } },
};
const WITH_THOUGHTS: Readonly<Record<string, Conversation>> = {
    "with thinking": { messages: TURNS, variables: { enable_thinking: true } },
    "without thinking": { messages: TURNS, variables: { enable_thinking: false } },
    "an answer with thoughts": { messages: [QUESTION, assistant("<think>\nHmm\n</think>\n\n34"), user("Sûr?")] },
};
const conversationsOf = (name: RealFamilyName): Readonly<Record<string, Conversation>> => ({
    ...CONVERSATIONS,
    ...((name === "llama3" || name === "qwen3") && WITH_TOOLS),
    ...(name === "qwen3" && WITH_THOUGHTS),
});

for (const name of REAL_FAMILIES) (isFetched(name) ? describe : describe.skip)(name, () => checkFamily(name));

function checkFamily(name: RealFamilyName): void {
    let family: RealFamily;
    let ensemble: Ensemble;
    let model: NativeModel;
    let reference: Reference;
    beforeAll(async () => {
        family = await writeRealFamily(name);
        reference = referenceTokenizer(name);
        ensemble = await loadOnCpu(family.recipe(), OPTIONS);
        model = (ensemble.members[1] as (typeof ensemble.members)[number]).model;
    });
    afterAll(async () => {
        await ensemble.dispose();
        family.remove();
    });

    /** Texts that get other ids. */
    function findOthers(controlIsText: boolean): string[] {
        const read = controlIsText ? referenceTokenizer(name, true) : reference;
        return TEXTS.filter(
            (text) => model.tokenize(text, false, !controlIsText).join() !== read(wellFormed(text)).join(),
        );
    }

    test("texts, where what spells a control token is text", () => {
        const others = findOthers(true);
        // Qwen's tokenizer composes characters, llama.cpp's does not. `</s>` is a word of HTML to Gemma's, and is none to llama.cpp.
        if (name === "qwen3") expect(others).toEqual(TEXTS.filter((text) => !isComposed(text)));
        else expect(others).toEqual(name === "gemma3" ? TEXTS.filter((text) => text.includes("</s>")) : []);
    });

    test("texts, where it is one", () => {
        const others = findOthers(false);
        // llama.cpp takes `</s>` for a control token in every vocabulary that has it.
        if (name === "qwen3")
            expect(others).toEqual(TEXTS.filter((text) => !isComposed(text) || text.includes("</s>")));
        // That of pictures, which the small model lacks.
        else expect(others).toEqual(name === "gemma3" ? ["<image_soft_token>"] : []);
    });

    test("what begins a text", () => {
        const begins = { llama2: [1], llama3: [128_000], qwen3: [], gemma3: [2] }[name];
        expect([...model.tokenize("Hello", true, false)]).toEqual([...begins, ...reference("Hello")]);
    });

    test("ids say their texts", async () => {
        // SentencePiece's sign for a space is one to its tokenizers.
        const isSentencePiece = FAMILIES[name].model === "llama";
        const read = (text: string) => (isSentencePiece ? text.replaceAll("\u2581", " ") : text);
        for (const text of TEXTS)
            expect(ensemble.detokenize(await ensemble.tokenize(text))).toBe(read(wellFormed(text)));
    });

    test.each(Object.entries(conversationsOf(name)))(
        "a conversation: %s",
        async (_name, { messages, variables = {} }) => {
            const rendered = new Template(family.template).render({
                ...{ tools: null, ...SPECIAL[name], ...variables },
                ...{ messages, add_generation_prompt: true },
            });
            const expected = reference(rendered);
            for (const { prompt } of ensemble.members) {
                expect(prompt.render(messages, variables)).toBe(rendered);
                const own = [...(await prompt.tokenize(messages, variables))];
                expect(own).toEqual(expected);
            }
        },
    );

    test("no message becomes a control token", async () => {
        const control = new Set(flaggedIds(ensemble.vocabulary.controlTokens));
        const count = async (content: string): Promise<number> => {
            const ids = await (ensemble.members[0] as (typeof ensemble.members)[number]).prompt.tokenize([
                user(content),
            ]);
            return ids.filter((id) => control.has(id)).length;
        };
        const harmless = await count("Hello");
        for (const text of TEXTS.filter((each) => each.trim() !== ""))
            expect([text, await count(text)]).toEqual([text, harmless]);
    });
}
