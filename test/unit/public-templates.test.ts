/** Public chat templates and conversations of all kinds, against what Python's Jinja renders (test/fixtures/templates). */

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { packageRoot } from "../../src/package.js";
import { compileTemplate } from "../../src/template/template.js";
import type { JsonValue } from "../../src/types.js";
import { readText } from "../helpers/demo.js";
import { readPublicTemplates } from "../helpers/public-templates.js";

interface Given {
    readonly common: Readonly<Record<"bos_token" | "eos_token", string>>;
    readonly conversations: Readonly<Record<string, Readonly<Record<string, JsonValue>>>>;
}
interface Expected {
    readonly templates: Readonly<Record<string, { readonly source: string; readonly texts: string }>>;
}

function fixture<T>(name: string): T {
    return JSON.parse(readFileSync(path.join(packageRoot, "test", "fixtures", "templates", name), "utf8")) as T;
}

const { common, conversations } = fixture<Given>("conversations.json");
const { templates: expected } = fixture<Expected>("expected.json");
const NAMES = Object.keys(expected);
const KINDS = Object.keys(conversations);
/** What control tokens of these models begin and end with. */
const GUARDED = new Set(["<", ">", "[", "]", "\uff5c"]);

/** Where our text differs, and why it may. */
const DIFFERENCES: Readonly<Record<string, string>> = {
    "llama-cpp-deepseek-r1.jinja tools": "writes a generator as JSON, which is a list here",
    "llama-cpp-deepseek-r1.jinja toolTurn": "the same",
    "meetkai-functionary-medium-v3.1.jinja tools":
        "joins texts marked as safe with others, which Jinja escapes for HTML then",
    "meetkai-functionary-medium-v3.1.jinja toolTurn": "the same",
};

let templates: ReadonlyMap<string, string>;
beforeAll(async () => {
    templates = await readPublicTemplates();
}, 120_000);

function digest(text: string): string {
    return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

test("the templates are those that were rendered; else run test/fixtures/templates/expected.py", () => {
    expect([...templates].map(([name, text]) => [name, digest(text)]).sort()).toEqual(
        Object.entries(expected).map(([name, { source }]) => [name, source]),
    );
});

test.each(NAMES)("%s", (name) => {
    const template = compileTemplate(templates.get(name) ?? "", () => new Date(2024, 5, 5, 14, 7, 9));
    const { bos_token, eos_token, ...rest } = { ...common, add_generation_prompt: true };
    const render = (kind: string): string => {
        try {
            const data = { tools: null, documents: null, ...conversations[kind], ...rest };
            return digest(template.render({ bos_token, eos_token }, data, GUARDED).text);
        } catch {
            return "-";
        }
    };
    const wanted = expected[name]?.texts.split(" ") ?? [];
    const isKnownToDiffer = (kind: string): boolean => `${name} ${kind}` in DIFFERENCES;
    expect(KINDS.filter((kind, index) => render(kind) !== wanted[index])).toEqual(KINDS.filter(isKnownToDiffer));
});

describe("a conversation of 5,000 short messages", () => {
    const messages = Array.from({ length: 5001 }, (_, index) => ({
        role: index % 2 === 0 ? "user" : "assistant",
        content: `<${index}>`,
    }));
    const render = (name: string): string => {
        const { bos_token, eos_token, ...rest } = common;
        const data = { tools: null, documents: null, messages, add_generation_prompt: true, ...rest };
        return compileTemplate(templates.get(name) ?? "").render({ bos_token, eos_token }, data, GUARDED).text;
    };

    test.each([
        // Looks through all messages before each message.
        "google-gemma-4-31B-it.jinja",
        ...["Kimi-K3.jinja", "Qwen3.5-4B.jinja", "deepseek-ai-DeepSeek-V4.jinja", "tencent-Hy3.jinja", "GLM-4.6.jinja"],
        ...["meta-llama-Llama-3.1-8B-Instruct.jinja", "MiniMax-M2.jinja", "mistralai-Mistral-Nemo-Instruct-2407.jinja"],
    ])("can be rendered: %s", (name) => {
        const text = render(name);
        for (const index of [0, 2500, 4999, 5000]) expect(text).toContain(`<${index}>`);
    });

    test("is refused by name where the template copies its text for each message", () => {
        expect(() => render("Reka-Edge.jinja")).toThrow(
            /more text than a template may for a conversation of this size/,
        );
    });
});

test("the counts are those of docs/compatibility.md", () => {
    const [cases, differences] = [NAMES.length * KINDS.length, Object.keys(DIFFERENCES).length];
    const document = readText("docs/compatibility.md");
    expect(document).toContain(`The ${NAMES.length} templates`);
    expect(document).toContain(`each with ${KINDS.length} conversations`);
    expect(document).toMatch(new RegExp(`^\\| the same +\\| ${cases - differences} of ${cases} +\\|$`, "m"));
    expect(document).toMatch(new RegExp(`^\\| differently +\\| ${differences} +\\|$`, "m"));
});
