/** Answers whose parts name their channels, as gpt-oss writes them: thoughts, calls and text. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { tryCalls, type RenderSample } from "../../src/prompts/call-syntax.js";
import { CHANNEL_MARKS, CHANNEL_SYNTAX, tryChannels, withThoughts } from "../../src/prompts/channels.js";
import type { ChatMessage } from "../../src/prompts/messages.js";
import { withCalls } from "../../src/prompts/tool-messages.js";
import { compileTemplate } from "../../src/template/template.js";
import { createAnswerReader } from "../../src/tools/answer-reader.js";
import { callGrammar } from "../../src/tools/call-grammar.js";
import { collect, complete, createChat, type Ensemble } from "../../src/index.js";
import { cut, readPieces, TEXT_MARKS, type AnswerSetup, type ReadAnswer } from "../helpers/answers.js";
import { loadOnCpu } from "../helpers/demo.js";
import { UPSCALING_MODELS, writeFloat32Family } from "../helpers/float32.js";
import { createReader } from "../helpers/grammar-texts.js";
import { readPublicTemplates } from "../helpers/public-templates.js";

const setup: AnswerSetup = { hasChannels: true, tools: ["now", "find"] };
const channel = (name: string, text: string): string => `<|channel|>${name}<|message|>${text}`;
const next = "<|end|><|start|>assistant";
const LIMA = { id: undefined, name: "find", arguments: { city: "Lima" } };
const FIND = '<|channel|>commentary to=functions.find <|constrain|>json<|message|>{"city": "Lima"}';

const NO_TOOL = FIND.replace("find", "rm");

/** The same in pieces of any length. */
function read(answer: string, own: Partial<AnswerSetup> = {}): ReadAnswer {
    const all = [1, 2, 5, 1000].map((length) => readPieces(cut(answer, [length]), { ...setup, ...own }));
    for (const each of all) expect(each).toEqual(all[0]);
    return all[0] as ReadAnswer;
}

