/**
 * Members can be fused only if a token id means the same text to all members that have it. Files of one family usually agree
 * on everything but the end of the table: padding, and tokens that were added for a fine-tuning. Ids that are nobody's tokens
 * are masked, ids that some members lack are treated by `added-tokens.ts`, and the rest must match.
 */

import { mapping } from "../options.js";
import { EftError } from "../errors.js";
import type { NativeModel } from "../native/binding.js";
import type { Recipe } from "../types.js";
import { tokenAttributes } from "./token-attributes.js";

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

/** The vocabulary of one member. */
export interface MemberVocabulary {
    readonly name: string;
    /** Ids in the member's own table, padding included. */
    readonly width: number;
    readonly special: Readonly<Record<"bos" | "eos" | "eot", number>>;
    /**
     * V flags: 1 for ids that are no tokens of this member: beyond its table, unused there, or of disputed meaning. An id that
     * nobody has is masked.
     */
    readonly lacks: Uint8Array;
    /** Whether the token with which it ends a text or a turn, EOS or EOT, is an added one. */
    readonly endsAlone: boolean;
}

/**
 * @param model - of a member, or of a file that is looked into
 * @throws EftError MODEL_UNSUPPORTED where its tokenizer is GGUF's `none` or `no_vocab`, so that it reads and writes no text
 */
export function checkHasVocabulary(name: string, { info }: NativeModel): void {
    if (info.vocabularySize > 0 && info.vocabularyType !== "none") return;
    throw new EftError("MODEL_UNSUPPORTED", `${name} cannot take part: it has no vocabulary.`);
}

/** Outcome of comparing the vocabularies of all members. */
export interface VocabularyReport {
    readonly compatible: boolean;
    /** V: the ids of the target are 0 to V - 1. Beyond them no member has a token. */
    readonly size: number;
    /** llama.cpp's tokenizer type, e.g. `SPM` or `BPE`. */
    readonly type: string;
    readonly members: readonly MemberVocabulary[];
    /** Reasons for a refusal: the first few ids that mean different things. */
    readonly differences: readonly VocabularyDifference[];
    /** Reasons for a refusal, as sentences: ends of a text that the recipe makes impossible. */
    readonly problems: readonly string[];
    /** Differences that are allowed but worth knowing, as sentences. */
    readonly notes: readonly string[];
    /** V flags: 1 for control tokens. */
    readonly controlTokens: Uint8Array;
    /** V flags: 1 for added tokens, which some members have and others lack. */
    readonly addedTokens: Uint8Array;
    /** V flags: 1 for tokens that end a generation in the eyes of at least one member that has them. */
    readonly endOfGeneration: Uint8Array;
}

export interface NamedModel {
    readonly name: string;
    readonly model: NativeModel;
}

interface TokenTable extends NamedModel {
    readonly width: number;
    /** llama.cpp's, one per id. */
    readonly attributes: Int32Array;
    readonly endOfGeneration: Uint8Array;
    /** EOS and EOT. llama.cpp lets more tokens end a text, by how they are spelled, padding among them. */
    readonly ends: readonly number[];
    /** 1 where the member has a token. */
    readonly has: Uint8Array;
    /** Read when they are needed. */
    readonly texts: () => readonly string[];
}

/**
 * Compares texts and kinds of all ids, whatever a recipe makes of them. Never throws; see {@link checkVocabularies}.
 *
 * @param unusedTokens - `mask`: ids of the kind "unused" are nobody's tokens, but for EOS and EOT
 */
