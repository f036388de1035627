/** What `GET /openapi.json` says besides what requests are: answers, failures, keys. Nothing is checked or written by these schemas. */

import type { SwaggerOptions } from "@fastify/swagger";
import Type, { type Static, type TSchema, type TUnsafe } from "typebox";
import { manifest } from "../package.js";

/** Schemas of answers, which have names in the document. */
const schemas: Record<string, TSchema> = {};

/** @returns what refers to it by its name */
export function named<Schema extends TSchema>(name: string, schema: Schema): TUnsafe<Static<Schema>> {
    schemas[name] = schema;
    return Type.Unsafe<Static<Schema>>({ $ref: `#/components/schemas/${name}` });
}

export function nullable<Schema extends TSchema>(schema: Schema) {
    return Type.Union([schema, Type.Null()]);
}

/** A list of all there are. */
export function listOf<Schema extends TSchema>(schema: Schema) {
    return Type.Object({ object: Type.Literal("list"), data: Type.Array(schema) });
}

/** What a request is answered with that fails, as OpenAI has it. */
export const ErrorBody = named(
    "Error",
    Type.Object({
        error: Type.Object({
            message: Type.String(),
            type: Type.String({ description: "The kind of error, such as invalid_request_error" }),
            param: nullable(Type.String({ description: "The field that it is about, such as messages[0].role" })),
            code: nullable(Type.String({ description: "Such as context_length_exceeded" })),
        }),
    }),
);
export type ErrorBody = Static<typeof ErrorBody>;

/**
 * One of the events of a stream.
 *
 * @param data - JSON in its field `data`
 * @param end - what the last one has there instead
 */
export function eventOf(data: TSchema, end?: string) {
    const json = Type.String({ contentMediaType: "application/json", contentSchema: data });
    return Type.Object(
        {
            event: Type.Optional(Type.String({ description: "The type of its data, where that has one" })),
            data: end === undefined ? json : Type.Union([Type.Literal(end), json]),
        },
        { description: "Each of the server-sent events" },
    );
}

/** What a route answers besides, or otherwise. */
interface Answers {
    /** One event, where an answer may be a stream of them. */
    readonly event?: TSchema;
    /** Default: as OpenAI has it. */
    readonly error?: TSchema;
    /** Default `application/json`. */
    readonly type?: string;
}

/** The `response` of a route's schema. */
export function responses(schema: TSchema, { event, error = ErrorBody, type = "application/json" }: Answers = {}) {
    const failure = (description: string) => ({
        description,
        headers: { "retry-after": Type.Integer({ description: "Seconds, with 429 and 503" }) },
        content: { "application/json": { schema: error } },
    });
    return {
        200: {
            description: event === undefined ? "The answer" : "The answer, or with `stream` its events",
            content: {
                [type]: { schema },
                ...(event !== undefined && {
                    "text/event-stream": { schema: event },
                }),
            },
        },
        "4XX": failure("The request is wrong, or came when too many others wait (429)"),
        "5XX": failure("The server has failed; 503: it ends, or cannot load the model"),
    };
}

const TAGS = {
    OpenAI: "As OpenAI's clients know them",
    Anthropic: "As Anthropic's clients know them",
    EFT: "What only this server has",
    Texts: "Texts, tokens and prompts of a model",
    Operation: "How the server is",
};

const KEYS = {
    bearer: { type: "http", scheme: "bearer" },
    header: { type: "apiKey", in: "header", name: "x-api-key" },
} as const;

/** @param needsKey - whether requests have to bring one, in either of two ways */
export function describeServer(needsKey: boolean): SwaggerOptions {
    return {
        openapi: {
            openapi: "3.1.0",
            info: {
                title: "eft-llama",
                version: manifest.version,
                description:
                    "Emulated fine-tuning over HTTP. Fields that a request has besides are ignored; null is absent.",
            },
            servers: [{ url: "/", description: "The one that this document comes from" }],
            tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
            components: { schemas: schemas as Record<string, object>, ...(needsKey && { securitySchemes: KEYS }) },
            security: needsKey ? Object.keys(KEYS).map((name) => ({ [name]: [] })) : [],
        },
    };
}