describe("an answer is read by its channels", () => {
    test.each<[string, string, string, string, unknown[]]>([
        ["what is said", channel("final", "Lima < Quito."), "Lima < Quito.", "", []],
        ["a thought", channel("analysis", "It is\nthis."), "", "It is\nthis.", []],
        ["both", `${channel("analysis", "Hm.")}${next}${channel("final", "Lima.")}`, "Lima.", "Hm.", []],
        ["a call", FIND, "", "", [LIMA]],
        [
            "a call as templates write it",
            FIND.replace(/.*constrain\|>json/, " to=functions.find<|channel|>commentary json"),
            "",
            "",
            [LIMA],
        ],
        ["a thought and a call", `${channel("analysis", "Hm.")}${next}${FIND}`, "", "Hm.", [LIMA]],
        ["words in front of a call", `${channel("commentary", "I look.")}${next}${FIND}`, "I look.", "", [LIMA]],
        ["two calls", `${FIND}${next}${FIND}`, "", "", [LIMA, LIMA]],
        ["a call and what is said", `${FIND}${next}${channel("final", "Ok.")}`, "Ok.", "", [LIMA]],
        ["text without a channel", "Lima.", "Lima.", "", []],
        [
            "text that nothing ends",
            `${channel("commentary", "I look.")}${channel("final", "Lima.")}`,
            "I look.Lima.",
            "",
            [],
        ],
        [
            "a thought that nothing ends",
            `${channel("analysis", "Hm.")}${channel("final", "Lima.")}`,
            "Lima.",
            "Hm.",
            [],
        ],
        [
            "a thought, and a turn that nothing divides",
            `${channel("analysis", "Hm.")}<|start|>assistant${FIND}`,
            "",
            "Hm.",
            [LIMA],
        ],
        ["a part without a channel", "<|start|>xanalysis<|message|>Lima.", "Lima.", "", []],
        ["a call without a channel", '<|start|>assistant to=functions.find<|message|>{"city": "Lima"}', "", "", [LIMA]],
        ["a call of no tool", NO_TOOL, NO_TOOL, "", []],
        [
            "words in front of a call of no tool",
            `${channel("commentary", "So: ")}${next}${NO_TOOL}`,
            `So: ${NO_TOOL}`,
            "",
            [],
        ],
        [
            "a call that another part breaks off",
            `${FIND.slice(0, -3)}${channel("final", "Ok.")}`,
            `${FIND.slice(0, -3)}Ok.`,
            "",
            [],
        ],
        ["what stands behind a call", `${FIND} so ${next}${channel("final", "Ok.")}`, "Ok.", "", [LIMA]],
        ["text behind a part", `${channel("final", "Lima.")}<|end|> Yes.`, "Lima. Yes.", "", []],
        ["a call that was cut off", FIND.slice(0, -3), "", "", []],
        ["a header that was cut off", `${channel("analysis", "Hm.")}${next}<|channel|>fi`, "", "Hm.", []],
        ["a header without marks that was cut off", "to=functions.fi", "", "", []],
        ["two channels in a header", `<|channel|>analysis${channel("final", "Lima.")}`, "Lima.", "", []],
        ["two channels in a header, the other way", `<|channel|>final${channel("analysis", "Hm.")}`, "", "Hm.", []],
        ["a call of the last channel", `<|start|>assistant<|channel|>analysis${FIND}`, "", "", [LIMA]],
        [
            "a channel behind that of a call",
            `<|channel|>commentary to=functions.find${channel("final", "Lima.")}`,
            "Lima.",
            "",
            [],
        ],
        [
            "a channel that ends without a message",
            `<|channel|>analysis${next}${channel("final", "Lima.")}`,
            "Lima.",
            "",
            [],
        ],
        [
            "a header that another turn breaks off",
            `<|channel|>analysis<|start|>assistant${channel("final", "Lima.")}`,
            "Lima.",
            "",
            [],
        ],
        [
            "a call that ends without a message",
            `<|channel|>commentary to=functions.now${next}${channel("final", "Lima.")}`,
            "Lima.",
            "",
            [],
        ],
        [
            "a turn without anything",
            `<|start|>assistant<|end|><|start|>assistant${channel("final", "Lima.")}`,
            "Lima.",
            "",
            [],
        ],
        ["text behind a header without a message", "<|channel|>final<|end|>Lima.", "Lima.", "", []],
        ["a message without a header", "<|message|>Lima.", "Lima.", "", []],
        [
            "words that begin as a call, and a part",
            `to=functions.x is it.<|end|>${channel("final", " Lima.")}`,
            "to=functions.x is it. Lima.",
            "",
            [],
        ],
    ])("%s", (what, answer, text, thinking, calls) => {
        for (const isCutOff of what.includes("cut off") ? [true] : [true, false]) {
            const result = read(answer, { isCutOff });
            expect([result.text, result.thinking, result.calls]).toEqual([text, thinking, calls]);
        }
    });

    test.each([next, "<|end|><|start|>", "<|end|>", "<|end|>\n", `${next}<|channel|>final`, "<|channel|>final"])(
        "what only begins a part is no text: %j",
        (rest) => {
            for (const isCutOff of [true, false])
                expect(read(`${channel("final", "Lima.")}${rest}`, { isCutOff }).text).toBe("Lima.");
            for (let length = 1; length < rest.length; length++)
                expect(read(`${channel("final", "Lima.")}${rest.slice(0, length)}`).text).toBe("Lima.");
        },
    );

    test.each(["t", "to", "to the", "to=functions", " to"])(
        "what may yet become a call of no name is text: %j",
        (answer) => {
            for (const isCutOff of [true, false]) {
                expect(read(answer, { isCutOff }).text).toBe(answer);
                expect(read(`${channel("final", "Lima")}<|end|>${answer}`, { isCutOff }).text).toBe(`Lima${answer}`);
            }
        },
    );

    test("without tools, words that look like a call are text, and none is held back", () => {
        const answer = "to=functions.x is the name";
        for (const isCutOff of [true, false]) expect(read(answer, { isCutOff, tools: [] }).text).toBe(answer);
        for (let length = 1; length < answer.length; length++)
            expect(read(answer.slice(0, length), { tools: [] }).text).toBe(answer.slice(0, length));
    });

    test("a call that the model leaves unfinished is text, and stop texts are looked for in what is said", () => {
        expect(read(FIND.slice(0, -3), { isCutOff: false }).text).toContain('{"city": "Li');
        const answer = `${channel("analysis", "a. b")}${next}${channel("final", "c. d")}`;
        expect(read(answer, { stop: ["."] })).toMatchObject({ text: "c", thinking: "a. b", stoppedBy: "." });
        for (const between of [next, "<|start|>assistant", "", `${next}${channel("analysis", "Hm.")}${next}`]) {
            const parts = `${channel("commentary", "xa")}${between}${channel("final", "by")}`;
            expect(read(parts, { stop: ["ab"] })).toMatchObject({ text: "xaby", stoppedBy: undefined });
        }
        expect(read(`${channel("final", "xa")}<|end|>by`, { stop: ["ab"] }).text).toBe("xaby");
    });
});

