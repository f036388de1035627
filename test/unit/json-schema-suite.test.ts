/** The official tests of JSON Schema: no grammar is wider than its schema, and each is narrower only as the documents say. */

import { beforeAll, describe, expect, test } from "@jest/globals";
import { readGbnf } from "../../src/grammar/gbnf.js";
import { isValidJson, jsonSchemaToGbnf } from "../../src/grammar/json-schema.js";
import type { JsonSchema } from "../../src/grammar/schema-source.js";
import type { JsonValue } from "../../src/types.js";
import { createReader } from "../helpers/grammar-texts.js";
import { measure, readSuite, textsOf, type Findings, type SuiteGroup } from "../helpers/json-schema-suite.js";

const SEEDS = 20;

const suite = readSuite();
// Where all is checked, it has been fetched.
if (suite === undefined && process.env.CI) throw new Error("Run node scripts/json-schema-suite.mjs first.");

(suite === undefined ? describe.skip : describe)("JSON-Schema-Test-Suite, draft 2020-12", () => {
    let findings: Findings;
    beforeAll(() => {
        findings = measure(suite ?? [], (schema) => jsonSchemaToGbnf(schema as JsonSchema).grammar, SEEDS);
    });

    test("most schemas are accepted", () => {
        expect(findings.accepted).toBeGreaterThan(350);
        expect(findings.refused).toBeLessThan(80);
        expect(findings.judged).toBeGreaterThan(findings.accepted * 0.9);
    });

    test("what is generated is valid by ajv", () => {
        expect(findings.wider).toEqual([]);
    });

    test("no invalid instance is one of the texts", () => {
        expect(findings.invalidTaken).toEqual([]);
        expect(findings.invalidRefused).toBeGreaterThan(600);
    });

    test("a valid instance is one of the texts, but for what the documents say", () => {
        const lacked = findings.validLacked.filter(({ group, data }) => !isKnownToLack(group, data));
        expect(lacked.map(({ group, data }) => `${group.file}: ${group.description}: ${JSON.stringify(data)}`)).toEqual(
            [],
        );
        expect(findings.validTaken).toBeGreaterThan(600);
    });

    test("an instance of an accepted schema is valid as the suite says, but for what the documents say", () => {
        let judged = 0;
        const wrong: string[] = [];
        for (const group of suite ?? []) {
            if (!isAccepted(group)) continue;
            for (const { data, valid } of group.tests) {
                const isValid = isValidJson(group.schema as JsonSchema, data as JsonValue);
                if (isValid === valid) judged++;
                else if (isValid || !isKnownToLack(group, data))
                    wrong.push(`${group.file}: ${group.description}: ${JSON.stringify(data)}`);
            }
        }
        expect(wrong).toEqual([]);
        expect(judged).toBeGreaterThan(1400);
    });
});

function isAccepted({ schema }: SuiteGroup): boolean {
    try {
        jsonSchemaToGbnf(schema as JsonSchema);
        return true;
    } catch {
        return false;
    }
}

/** Whether a valid instance is none of the texts by a rule of docs/structured-output.md. */
function isKnownToLack({ schema }: SuiteGroup, data: unknown): boolean {
    const written = JSON.stringify(schema);
    // Other drafts of one's own.
    if (/"\$schema":"http:\/\/localhost/.test(written)) return true;
    // Formats are enforced, and common ones of their texts come.
    if (written.includes('"format"')) return true;
    // What alternatives and conditions that hold besides have looked at is not counted.
    if (written.includes('"unevaluated')) return true;
    // At most 15 digits and no exponents.
    if (/\d{16}|e\+/.test(JSON.stringify(data))) return true;
    // Properties that are not listed, and values of types that nothing is said about.
    const open = jsonSchemaToGbnf(schema as JsonSchema, { isOpen: true, isStrict: false }).grammar;
    return textsOf(data).some(createReader(readGbnf(open)));
}
