import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { packageFile } from "../package.js";
import type { CacheType, SamplingOptions, SpeculationSpec, ThinkingMarks } from "../types.js";
import type { SourceDocument } from "./document.js";
import { type Location, problem, suggestion, throwProblems } from "./problems.js";

/** What `recipes/recipe.schema.json` admits. */
export interface RecipeSource {
    readonly eft: 1;
    readonly name: string;
    readonly description?: string;
    readonly source?: string;
    readonly members: Readonly<Record<string, MemberSource>>;
    readonly parameters?: Readonly<Record<string, ParameterSource>>;
    readonly combination: string;
    readonly conservative?: { readonly topP: number; readonly fallback: string };
    readonly controlTokens?: "combine" | "fallback";
    readonly unusedTokens?: "mask" | "keep";
    readonly prompt?: PromptSource;
    readonly sampling?: Partial<SamplingOptions>;
    readonly speculation?: SpeculationSource;
    readonly contextSize?: number;
    readonly cacheType?: CacheType;
}

export interface MemberSource {
    readonly model: string;
    readonly lora?: string | { readonly path: string; readonly scale?: number };
    readonly gpuLayers?: number;
    readonly contextSize?: number;
    readonly prompt?: PromptSource;
}

export interface ParameterSource {
    readonly default: number;
    readonly min?: number;
    readonly max?: number;
    readonly description?: string;
}

export interface PromptSource {
    readonly template: string;
    readonly variables?: Readonly<Record<string, unknown>>;
    readonly thinking?: ThinkingMarks;
}

export interface SpeculationSource extends Omit<SpeculationSpec, "drafter"> {
    readonly drafter?: string;
}

/** The part of a JSON Schema that messages are made of. `title` is written as what stands after "must be". */
interface SchemaNode {
    readonly title?: string;
    readonly type?: string | readonly string[];
    readonly const?: unknown;
    readonly enum?: readonly (string | number)[];
    readonly minimum?: number;
    readonly exclusiveMinimum?: number;
    readonly maximum?: number;
    readonly properties?: Readonly<Record<string, { readonly examples?: readonly (string | number)[] }>>;
}

/** @throws RECIPE_INVALID with the first few things that the schema objects to, in the order of the document */
export const validateRecipe = createValidator<RecipeSource>("recipes/recipe.schema.json");

/**
 * @param schema - JSON Schema of documents of one kind, or its file in this package; used when the first of them is validated
 * @returns throws the kind's `invalid` error with the first few things that the schema objects to
 */
export function createValidator<T>(schema: string | object): (document: SourceDocument) => T {
    let validate: ValidateFunction<T> | undefined;
    return (document) => {
        validate ??= new Ajv({ allErrors: true, verbose: true, allowUnionTypes: true }).compile<T>(
            typeof schema === "string" ? (JSON.parse(readFileSync(packageFile(schema), "utf8")) as object) : schema,
        );
        if (validate(document.value)) return document.value;
        const { noun, invalid } = document.kind;
        throwProblems(
            (validate.errors ?? [])
                // The name of a member or parameter is reported by the keyword that it violates, not again as a whole.
                .filter(({ keyword }) => keyword !== "propertyNames")
                .map((error) => problem(invalid, locateError(error, document), explain(error, noun))),
        );
        throw new Error(`The schema refused a ${noun} without a reason.`);
    };
}

function pathOf({ instancePath }: ErrorObject): string[] {
    return instancePath
        .split("/")
        .slice(1)
        .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function locateError(error: ErrorObject, document: SourceDocument): Location {
    const path = pathOf(error);
    if (error.keyword === "additionalProperties")
        return document.locate([...path, String(error.params["additionalProperty"])], "key");
    if (error.propertyName !== undefined) return document.locate([...path, error.propertyName], "key");
    return document.locate(path, error.keyword === "required" ? "key" : "value");
}

/**
 * A sentence without its full stop. The validator must be `verbose`.
 *
 * @param noun - what the document is meant to be
 */
export function explain(error: ErrorObject, noun: string): string {
    const schema = error.parentSchema as SchemaNode;
    const path = pathOf(error);
    const name = path.length === 0 ? "the document" : `"${path.join(".")}"`;
    const owner = path.length === 0 ? `${/^[aeiou]/.test(noun) ? "an" : "a"} ${noun}` : name;
    switch (error.keyword) {
        case "additionalProperties": {
            const key = String(error.params["additionalProperty"]);
            return `${owner} has no key "${shorten(key)}"; ${suggestion(key, Object.keys(schema.properties ?? {}))}`;
        }
        case "required": {
            const key = String(error.params["missingProperty"]);
            const example = schema.properties?.[key]?.examples?.[0];
            return `${owner} lacks the key "${key}"` + (example === undefined ? "" : `; add ${key}: ${example}`);
        }
        default:
            if (error.propertyName !== undefined)
                return `"${shorten(error.propertyName)}" must be ${expectation(schema)}; rename it in ${name}`;
            if (error.data === null) return `${name} is empty; it must be ${expectation(schema)}`;
            return `${name} must be ${expectation(schema)}, not ${show(error.data)}${guess(schema, error.data)}`;
    }
}

/** What a misspelled word of a list was meant to be, if that can be told. */
function guess({ enum: words = [] }: SchemaNode, value: unknown): string {
    if (typeof value !== "string") return "";
    const texts = words.filter((word) => typeof word === "string");
    const text = suggestion(value, texts);
    return text.startsWith("did you mean") ? `; ${text}` : "";
}

/** What a schema node wants, as a noun phrase. */
function expectation(schema: SchemaNode): string {
    if (schema.title !== undefined) return schema.title;
    if (schema.enum !== undefined) return `one of ${schema.enum.join(", ")}`;
    if (schema.type === "string") return "a text that is not empty";
    if (schema.type === "boolean") return "true or false";
    const { minimum, exclusiveMinimum, maximum } = schema;
    if (maximum === undefined) return "a finite number";
    const noun = schema.type === "integer" ? "a whole number" : "a number";
    if (exclusiveMinimum !== undefined) return `${noun} above ${exclusiveMinimum} and at most ${maximum}`;
    return `${noun} from ${minimum} to ${maximum}`;
}

function show(value: unknown): string {
    if (Array.isArray(value)) return "a list";
    if (typeof value === "object" && value !== null)
        return Object.keys(value).length === 0 ? "an empty mapping" : "a mapping";
    return typeof value === "string" ? `the text "${shorten(value)}"` : String(value);
}

function shorten(text: string): string {
    return text.length > 40 ? `${text.slice(0, 40)}...` : text;
}
