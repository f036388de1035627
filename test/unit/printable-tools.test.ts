/** Tools are shown by every template that knows tools, whatever their schemas say and leave out. */

import { beforeAll, describe, expect, test } from "@jest/globals";
import { Ajv2020 } from "ajv/dist/2020.js";
import { tryCalls, type RenderSample } from "../../src/prompts/call-syntax.js";
import { showTools, toPrintable } from "../../src/prompts/printable-tools.js";
import { toolsVariable } from "../../src/prompts/tool-messages.js";
import { compileTemplate } from "../../src/template/template.js";
import type { ResolvedTool } from "../../src/tools/types.js";
import { readPublicTemplates, sampleOf } from "../helpers/public-templates.js";

const about = "What it is.";
const argument = (a: unknown, more = {}) => ({ type: "object", properties: { a }, required: ["a"], ...more });
const tool = (name: string, parameters: unknown, description: string | undefined = about) =>
    ({ name, description, parameters }) as ResolvedTool;

const SCHEMAS: Readonly<Record<string, unknown>> = {
    "an argument without a description": argument({ type: "string" }),
    "enum without a type": argument({ enum: ["x", 1], description: about }),
    "const without a type": argument({ const: 5 }),
    anyOf: argument({ anyOf: [{ type: "string" }, { type: "number" }] }),
    oneOf: argument({ oneOf: [{ type: "string" }, argument({ type: "null" })] }),
    anything: argument({}),
    "anything, as true": argument(true),
    "several types": argument({ type: ["string", "null"], description: about }),
    "several types beside anyOf": argument({ type: ["string", "null"], anyOf: [{ minLength: 2 }, { const: null }] }),
    "nothing but null": argument({ type: "null" }),
    "a list of anything": argument({ type: "array" }),
    "a tuple": argument({ type: "array", prefixItems: [{ type: "string" }, true], items: false }),
    "an object": argument({ ...argument({ type: "boolean" }), additionalProperties: false }),
    "a mapping": argument({ type: "object", additionalProperties: { type: ["number", "null"] } }),
    "a reference": argument({ $ref: "#/$defs/n" }, { $defs: { n: { type: ["integer", "null"] } } }),
    "a default": argument({ type: "string", default: null }),
    "no properties": { type: "object" },
    "nothing said": {},
    "alternatives as a whole": { anyOf: [argument({ type: "string" }), argument({ type: "number" })] },
    "none required": { type: "object", properties: { a: { type: "string" } } },
};

describe("templates that know tools show", () => {
    let renders: readonly { readonly name: string; readonly render: RenderSample }[];
    beforeAll(async () => {
        renders = [...(await readPublicTemplates())]
            .map(([name, source]) => {
                const render = sampleOf(source);
                return { name, render };
            })
            .filter(({ render }) => tryCalls(render, ["<|im_end|>", "</s>"], false)?.syntax !== undefined);
        expect(renders.length).toBeGreaterThan(45);
    });

    test.each<[string, ResolvedTool]>([
        ...Object.entries(SCHEMAS).map(([what, schema]): [string, ResolvedTool] => [what, tool("find_it", schema)]),
        ["a tool without a description", { ...tool("find_it", argument({ type: "string" })), description: undefined }],
    ])("%s", (_what, shown) => {
        for (const { name, render } of renders) {
            const others = tool("other", argument({ type: "string", description: about }));
            const text = showTools([others, shown], (tools) =>
                render([{ role: "user", content: "Hello" }], { tools: toolsVariable(tools) }, true),
            );
            expect([name, text.includes("find_it"), text.includes("other")]).toEqual([name, true, true]);
        }
    });
});

test.each(Object.entries(SCHEMAS))("what is shown instead means the same: %s", (_what, schema) => {
    const valid = (given: unknown): readonly boolean[] => {
        const ajv = new Ajv2020({ strict: false });
        const check = ajv.compile(given as object);
        const values = ["x", "long", 1, 5, 0.5, null, true, ["x"], ["x", 1], ["x", 1, 2], {}, { a: true }, { a: null }];
        return [{}, ...values.map((a) => ({ a }))].map((value) => check(value));
    };
    expect(valid(toPrintable(tool("find_it", schema)).parameters)).toEqual(valid(schema));
});

test("of many tools, the one that cannot be shown is named, and none where it is something else", () => {
    const tools = Array.from({ length: 9 }, (_, index) => tool(`tool-${index}`, {}));
    for (const at of [0, 4, 8]) {
        const show = (shown: readonly ResolvedTool[]): string => {
            if (shown.some(({ name }) => name === `tool-${at}`)) throw new Error("there is no title");
            return "";
        };
        expect(() => showTools(tools, show)).toThrow(
            `it cannot show the parameters of the tool tool-${at}: there is no title`,
        );
    }
    const never = (): string => {
        throw new Error("roles must alternate");
    };
    expect(() => showTools(tools, never)).toThrow(/^roles must alternate$/);
});

test("a template that does too much is rendered once", () => {
    const endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    const template = compileTemplate(`{% if tools %}${endless}{% endif %}`);
    let renderings = 0;
    const show = (shown: readonly ResolvedTool[]): string => {
        renderings++;
        return template.render({}, { tools: toolsVariable(shown) }, new Set()).text;
    };
    expect(() => showTools([tool("one", {}), tool("two", {})], show)).toThrow(/^it does not come to an end/);
    expect(renderings).toBe(1);
});
