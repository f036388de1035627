/**
 * Members can be fused only if a token id means the same text to all of them. Files of one family usually agree on
 * everything but the padding at the end of the table, so ids beyond the common range are masked and the rest must match.
 */

import { EftError } from "../errors.js";
import type { NativeModel } from "../native/binding.js";

/** llama.cpp's attribute bits that decide what a token's text stands for; the others concern white space around it. */
export const KIND_BITS = {
    unknown: 1 << 0,
    unused: 1 << 1,
    normal: 1 << 2,
    control: 1 << 3,
    "user-defined": 1 << 4,
    byte: 1 << 5,
} as const;
const KIND_MASK = Object.values(KIND_BITS).reduce((mask, bit) => mask | bit, 0);
const MAX_DIFFERENCES = 10;

/** One id that means different things to two members. */
export interface VocabularyDifference {
    readonly token: number;
    readonly member: string;
    readonly reference: string;
    /** What the token is to each, e.g. `"<|im_end|>" (control)`. */
    readonly memberMeaning: string;
    readonly referenceMeaning: string;
}

/** Outcome of comparing the vocabularies of all members with that of the first. */
export interface VocabularyReport {
    readonly compatible: boolean;
    /** Number of ids all members have; larger ids are masked. */
    readonly size: number;
    /** llama.cpp's tokenizer type, e.g. `SPM` or `BPE`. */
    readonly type: string;
    readonly members: readonly {
        readonly name: string;
        /** Ids in the member's own table, padding included. */
        readonly width: number;
        readonly special: Readonly<Record<"bos" | "eos" | "eot", number>>;
    }[];
    /** Reasons for a refusal, the first few. */
    readonly differences: readonly VocabularyDifference[];
    /** Differences that are allowed but worth knowing, as sentences. */
    readonly notes: readonly string[];
    /** V flags: 1 for control tokens. */
    readonly controlTokens: Uint8Array;
    /** V flags: 1 for tokens that end a generation in the eyes of at least one member. */
    readonly endOfGeneration: Uint8Array;
}

export interface NamedModel {
    readonly name: string;
    readonly model: NativeModel;
}

/** Compares texts and kinds of all common ids. Never throws; see {@link checkVocabularies}. */
export function compareVocabularies(members: readonly NamedModel[]): VocabularyReport {
    const [first] = members;
    if (first === undefined) throw new EftError("OPTION_INVALID", "There is no member to compare vocabularies of.");
    const size = Math.min(...members.map(({ model }) => model.info.vocabularySize));
    const differences: VocabularyDifference[] = [];
    const notes: string[] = [];

    for (const member of members.slice(1)) {
        const [own, reference] = [member.model.info, first.model.info];
        if (own.vocabularyType !== reference.vocabularyType) {
            differences.push({
                token: -1,
                member: member.name,
                reference: first.name,
                memberMeaning: `a ${own.vocabularyType} tokenizer`,
                referenceMeaning: `a ${reference.vocabularyType} tokenizer`,
            });
        } else if (member.model.vocabularyHash(size) !== first.model.vocabularyHash(size)) {
            differences.push(...findDifferences(member, first, size, MAX_DIFFERENCES - differences.length));
        }
        if (own.vocabularySize !== reference.vocabularySize) {
            notes.push(
                `${member.name} has ${own.vocabularySize} ids and ${first.name} ${reference.vocabularySize}; ` +
                    `ids from ${size} on are masked.`,
            );
        }
        for (const special of ["bos", "eos"] as const) {
            if (own[special] !== reference[special]) {
                notes.push(
                    `${special.toUpperCase()} is ${own[special]} for ${member.name} and ${reference[special]} for ` +
                        `${first.name}; both are honoured where they apply.`,
                );
            }
        }
    }

    return {
        compatible: differences.length === 0,
        size,
        type: first.model.info.vocabularyType,
        members: members.map(({ name, model: { info } }) => ({
            name,
            width: info.vocabularySize,
            special: { bos: info.bos, eos: info.eos, eot: info.eot },
        })),
        differences,
        notes,
        controlTokens: Uint8Array.from(first.model.tokenAttributes().subarray(0, size), (attributes) =>
            (attributes & KIND_BITS.control) === 0 ? 0 : 1,
        ),
        endOfGeneration: mergeFlags(
            members.map(({ model }) => model.endOfGeneration()),
            size,
        ),
    };
}

/** @throws EftError VOCABULARY_MISMATCH with the first differences, if the report is not favourable */
export function checkVocabularies(report: VocabularyReport): void {
    if (report.compatible) return;
    const lines = report.differences.map((difference) => `  ${describeDifference(difference)}`);
    throw new EftError(
        "VOCABULARY_MISMATCH",
        "The members' vocabularies differ, so their distributions cannot be combined. Use models of one family " +
            `(same tokenizer). First differences:\n${lines.join("\n")}`,
    );
}

/** A difference as half a sentence, e.g. `id 5: "a" (normal) for chat, "b" (normal) for large`. */
export function describeDifference(difference: VocabularyDifference): string {
    const { token, member, memberMeaning, reference, referenceMeaning } = difference;
    const subject = token < 0 ? "" : `id ${token}: `;
    return `${subject}${memberMeaning} for ${member}, ${referenceMeaning} for ${reference}`;
}

function findDifferences(member: NamedModel, first: NamedModel, size: number, limit: number): VocabularyDifference[] {
    const [own, reference] = [readTable(member.model, size), readTable(first.model, size)];
    const differences: VocabularyDifference[] = [];
    for (let token = 0; token < size && differences.length < limit; token++) {
        const sameText = own.texts[token] === reference.texts[token];
        const sameKind = kindOf(own, token) === kindOf(reference, token);
        if (sameText && sameKind) continue;
        differences.push({
            token,
            member: member.name,
            reference: first.name,
            memberMeaning: meaning(own, token),
            referenceMeaning: meaning(reference, token),
        });
    }
    return differences;
}

interface TokenTable {
    readonly texts: readonly string[];
    readonly attributes: Int32Array;
}

function readTable(model: NativeModel, size: number): TokenTable {
    return { texts: model.tokenTexts(0, size), attributes: model.tokenAttributes() };
}

function kindOf(table: TokenTable, token: number): number {
    return (table.attributes[token] ?? 0) & KIND_MASK;
}

function meaning(table: TokenTable, token: number): string {
    const kind = kindOf(table, token);
    const names = Object.entries(KIND_BITS).flatMap(([name, bit]) => ((kind & bit) === 0 ? [] : [name]));
    return `${JSON.stringify(table.texts[token])} (${names.join(", ") || "undefined"})`;
}

function mergeFlags(flags: readonly Uint8Array[], size: number): Uint8Array {
    return Uint8Array.from({ length: size }, (_, token) => (flags.some((member) => member[token] === 1) ? 1 : 0));
}
