/** Tools as callers give them, checked. */

import { EftError } from "../errors.js";
import { readData, type Data } from "../template/data.js";
import { show } from "../options.js";
import { readSchema } from "../grammar/schema-source.js";
import { APPLICATORS, CONSTRAINTS, keywordsOf, TYPES } from "../grammar/schema-keywords.js";
import { isObject, type Fields } from "../grammar/schema-report.js";
import type { ResolvedTool, ToolChoice } from "./types.js";

const MOST_TOOLS = 128;
const NAME = /^[\w.-]{1,64}$/;
/** What others call the parameters: the AI SDK, MCP, Anthropic's API, LangChain. */
const SCHEMA_KEYS = ["inputSchema", "input_schema", "schema"];
const NO_ARGUMENTS: Fields = { type: "object", properties: {}, additionalProperties: false };
/** Keywords that can tell of an object without naming the type. */
const OF_OBJECTS: readonly string[] = [...CONSTRAINTS.object, ...APPLICATORS, "enum", "const"];
/** Keywords that may also be names of arguments, and hold a text or a list in a schema. */
const NO_OBJECTS = ["type", "id", "title", "description", "required", "enum"];
/** In the schemas of all tools. */
const MOST_VALUES = 200_000;
/** In the descriptions and schemas of all tools: what stands in many places is written out in each. */
const MOST_CHARACTERS = 2 ** 20;
/** Levels of a schema. */
const DEEPEST = 200;

/** @param what - how messages call the option. @throws EftError OPTION_INVALID */
export function checkTools(what: string, given: unknown): readonly ResolvedTool[] {
    const invalid = (reason: string): never => {
        throw new EftError("OPTION_INVALID", `${what} ${reason}.`);
    };
    if (!Array.isArray(given) || given.length > MOST_TOOLS)
        return invalid(`must be a list of at most ${MOST_TOOLS} tools`);
    const names = new Set<string>();
    let values = 0;
    let characters = 0;
    return (given as readonly unknown[]).map((tool, index) => {
        const place = `[${index}]`;
        if (typeof tool !== "object" || tool === null) return invalid(`must be tools; ${place} is ${show(tool)}`);
        const { name, description, parameters = NO_ARGUMENTS, ...others } = tool as Record<string, unknown>;
        if (name === undefined && "function" in others)
            return invalid(`has a tool of OpenAI's API at ${place}; give what is under its \`function\``);
        if (typeof name !== "string" || !NAME.test(name))
            return invalid(`needs a name of 1 to 64 letters, digits, "_", "-" or "." at ${place}, not ${show(name)}`);
        if (names.has(name)) return invalid(`has two tools with the name ${name}`);
        names.add(name);
        if (description !== undefined && typeof description !== "string")
            return invalid(`needs a text as description of ${name}, not ${show(description)}`);
        const [unknown] = Object.keys(others);
        if (unknown !== undefined) {
            const remedy = SCHEMA_KEYS.includes(unknown)
                ? "the schema of the arguments is given as parameters"
                : "a tool has name, description and parameters";
            return invalid(`has the unknown key "${unknown}" at ${name}; ${remedy}`);
        }
        const data = readParameters(parameters, name, invalid);
        values += data.values;
        if (values > MOST_VALUES) return invalid(`has more than ${MOST_VALUES} values in the parameters up to ${name}`);
        for (const text of [description ?? "", ...data.texts]) characters += text.length;
        if (characters > MOST_CHARACTERS)
            return invalid(`has more than ${MOST_CHARACTERS} characters in the tools up to ${name}`);
        return { name, description, parameters: data.copy as Fields };
    });
}

function readParameters(given: unknown, name: string, invalid: (reason: string) => never): Data {
    const message = `The parameters of the tool ${name} have no JSON schema`;
    const data = readData(readSchema(given, { code: "OPTION_INVALID", message }), DEEPEST);
    if (!isObject(data?.copy))
        return invalid(`needs as parameters of ${name} a JSON schema, or something with toJSONSchema()`);
    const reason = whyNoObject(data.copy);
    if (reason === undefined) return data;
    const example = '{ type: "object", properties: { city: { type: "string" } } }';
    return invalid(`needs as parameters of ${name} the JSON schema of an object, such as ${example}; ${reason}`);
}

/** Arguments are an object; what says nothing of values leaves that open. */
function whyNoObject(schema: Fields): string | undefined {
    const { type, properties, ...others } = schema;
    const types = [type].flat();
    if (types.includes("object")) return undefined;
    const name = isObject(properties) ? undefined : NO_OBJECTS.find((keyword) => isObject(schema[keyword]));
    if (name !== undefined)
        return `its ${show(name)} is an object, as that of an argument is; \`properties\` has those`;
    if (type !== undefined) return `this one is of the type ${types.slice(0, TYPES.length).map(show).join(" or ")}`;
    const keywords = keywordsOf(others);
    const isSchema =
        properties !== undefined || keywords.length === 0 || keywords.some((keyword) => OF_OBJECTS.includes(keyword));
    return isSchema ? undefined : `${show(keywords[0])} says nothing of an object`;
}

/** @throws EftError OPTION_INVALID */
export function checkToolChoice(what: string, given: unknown): ToolChoice {
    if (given === "auto" || given === "none" || given === "required") return given;
    const { tool } = (typeof given === "object" && given !== null ? given : {}) as { tool?: unknown };
    if (typeof tool === "string") return { tool };
    throw new EftError(
        "OPTION_INVALID",
        `${what} must be auto, none, required or { tool: "name" }, not ${show(given)}.`,
    );
}