test("tokens of thoughts are counted as those between tags are: from the end of the mark in front to the mark behind", () => {
    const count = (pieces: readonly string[]): number => {
        const reader = createAnswerReader({ detokenize: (ids) => Buffer.from(pieces[ids[0] ?? -1] ?? "") }, [], {
            ...{ marks: TEXT_MARKS, thinking: undefined, beginsThinking: false, form: "free", calls: undefined },
            channels: { marks: CHANNEL_MARKS, names: new Set(["find"]) },
        });
        pieces.forEach((_, index) => reader.push(index));
        return reader.thinkingTokens;
    };
    const thought = ["<|channel|>", "analysis", "<|message|>", "a", " b"];
    const said = ["<|start|>", "assistant", "<|channel|>", "final", "<|message|>", "c"];
    expect(count([...thought, "<|end|>", ...said])).toBe(4);
    expect(count([...thought, ...said])).toBe(4);
    expect(count([`${thought.join("")}<|end|>`, ...said])).toBe(1);
    expect(count(said)).toBe(0);
});

describe("gpt-oss's template", () => {
    let render: RenderSample;
    beforeAll(async () => {
        const source = (await readPublicTemplates()).get("openai-gpt-oss-120b.jinja") as string;
        const template = compileTemplate(source);
        render = (messages, variables, isAnswer) =>
            template.render({}, { ...variables, messages, add_generation_prompt: isAnswer }, new Set()).text;
    });

    test("is known, and what it writes is read", () => {
        expect(tryChannels(render)).toBe(true);
        const traits = tryCalls(render, ["<|call|>", "<|return|>"], tryChannels(render));
        expect(traits).toEqual({ syntax: CHANNEL_SYNTAX, wantsText: false, isSingle: true });
        const question: ChatMessage = { role: "user", content: "Where?" };
        const called: ChatMessage = {
            ...{ role: "assistant", content: "I look.", reasoning_content: "Hm." },
            tool_calls: [{ id: "1", type: "function", function: { name: "find", arguments: { city: "Lima" } } }],
        };
        const answer = (message: ChatMessage, end: string): string => {
            const text = render(withCalls(withThoughts([question, message]), traits!), {}, false);
            const from = text.indexOf("<|start|>assistant", text.indexOf("Where?")) + "<|start|>assistant".length;
            return text.slice(from, text.lastIndexOf(end));
        };
        expect(read(answer(called, "<|call|>"))).toMatchObject({ text: "", thinking: "Hm.", calls: [LIMA] });
        const said: ChatMessage = { role: "assistant", content: "Lima.", reasoning_content: "Hm." };
        expect(read(answer(said, "<|return|>"))).toMatchObject({ text: "Lima.", thinking: "Hm.", calls: [] });
    });

    test("calls are forced as models write them", () => {
        const tool = { name: "find", description: undefined, parameters: { properties: { city: { const: "Lima" } } } };
        const isCall = createReader(
            readGbnf(`root ::= calls\n${callGrammar([tool], CHANNEL_SYNTAX, TEXT_MARKS, false)}`),
        );
        expect([isCall(FIND), isCall(`${FIND}${FIND}`), isCall(FIND.replace("json", ""))]).toEqual([
            true,
            false,
            false,
        ]);
    });
});

