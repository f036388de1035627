/** Messages that templates do not know, and what is no message. */

import { afterAll, describe, expect, test } from "@jest/globals";
import { toMessages, type ChatMessage } from "../../src/prompts/messages.js";
import type { JsonValue } from "../../src/types.js";
import { withRenderers, writeControlVocabulary } from "../helpers/control-vocabulary.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const controlFile = writeControlVocabulary(folder);

describe("what a template does not know", () => {
    const TURNS =
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}" +
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate') }}{% endif %}" +
        "[{{ m.role }}] {{ m.content | trim }}\n{% endfor %}";
    const render = async (
        template: string,
        messages: readonly ChatMessage[],
        variables: Record<string, JsonValue> = {},
    ) => {
        let made = "";
        await withRenderers(controlFile, [template], ([renderer]) => {
            made = `${renderer?.systemPrompt}: ${renderer?.render(messages, variables)}`;
        });
        return made;
    };
    const [system, user, answer] = [
        { role: "system", content: "Be brief." },
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Hello." },
    ] as const;

    test("a system role that is refused: the first question begins with the system prompt", async () => {
        expect(await render(TURNS, [system, user, answer, user])).toBe(
            "in the first question: [user] Be brief.\n\nHi\n[assistant] Hello.\n[user] Hi\n",
        );
        expect(await render(TURNS, [system, system, user])).toBe(
            "in the first question: [user] Be brief.\n\nBe brief.\n\nHi\n",
        );
        expect(await render(TURNS, [system])).toBe("in the first question: [user] Be brief.\n");
        expect(await render(TURNS, [system, answer])).toBe(
            "in the first question: [user] Be brief.\n[assistant] Hello.\n",
        );
        expect(await render(TURNS, [user])).toBe("in the first question: [user] Hi\n");
        await expect(render(TURNS, [user, user])).rejects.toMatchObject({
            code: "TEMPLATE_INVALID",
            message:
                "The prompt template of member m0 (written in the recipe) cannot be rendered: Roles must alternate",
        });
    });

    test("a template that says too much when it fails", async () => {
        const [failed] = await Promise.allSettled([render("{{ raise_exception('x' * 1000000) }}", [user])]);
        expect(failed).toMatchObject({ status: "rejected", reason: { code: "TEMPLATE_INVALID" } });
        expect(String((failed as PromiseRejectedResult).reason).length).toBeLessThan(1200);
    });

    test("a system role that is left out", async () => {
        const silent = "{% for m in messages if m.role != 'system' %}[{{ m.role }}] {{ m.content }}\n{% endfor %}";
        expect(await render(silent, [system, user])).toBe("left out: [user] Hi\n");
        expect(await render("{% for m in messages %}{{ m.content }}|{% endfor %}", [system, user])).toBe(
            "shown: Be brief.|Hi|",
        );
    });

    test("parts", async () => {
        const parts: ChatMessage = {
            role: "user",
            content: [
                { type: "text", text: "one" },
                { type: "text", text: "two" },
            ],
        };
        const asText = "{% for m in messages %}{{ m.content }}|{% endfor %}";
        const asParts = "{% for m in messages %}{% for p in m.content %}{{ p.text }},{% endfor %}|{% endfor %}";
        const asEither = `{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }},{% endfor %}{% endif %}|{% endfor %}`;
        expect(await render(asText, [parts, answer])).toBe("shown: one\ntwo|Hello.|");
        expect(await render(asParts, [parts, answer])).toBe("shown: one,two,|Hello.,|");
        expect(await render(asEither, [parts, answer])).toBe("shown: one,two,|Hello.|");
    });

    test("tools, their calls and what they say are data for templates that know them", async () => {
        const template =
            "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role }}:" +
            "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function.name }}({{ c.function.arguments | tojson }}){% endfor %}" +
            "{% else %}{{ m.content }}{% endif %}|{% endfor %}{{ 'think' if enable_thinking is not defined or enable_thinking else 'do not think' }}";
        const messages = toMessages([
            user,
            {
                role: "assistant",
                content: null,
                tool_calls: [{ function: { name: "weather", arguments: { city: "Lima" } } }],
            },
            { role: "tool", content: "21 degrees", tool_call_id: "1" },
        ]);
        expect(await render(template, messages)).toBe(
            'shown: user:Hi|assistant:weather({"city": "Lima"})|tool:21 degrees|think',
        );
        const variables = { tools: [{ name: "weather" }], enable_thinking: false };
        expect(await render(template, messages, variables)).toBe(
            'shown: [{"name": "weather"}]user:Hi|assistant:weather({"city": "Lima"})|tool:21 degrees|do not think',
        );
    });
});

describe("messages", () => {
    test.each<[string, unknown]>([
        ["no list", 5],
        ["no message", [null]],
        ["an unknown role", [{ role: "robot", content: "x" }]],
        ["no content", [{ role: "user" }]],
        ["content of a number", [{ role: "user", content: 5 }]],
        ["null of a user", [{ role: "user", content: null }]],
        ["an image", [{ role: "user", content: [{ type: "image_url", image_url: "x" }] }]],
        ["a function as data", [{ role: "user", content: "x", call: () => 1 }]],
        ["a number that is none", [{ role: "user", content: "x", n: NaN }]],
    ])("with %s are refused", (_name, prompt) => {
        expect(() => toMessages(prompt as string)).toThrow(/^prompt must be a text or a list of messages/);
    });

    test("that the caller changes afterwards are not changed", () => {
        const content = [{ type: "text", text: "one" } as { type: "text"; text: string }];
        const messages = toMessages([{ role: "user", content }]);
        content.push({ type: "text", text: "two" });
        expect(messages).toEqual([{ role: "user", content: [{ type: "text", text: "one" }] }]);
    });
});
