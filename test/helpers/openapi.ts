/** Whether answers are what a server's OpenAPI document says of them. */

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

type Schema = Readonly<Record<string, unknown>>;

export interface Operation {
    readonly operationId: string;
    readonly summary: string;
    readonly tags: readonly string[];
    readonly security?: readonly object[];
    readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
    readonly responses: Readonly<Record<string, { readonly content: Readonly<Record<string, Media>> }>>;
}

interface Media {
    readonly schema: Schema;
}

/** Of the field `data` of an event: JSON of a schema, or also a text that ends all. */
interface DataSchema extends Schema {
    readonly anyOf?: readonly Schema[];
}

export interface OpenApi {
    readonly openapi: string;
    readonly info: { readonly version: string };
    readonly servers: readonly { readonly url: string }[];
    readonly security: readonly object[];
    readonly components: { readonly schemas: Readonly<Record<string, Schema>>; readonly securitySchemes?: object };
    readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

/** What a request was answered with, to its end or until the client left. */
export interface Exchange {
    readonly method: string;
    readonly path: string;
    readonly status: number;
    readonly type: string;
    readonly text: string;
    readonly isWhole: boolean;
}

/** @returns says what is wrong with an answer; undefined: nothing, or the document does not mention the route */
export function createAnswerCheck(document: OpenApi): (exchange: Exchange) => string | undefined {
    const ajv = new Ajv2020({ strict: false });
    ajv.addSchema({ $id: "document", ...(closeAll(document) as Schema) });
    const routes = Object.entries(document.paths).map(([path, operations]) => ({
        pattern: new RegExp(`^${path.replaceAll(/[.]/g, "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`),
        path,
        operations,
    }));
    const compiled = new Map<string, ValidateFunction>();
    function validate(place: readonly string[], value: unknown): string | undefined {
        const pointer = place.map((part) => encodeURIComponent(part.replaceAll("~", "~0").replaceAll("/", "~1")));
        const $ref = `document#/${pointer.join("/")}`;
        const check = compiled.get($ref) ?? ajv.compile({ $ref });
        compiled.set($ref, check);
        if (check(value)) return undefined;
        const [error] = check.errors ?? [];
        return `${place.slice(1).join(" ")}: ${ajv.errorsText(check.errors)}; ${error?.schemaPath} in ${JSON.stringify(value).slice(0, 1000)}`;
    }
    return ({ method, path, status, type, text, isWhole }) => {
        const route = routes.find(({ pattern }) => pattern.test(path));
        const operation = route?.operations[method.toLowerCase()];
        if (route === undefined || operation === undefined) return undefined;
        const code = [String(status), `${String(status)[0]}XX`].find((each) => each in operation.responses);
        const name = `${method} ${path}, ${status}`;
        if (code === undefined) return `${name}: no such status`;
        const [media = ""] = type.split(";");
        const described = operation.responses[code]?.content[media];
        if (described === undefined) return `${name}: not of the type ${JSON.stringify(type)}`;
        const place = ["paths", route.path, method.toLowerCase(), "responses", code, "content", media];
        if (media !== "text/event-stream") {
            if (!isWhole) return undefined;
            return validate([...place, "schema"], media === "application/json" ? JSON.parse(text) : text);
        }
        const { data } = described.schema["properties"] as { readonly data: DataSchema };
        const [end] = data.anyOf ?? [];
        const json = [...place, "schema", "properties", "data", ...(end ? ["anyOf", "1"] : []), "contentSchema"];
        const checkData = (written: string): string | undefined => {
            if (end !== undefined && JSON.stringify(end["enum"]) === JSON.stringify([written])) return undefined;
            if (!written.startsWith("{")) return `${name}: an event with ${written}`;
            return validate(json, JSON.parse(written));
        };
        // What stands behind the last one is empty, or what a client has left in the middle of.
        return text
            .split("\n\n")
            .slice(0, -1)
            .map((lines) => {
                const fields = lines.split("\n").map((line) => line.split(/: (.*)/s) as [string, string]);
                const event: Readonly<Record<string, string>> = Object.fromEntries(fields);
                return validate([...place, "schema"], event) ?? checkData(event["data"] ?? "");
            })
            .find((problem) => problem !== undefined);
    };
}

/** Clients have to take fields that are new to them; here what the document does not mention is a fault of the document. */
function closeAll(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(closeAll);
    if (typeof value !== "object" || value === null) return value;
    const copy = Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, closeAll(entry)]));
    return copy["type"] === "object" && copy["properties"] !== undefined
        ? { additionalProperties: false, ...copy }
        : copy;
}