export function compareVocabularies(
    members: readonly NamedModel[],
    unusedTokens: Recipe["unusedTokens"] = "mask",
): VocabularyReport {
    const top = Math.max(...members.map(({ model }) => model.info.vocabularySize));
    const tables = members.map((member) => readTable(member, unusedTokens, top));
    const [first] = tables;
    if (first === undefined) throw new EftError("OPTION_INVALID", "There is no member to compare vocabularies of.");
    const differences = findDifferences(tables);
    const holders = countHolders(tables, top);
    const disputed = findDisputed(tables, holders);
    for (const token of disputed) for (const flags of [holders, ...tables.map(({ has }) => has)]) flags[token] = 0;
    const size = holders.findLastIndex((count) => count > 0) + 1;
    const isAdded = (token: number): boolean => (holders[token] ?? 0) > 0 && (holders[token] ?? 0) < tables.length;
    return {
        compatible: differences.length === 0,
        size,
        type: first.model.info.vocabularyType,
        members: tables.map(({ name, width, has, ends, model: { info } }) => ({
            name,
            width,
            special: { bos: info.bos, eos: info.eos, eot: info.eot },
            lacks: has.slice(0, size).map((flag) => 1 - flag),
            endsAlone: ends.some((token) => has[token] === 1 && isAdded(token)),
        })),
        differences,
        problems: [],
        notes: [
            ...tables.slice(1).flatMap((table) => describeTable(table, first)),
            ...describeMasked(holders, disputed),
        ],
        controlTokens: flagHeld(tables, size, ({ attributes }) => attributes, KIND_BITS.control),
        addedTokens: holders.slice(0, size).map((count) => (count > 0 && count < tables.length ? 1 : 0)),
        endOfGeneration: flagHeld(tables, size, ({ endOfGeneration }) => endOfGeneration, 1),
    };
}

/** @throws EftError VOCABULARY_MISMATCH with the first differences, if the report is not favourable */
export function checkVocabularies({ differences, problems }: VocabularyReport): void {
    if (differences.length > 0) {
        const lines = differences.map((difference) => `  ${describeDifference(difference)}`);
        throw new EftError(
            "VOCABULARY_MISMATCH",
            "The members' vocabularies differ, so their distributions cannot be combined. Use models of one family " +
                `(same tokenizer). First differences:\n${lines.join("\n")}`,
        );
    }
    if (problems.length > 0) throw new EftError("VOCABULARY_MISMATCH", problems.join("\n"));
}

/** How far vocabularies agree, as half a sentence. */
export function describeAgreement({ type, size, addedTokens, members }: VocabularyReport): string {
    const added = flaggedIds(addedTokens).length;
    const [first, ...others] = members.map(({ lacks }) => lacks);
    const masked = first === undefined ? [] : flaggedIds(first).filter((token) => others.every((lacks) => lacks[token] === 1));
    const common = size - added - masked.length;
    return `${type}, ${common} ids mean the same to all members${added > 0 ? `, ${added} more are tokens of some alone` : ""}`;
}

/**
 * A difference as half a sentence, e.g. `id 5: "a" (normal) for chat, "b" (normal) for large`.
 *
 * @throws EftError OPTION_INVALID
 */
export function describeDifference(difference: VocabularyDifference): string {
    mapping("What describeDifference takes", difference);
    const { token, member, memberMeaning, reference, referenceMeaning } = difference;
    const subject = token < 0 ? "" : `id ${token}: `;
    return `${subject}${memberMeaning} for ${member}, ${referenceMeaning} for ${reference}`;
}

/** Whether llama.cpp's attributes are those of a control token. */
export function isControl(attributes = 0): boolean {
    return (attributes & KIND_BITS.control) !== 0;
}

/** Ids whose flag is 1. */
export function flaggedIds(flags: Uint8Array): Int32Array {
    const ids: number[] = [];
    for (let id = flags.indexOf(1); id >= 0; id = flags.indexOf(1, id + 1)) ids.push(id);
    return Int32Array.from(ids);
}

/**
 * 1 for tokens of which some member that has them says one of some bits. Loops without calls, here and below: there may be a quarter
 * of a million tokens, and it is done before the first one is drawn.
 */
function flagHeld(
    tables: readonly TokenTable[],
    size: number,
    read: (table: TokenTable) => Int32Array | Uint8Array,
    bits: number,
): Uint8Array {
    const flags = new Uint8Array(size);
    for (const table of tables) {
        const [{ has }, values] = [table, read(table)];
        for (let token = 0; token < size; token++)
            if (has[token] === 1 && ((values[token] ?? 0) & bits) !== 0) flags[token] = 1;
    }
    return flags;
}

function readTable({ name, model }: NamedModel, unusedTokens: Recipe["unusedTokens"], top: number): TokenTable {
    const [attributes, endOfGeneration] = [tokenAttributes(model), model.endOfGeneration()];
    const width = model.info.vocabularySize;
    const ends = [model.info.eos, model.info.eot].filter((token) => token >= 0);
    const has = new Uint8Array(top).fill(1, 0, width);
    for (let token = 0; token < width; token++) {
        if (((attributes[token] ?? 0) & KIND_BITS.unused) === 0 || unusedTokens !== "mask") continue;
        // Files exist whose end token is marked as unused.
        if (!ends.includes(token)) has[token] = 0;
    }
    let texts: readonly string[] | undefined;
    return {
        ...{ name, model, width, attributes, endOfGeneration, ends, has },
        texts: () => (texts ??= model.tokenTexts(0, width)),
    };
}

