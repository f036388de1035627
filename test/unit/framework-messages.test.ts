/** What frameworks ask for, as options and messages of a completion, and what they are warned of. */

import { describe, expect, test } from "@jest/globals";
import type { LanguageModelV3CallOptions, LanguageModelV3Message } from "@ai-sdk/provider";
import {
    AIMessage,
    ChatMessage as RoleMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    type BaseMessage,
} from "@langchain/core/messages";
import { toCompletionOptions } from "../../src/ai-sdk/prompt.js";
import type { ChatMessage } from "../../src/prompts/messages.js";
import { toChatMessage, toToolChoice, toTools } from "../../src/langchain/messages.js";

const call = {
    role: "assistant",
    content: null,
    tool_calls: [{ id: "a", type: "function", function: { name: "weather", arguments: { city: "Lima" } } }],
};

describe("the AI SDK's", () => {
    const options = (call: Partial<LanguageModelV3CallOptions>) => toCompletionOptions({ prompt: [], ...call });
    const text = (text: string) => ({ type: "text" as const, text });
    const image = { type: "file" as const, mediaType: "image/png", data: new Uint8Array(3) };
    const toolCall = { type: "tool-call" as const, toolCallId: "a", toolName: "weather", input: { city: "Lima" } };
    const results = [
        { type: "text", value: "sunny" },
        { type: "json", value: { sun: [1] } },
        { type: "error-text", value: "no such city" },
        { type: "error-json", value: null },
        { type: "execution-denied", reason: "not today" },
        { type: "content", value: [text("sunny"), text("and warm")] },
    ] as const;

    test.each<[string, LanguageModelV3Message, readonly object[]]>([
        ["a system prompt", { role: "system", content: "Be brief." }, [{ role: "system", content: "Be brief." }]],
        ["a text", { role: "user", content: [text("Hi")] }, [{ role: "user", content: "Hi" }]],
        [
            "texts",
            { role: "user", content: [text("a"), text("b")] },
            [{ role: "user", content: [text("a"), text("b")] }],
        ],
        [
            "an answer with thoughts",
            { role: "assistant", content: [{ type: "reasoning", text: "Hm." }, text("Li"), text("ma")] },
            [{ role: "assistant", content: "Lima", reasoning_content: "Hm." }],
        ],
        ["a call", { role: "assistant", content: [toolCall] }, [call]],
        ["a call with words", { role: "assistant", content: [text("Well"), toolCall] }, [{ ...call, content: "Well" }]],
        [
            "results",
            {
                role: "tool",
                content: results.map((output) => ({
                    type: "tool-result",
                    toolCallId: "a",
                    toolName: "weather",
                    output: output as never,
                })),
            },
            ["sunny", '{"sun":[1]}', "no such city", "null", "The call was denied: not today", "sunny\nand warm"].map(
                (content) => ({ role: "tool", content, tool_call_id: "a", name: "weather" }),
            ),
        ],
    ])("message: %s", (_name, message, expected) => {
        const { options: completion, warnings } = options({ prompt: [message] });
        expect(completion.prompt).toEqual(expected);
        expect(warnings).toEqual([]);
    });

    test.each<[string, Partial<LanguageModelV3CallOptions>, string]>([
        ["an image", { prompt: [{ role: "user", content: [text("Hi"), image, image] }] }, "files in messages"],
        [
            "a file of a tool",
            {
                prompt: [
                    {
                        role: "tool",
                        content: [
                            {
                                ...{ type: "tool-result", toolCallId: "a", toolName: "b" },
                                output: { type: "content", value: [{ type: "file-url", url: "https://example.org" }] },
                            },
                        ],
                    },
                ],
            },
            "files in results of tools",
        ],
        [
            "a call that another provider has made",
            { prompt: [{ role: "assistant", content: [{ ...toolCall, providerExecuted: true }] }] },
            "tool-call of another provider in a message of the assistant",
        ],
        [
            "a tool of another provider",
            {
                tools: [{ type: "provider", id: "openai.web_search", name: "web_search", args: {} }],
                toolChoice: { type: "required" },
            },
            "provider-defined tool openai.web_search",
        ],
    ])("warning: %s", (_name, given, feature) => {
        const { options: completion, warnings } = options(given);
        expect(warnings).toEqual([expect.objectContaining({ type: "unsupported", feature })]);
        expect(completion.tools).toBeUndefined();
        expect(completion.toolChoice).toBeUndefined();
    });

    test("tools and choices", () => {
        const inputSchema = { type: "object" as const };
        const tools = [{ type: "function" as const, name: "a", description: "b", inputSchema }];
        const choices = (["auto", "none", "required"] as const).map((type) => ({ type }));
        for (const toolChoice of choices)
            expect(options({ tools, toolChoice }).options).toMatchObject({
                tools: [{ name: "a", description: "b", parameters: inputSchema }],
                toolChoice: toolChoice.type,
            });
        expect(options({ tools, toolChoice: { type: "tool", toolName: "a" } }).options.toolChoice).toEqual({
            tool: "a",
        });
        const json = { tools, responseFormat: { type: "json" as const } };
        expect(options(json).options.jsonSchema).toBe(true);
        expect(options({ ...json, toolChoice: { type: "required" } }).options.jsonSchema).toBeUndefined();
    });

    test.each([
        [undefined, {}],
        ["provider-default", {}],
        ["none", { enable_thinking: false, own: 1 }],
        ["high", { enable_thinking: true, reasoning_effort: "high", own: 1 }],
    ])("reasoning %s", (reasoning, expected) => {
        const given = { reasoning, providerOptions: { eft: { templateVariables: { own: 1 } } } };
        expect(options(given as object).options.templateVariables).toEqual({ own: 1, ...expected });
    });
});

