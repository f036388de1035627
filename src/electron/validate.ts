/** What a renderer sends is data of a stranger: it is checked whole before anything looks at it. */

import { Ajv, type ValidateFunction } from "ajv";
import { EftError } from "../errors.js";
import { PROTOCOL, type RemoteOptions, type RendererMessage } from "./protocol.js";

/** Most characters of one prompt, all its messages together. More than any context holds. */
export const MAX_PROMPT_CHARACTERS = 2 ** 22;
/** Of a whole message, with its keys. */
const MAX_SIZE = 2 * MAX_PROMPT_CHARACTERS;
const MAX_MESSAGES = 10_000;
const MAX_PROPERTIES = 1000;

const ID = { type: "integer", minimum: 1, maximum: Number.MAX_SAFE_INTEGER };
const NUMBERS = { type: "object", maxProperties: MAX_PROPERTIES, additionalProperties: { type: "number" } };
const BOOLEAN = { type: "boolean" };
const NUMBER = { type: "number" };
const TEXT = { type: "string", maxLength: 10_000 };

/** Types and sizes alone: ranges and names are checked where the values are used, with the library's own messages. */
const OPTION_SCHEMAS: { readonly [Key in keyof Required<RemoteOptions>]: object } = {
    prompt: {
        anyOf: [
            { type: "string" },
            {
                type: "array",
                maxItems: MAX_MESSAGES,
                items: {
                    type: "object",
                    required: ["role", "content"],
                    properties: { role: TEXT },
                },
            },
            { type: "array", items: { type: "integer" } },
        ],
    },
    raw: BOOLEAN,
    templateVariables: { type: "object", maxProperties: MAX_PROPERTIES },
    maxTokens: NUMBER,
    sampling: NUMBERS,
    seed: NUMBER,
    stop: { type: "array", maxItems: 16, items: TEXT },
    logitBias: NUMBERS,
    parameters: NUMBERS,
    conservativeTopP: NUMBER,
    speculation: {
        anyOf: [
            BOOLEAN,
            {
                type: "object",
                additionalProperties: false,
                properties: {
                    drafter: TEXT,
                    lookup: BOOLEAN,
                    length: { anyOf: [NUMBER, TEXT] },
                    coupling: TEXT,
                    selective: NUMBER,
                    drafterSampling: NUMBERS,
                },
            },
        ],
    },
    readAhead: NUMBER,
    topLogprobs: NUMBER,
    memberLogprobs: BOOLEAN,
    explain: BOOLEAN,
    scores: BOOLEAN,
    grammar: { type: "string", maxLength: 2 ** 20 },
    jsonSchema: { type: ["boolean", "object"] },
    tools: { type: "array", maxItems: 128, items: { type: "object" } },
    toolChoice: { anyOf: [TEXT, { type: "object", maxProperties: 1 }] },
    jsonSchemaStrict: BOOLEAN,
};
const OPTIONS = {
    type: "object",
    required: ["prompt"],
    additionalProperties: false,
    properties: OPTION_SCHEMAS,
};

const FIELDS: { readonly [Type in RendererMessage["type"]]: Readonly<Record<string, object>> } = {
    describe: { id: ID },
    complete: { id: ID, options: OPTIONS },
    next: { completion: ID },
    setParameters: { id: ID, completion: ID, values: NUMBERS },
    abort: { completion: ID },
    leave: { completion: ID },
};

// Infinite numbers are legal in places, such as a bias of -Infinity.
const ajv = new Ajv({ strictNumbers: false, allowUnionTypes: true });
const validators = new Map<unknown, ValidateFunction>(
    Object.entries(FIELDS).map(([type, fields]) => {
        const properties = { protocol: {}, type: {}, ...fields };
        return [
            type,
            ajv.compile({
                type: "object",
                properties,
                required: Object.keys(properties),
                additionalProperties: false,
            }),
        ];
    }),
);

/** @throws EftError MESSAGE_INVALID */
export function checkRendererMessage(message: unknown): asserts message is RendererMessage {
    checkSize([message], MAX_SIZE, "it");
    const { protocol, type } = (message ?? {}) as Partial<RendererMessage>;
    if (protocol !== PROTOCOL) {
        throw invalid(
            `it has to carry the version of the protocol (protocol: ${PROTOCOL}); renderer and host have to use the same ` +
                "version of eft-llama",
        );
    }
    const validate = validators.get(type);
    if (validate === undefined) throw invalid(`its type has to be one of ${Object.keys(FIELDS).join(", ")}`);
    if (!validate(message)) throw invalid(ajv.errorsText(validate.errors, { dataVar: "message" }));
    const { options } = message as Partial<RendererMessage & { type: "complete" }>;
    if (options !== undefined)
        checkSize([options.prompt, options.templateVariables], MAX_PROMPT_CHARACTERS, "its prompt");
}

/** The id by which an answer to a message finds who asked; 0 if the message has none. */
export function idOf(message: unknown): number {
    const { id, completion } = (message ?? {}) as Readonly<Record<string, unknown>>;
    return [id, completion].find((value): value is number => Number.isSafeInteger(value)) ?? 0;
}

/**
 * What form values have, others say; here, that looking at them comes to an end. Nothing is expanded before it is counted: a
 * typed array has a key for each of its bytes, and an array can be long and have nothing in it.
 *
 * @param name - of the values together, for the message
 */
function checkSize(values: readonly unknown[], limit: number, name: string): void {
    const open = [...values];
    let size = 0;
    const count = (more: number): void => {
        size += more;
        if (size > limit) throw invalid(`${name} has more than ${limit} characters`);
    };
    while (open.length > 0) {
        const value = open.pop();
        if (typeof value === "string") count(value.length);
        if (typeof value !== "object" || value === null) continue;
        if (Array.isArray(value)) {
            count(value.length);
            for (const each of value) open.push(each);
        } else if (Object.prototype.toString.call(value) === "[object Object]") {
            for (const [key, each] of Object.entries(value)) {
                count(1 + key.length);
                open.push(each);
            }
        } else throw invalid("it may hold objects, lists and simple values, and no buffers or other classes");
    }
}

function invalid(reason: string): EftError {
    return new EftError("MESSAGE_INVALID", `A message to the host is not understood: ${reason}.`);
}