describe.each([
    ["shows tools and calls", true, true],
    ["shows calls", false, true],
    ["shows neither", false, false],
])("an ensemble with such a template, which %s", (_what, showsTools, showsCalls) => {
    const calls =
        "{% if m.tool_calls %} to=functions.{{ m.tool_calls[0].function.name }}<|channel|>commentary json<|message|>" +
        "{{ m.tool_calls[0].function.arguments | tojson }}<|call|>{% else %}";
    const template =
        `{{ bos_token }}{% for m in messages %}<|start|>{{ m.role }}${showsCalls ? calls : "{% if true %}"}` +
        "{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>{{ m.content }}<|end|>{% endif %}{% endfor %}" +
        (showsTools ? "{% for t in tools or [] %}{{ t.function.description }}{% endfor %}" : "") +
        "{% if add_generation_prompt %}<|start|>assistant{% endif %}";
    const family = writeFloat32Family(UPSCALING_MODELS);
    let ensemble: Ensemble;
    beforeAll(async () => {
        const recipe = `members: { chat: { model: small-chat.gguf } }\ncombination: chat\nprompt: { template: ${JSON.stringify(template)} }\n`;
        ensemble = await loadOnCpu(family.recipe(recipe), { contextSize: 1024 });
    });
    afterAll(async () => {
        await ensemble.dispose();
        family.remove();
    });

    test("tells of the tools", async () => {
        const tools = [{ name: "find", description: "It finds.", parameters: {} }];
        const { promptTokens } = await collect(complete(ensemble, { prompt: "Where?", maxTokens: 1 }));
        const told = await collect(complete(ensemble, { prompt: "Where?", maxTokens: 1, tools }));
        expect(told.promptTokens.chat).toBeGreaterThan(promptTokens.chat ?? 0);
    });

    test("calls what is forced, goes on from the result, and answers in JSON on the final channel", async () => {
        const parameters = { type: "object", properties: { city: { enum: ["Lima"] } }, required: ["city"] };
        const tools = [{ name: "find", description: "Finds.", parameters }];
        const chat = createChat(ensemble, { tools, seed: 1 });
        const { toolCalls, text, reason } = await collect(chat.send("Where?", { toolChoice: "required" }));
        expect([toolCalls.map(({ name, arguments: values }) => [name, values]), text, reason]).toEqual([
            [["find", { city: "Lima" }]],
            "",
            "tool-calls",
        ]);
        const results = toolCalls.map(({ id }) => ({ id, result: "Peru" }));
        await collect(chat.sendResults(results, { toolChoice: "none", maxTokens: 3 }));
        const jsonSchema = {
            type: "object",
            properties: { a: { enum: ["x", "y"] } },
            required: ["a"],
            additionalProperties: false,
        } as const;
        for (const own of [{}, { tools }]) {
            const answer = await collect(complete(ensemble, { prompt: "Where?", jsonSchema, seed: 1, ...own }));
            if (answer.toolCalls.length === 0)
                expect(JSON.parse(answer.text)).toEqual({ a: expect.stringMatching(/x|y/) });
            else expect(answer.text).toBe("");
        }
    });
});