/** Ids that all members have and that do not mean the same to all, the first few. */
function findDifferences(tables: readonly TokenTable[]): VocabularyDifference[] {
    const [first, ...others] = tables as readonly [TokenTable, ...TokenTable[]];
    const common = Math.min(...tables.map(({ width }) => width));
    // Those of the same tokens are one array.
    const alike = new Set([first.attributes]);
    const differences: VocabularyDifference[] = [];
    for (const other of others) {
        const [own, reference] = [other.model.info.vocabularyType, first.model.info.vocabularyType];
        const names = { member: other.name, reference: first.name };
        if (own !== reference) {
            differences.push({
                ...{ token: -1, ...names },
                memberMeaning: `a ${own} tokenizer`,
                referenceMeaning: `a ${reference} tokenizer`,
            });
            continue;
        }
        if (alike.has(other.attributes)) continue;
        if (other.model.vocabularyHash(common) === first.model.vocabularyHash(common)) {
            alike.add(other.attributes);
            continue;
        }
        for (let token = 0; token < common && differences.length < MAX_DIFFERENCES; token++) {
            if (tables.some(({ has }) => has[token] === 0) || isSame(other, first, token)) continue;
            const [memberMeaning, referenceMeaning] = [meaning(other, token), meaning(first, token)];
            differences.push({ token, ...names, memberMeaning, referenceMeaning });
        }
    }
    return differences;
}

/** How many members have each id. */
function countHolders(tables: readonly TokenTable[], top: number): Uint8Array {
    const holders = new Uint8Array(top);
    for (const { has } of tables) for (let token = 0; token < top; token++) holders[token] = (holders[token] ?? 0) + (has[token] ?? 0);
    return holders;
}

/** Ids that some members lack and that do not mean the same to those that have them. */
function findDisputed(tables: readonly TokenTable[], holders: Uint8Array): number[] {
    const disputed: number[] = [];
    for (let token = 0; token < holders.length; token++) {
        // Nearly always; the rest takes time.
        if (holders[token] === tables.length || holders[token] === 0) continue;
        const [one, ...others] = tables.filter(({ has }) => has[token] === 1) as [TokenTable, ...TokenTable[]];
        if (others.some((other) => !isSame(other, one, token))) disputed.push(token);
    }
    return disputed;
}

function isSame(one: TokenTable, other: TokenTable, token: number): boolean {
    return kindOf(one, token) === kindOf(other, token) && one.texts()[token] === other.texts()[token];
}

function kindOf({ attributes }: TokenTable, token: number): number {
    return (attributes[token] ?? 0) & KIND_MASK;
}

function meaning(table: TokenTable, token: number): string {
    const kind = kindOf(table, token);
    const names = Object.entries(KIND_BITS).flatMap(([name, bit]) => ((kind & bit) === 0 ? [] : [name]));
    return `${JSON.stringify(table.texts()[token])} (${names.join(", ") || "undefined"})`;
}

function describeTable({ name, width, model }: TokenTable, first: TokenTable): string[] {
    const [own, reference] = [model.info, first.model.info];
    return [
        ...(width === first.width ? [] : [`${name} has ${width} ids and ${first.name} ${first.width}.`]),
        ...(own.bos === reference.bos
            ? []
            : [`BOS is ${own.bos} for ${name} and ${reference.bos} for ${first.name}; each begins with its own.`]),
        ...(own.eos === reference.eos
            ? []
            : [`EOS is ${own.eos} for ${name} and ${reference.eos} for ${first.name}; a text ends with either.`]),
    ];
}

/** @param holders - how many members have each id */
function describeMasked(holders: Uint8Array, disputed: readonly number[]): string[] {
    const unused = holders.reduce((count, held) => count + (held === 0 ? 1 : 0), 0) - disputed.length;
    return [
        ...(unused > 0 ? [unused === 1 ? "One unused id is masked." : `${unused} unused ids are masked.`] : []),
        ...(disputed.length === 0
            ? []
            : [`Ids that mean different things to the members that have them are masked: ${disputed.join(", ")}.`]),
    ];
}
