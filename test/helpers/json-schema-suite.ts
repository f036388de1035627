/** The official tests of JSON Schema, and how a converter from schemas to grammars does at them. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { EftError } from "../../src/errors.js";
import { readGbnf, type Gbnf } from "../../src/grammar/gbnf.js";
import { createRandom, createReader, createWalker } from "./grammar-texts.js";

export interface SuiteGroup {
    readonly file: string;
    readonly description: string;
    readonly schema: unknown;
    readonly tests: readonly { readonly description: string; readonly data: unknown; readonly valid: boolean }[];
}

export interface Findings {
    /** Schemas. */
    accepted: number;
    refused: number;
    /** Accepted schemas whose random texts ajv has seen, and those of which some were not valid. */
    judged: number;
    wider: string[];
    /** Instances of accepted schemas. */
    validTaken: number;
    /** Valid ones that the grammar lacks. */
    validLacked: { readonly group: SuiteGroup; readonly data: unknown }[];
    invalidRefused: number;
    invalidTaken: string[];
}

const FOLDER = fileURLToPath(new URL("../../build/json-schema-suite", import.meta.url));
/** Ways to order properties that are tried. */
const MOST_ORDERS = 150;

/** @returns undefined: it has not been fetched (scripts/json-schema-suite.mjs) */
export function readSuite(): readonly SuiteGroup[] | undefined {
    let files: string[];
    try {
        files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" });
    } catch {
        return undefined;
    }
    const names = files.filter((file) => file.endsWith(".json")).sort();
    if (names.length === 0) return undefined;
    return names.flatMap((file) => {
        const groups = JSON.parse(readFileSync(path.join(FOLDER, file), "utf8")) as Omit<SuiteGroup, "file">[];
        return groups.map((group) => ({ ...group, file: file.replace(/^[^/]*\//, "") }));
    });
}

/**
 * @param convert - throws an EftError for a schema that it refuses
 * @param seeds - random texts of each grammar
 */
export function measure(suite: readonly SuiteGroup[], convert: (schema: unknown) => string, seeds: number): Findings {
    const findings: Findings = {
        ...{ accepted: 0, refused: 0, judged: 0, wider: [], validTaken: 0, validLacked: [], invalidRefused: 0 },
        invalidTaken: [],
    };
    for (const group of suite) {
        let grammar: Gbnf;
        try {
            grammar = readGbnf(convert(group.schema));
        } catch (error) {
            if (!EftError.isInstance(error)) throw error;
            findings.refused++;
            continue;
        }
        findings.accepted++;
        const name = `${group.file}: ${group.description}`;
        const isValid = validatorOf(group);
        const invalid = isValid && findInvalid(grammar, isValid, seeds);
        if (isValid !== undefined) findings.judged++;
        if (invalid !== undefined) findings.wider.push(`${name}: ${invalid}`);
        const isText = createReader(grammar);
        for (const { description, data, valid } of group.tests) {
            const isTaken = textsOf(data).some(isText);
            if (valid && isTaken) findings.validTaken++;
            else if (valid) findings.validLacked.push({ group, data });
            else if (isTaken) findings.invalidTaken.push(`${name}: ${description}`);
            else findings.invalidRefused++;
        }
    }
    return findings;
}

/** @returns a text that is not valid; undefined: there was none */
function findInvalid(grammar: Gbnf, isValid: ValidateFunction, seeds: number): string | undefined {
    const walk = createWalker(grammar);
    for (let seed = 0; seed < seeds; seed++) {
        let text = "";
        try {
            text = walk(createRandom(seed), seed % 60);
            if (isValid(JSON.parse(text))) continue;
        } catch {
            // No JSON, or no way to its end.
        }
        return text;
    }
    return undefined;
}

function createAjv(): Ajv2020 {
    const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9, ownProperties: true, logger: false });
    addFormats.default(ajv);
    return ajv;
}

const common = createAjv();

/** @returns undefined: ajv cannot read the schema, or is wrong about it by the suite */
function validatorOf({ file, schema, tests }: SuiteGroup): ValidateFunction | undefined {
    // Schemas with names of their own are apart from each other.
    const ajv = JSON.stringify(schema).includes('"$id"') ? createAjv() : common;
    try {
        const validate = ajv.compile(schema as object);
        // Formats are annotations in most of the suite, and no standard of ajv's in the rest.
        const isRight = tests.every(({ data, valid }) => validate(data) === valid);
        return isRight || file.includes("format") ? validate : undefined;
    } catch {
        return undefined;
    }
}

/** A value as JSON without blanks, with properties in several orders. */
export function textsOf(value: unknown, most = MOST_ORDERS): string[] {
    if (typeof value !== "object" || value === null) return [JSON.stringify(value)];
    if (Array.isArray(value))
        return combine(value.map((item) => textsOf(item, 6)))
            .map((items) => `[${items.join()}]`)
            .slice(0, most);
    return orders(Object.entries(value), most)
        .flatMap((entries) =>
            combine(entries.map(([name, item]) => textsOf(item, 4).map((text) => `${JSON.stringify(name)}:${text}`))),
        )
        .map((pairs) => `{${pairs.join()}}`)
        .slice(0, most);
}

function combine(lists: readonly (readonly string[])[]): string[][] {
    return lists.reduce<string[][]>(
        (before, list) => before.flatMap((one) => list.map((text) => [...one, text])).slice(0, MOST_ORDERS),
        [[]],
    );
}

function orders<Value>(list: readonly Value[], most: number): Value[][] {
    if (list.length < 2) return [[...list]];
    const found: Value[][] = [];
    for (const [index, first] of list.entries()) {
        const rest = list.filter((_value, other) => other !== index);
        for (const order of orders(rest, most)) {
            if (found.length < most) found.push([first, ...order]);
        }
    }
    return found;
}