describe("LangChain's", () => {
    test.each<[string, BaseMessage, Partial<ChatMessage>]>([
        ["a system prompt", new SystemMessage("Be brief."), { role: "system", content: "Be brief." }],
        ["a text", new HumanMessage("Hi"), { role: "user", content: "Hi" }],
        [
            "blocks",
            new HumanMessage({
                content: [
                    { type: "text", text: "a" },
                    { type: "text", text: "b" },
                ],
            }),
            { role: "user", content: "a\nb" },
        ],
        ["a role", new RoleMessage("Hi", "user"), { role: "user", content: "Hi" }],
        [
            "an answer with thoughts",
            new AIMessage({
                content: [
                    { type: "reasoning", reasoning: "Hm." },
                    { type: "text", text: "Lima" },
                ],
            }),
            { role: "assistant", content: "Lima", reasoning_content: "Hm." },
        ],
        [
            "thoughts as other models give them",
            new AIMessage({ content: "Lima", additional_kwargs: { reasoning_content: "Hm." } }),
            { role: "assistant", content: "Lima", reasoning_content: "Hm." },
        ],
        [
            "a call",
            new AIMessage({ content: "", tool_calls: [{ id: "a", name: "weather", args: { city: "Lima" } }] }),
            call as never,
        ],
        [
            "a call that is a block too",
            new AIMessage({
                content: [
                    { type: "text", text: "Well" },
                    { type: "tool_use", id: "a", name: "weather", input: "{}" },
                ],
                tool_calls: [{ id: "a", name: "weather", args: { city: "Lima" } }],
            }),
            { ...call, content: "Well" } as never,
        ],
        [
            "a result",
            new ToolMessage({ content: "sunny", tool_call_id: "a", name: "weather" }),
            { role: "tool", content: "sunny", tool_call_id: "a", name: "weather" },
        ],
    ])("message: %s", (_name, message, expected) => {
        const defined = Object.entries(toChatMessage(message)).filter(([, value]) => value !== undefined);
        expect(Object.fromEntries(defined)).toEqual(expected);
    });

    test.each<[string, () => unknown, RegExp]>([
        [
            "an image",
            () => toChatMessage(new HumanMessage({ content: [{ type: "image_url", image_url: "x" }] })),
            /"image_url"; the members read text/,
        ],
        [
            "an old function",
            () => toChatMessage(new FunctionMessage({ content: "x", name: "f" })),
            /kind "function" has no place/,
        ],
        ["an unknown role", () => toChatMessage(new RoleMessage("x", "narrator")), /kind "narrator" has no place/],
        ["a tool of another provider", () => toTools([{ type: "web_search" }]), /tools takes LangChain's tools/],
        ["another choice", () => toToolChoice({ type: "any" }), /tool_choice must be/],
    ])("refuses %s", (_name, convert, message) => {
        expect(convert).toThrow(
            expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(message) }),
        );
    });

    test("choices", () => {
        const named = { type: "function", function: { name: "weather" } };
        expect(["auto", "none", "any", "required", "weather", named].map((choice) => toToolChoice(choice))).toEqual([
            "auto",
            "none",
            "required",
            "required",
            { tool: "weather" },
            { tool: "weather" },
        ]);
    });
});
