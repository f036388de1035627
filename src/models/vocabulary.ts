/**
 * Members can be fused only if an ordinary token's id means the same text to all members that have it. Files of one family
 * usually agree on everything but the end of the table: padding, and tokens that were added for a fine-tuning. Derivatives also
 * respell control tokens: such an id belongs to those members alone that its meaning is taken from. Ids that are nobody's tokens
 * are masked, ids that some members lack are treated by `added-tokens.ts`, and the rest must match.
 */

import { mapping } from "../options.js";
import { EftError } from "../errors.js";
import type { Recipe } from "../types.js";
import { sharedText } from "./sample-text.js";
import {
    flaggedIds,
    isAlike,
    isOrdinary,
    isSame,
    KIND_BITS,
    meaning,
    readTable,
    type NamedModel,
    type TokenTable,
} from "./token-tables.js";

const MAX_DIFFERENCES = 10;
const COMPLETE = { ids: 1, elsewhere: 0, text: 1 };

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
    /** What it shares with the first member. */
    readonly agreement: Agreement;
}

/** How far two vocabularies agree, in shares from 0 to 1. */
export interface Agreement {
    /** Of the ids that are tokens of either: those that mean the same to both. */
    readonly ids: number;
    /** Of the ids that are tokens of this member: those that are the first one's tokens at other ids. 0 where no ordinary ones differ. */
    readonly elsewhere: number;
    /** Of the tokens of a sample text, in several scripts and programming languages: those that both tokenizers make of it. */
    readonly text: number;
}

/** An id that means different things to members that have it, of which at least one takes it for more than a text. */
export interface DisputedToken {
    readonly token: number;
    /** What it is to each member, e.g. `"<think>" (user-defined)`; undefined: none of its tokens. */
    readonly meanings: readonly (string | undefined)[];
    /** Indices of the members whose token it is. None: it is masked. */
    readonly owners: readonly number[];
}

/** Outcome of comparing the vocabularies of all members. */
export interface VocabularyReport {
    readonly compatible: boolean;
    /** V: the ids of the target are 0 to V - 1. Beyond them no member has a token. */
    readonly size: number;
    /** llama.cpp's tokenizer type, e.g. `SPM` or `BPE`. */
    readonly type: string;
    readonly members: readonly MemberVocabulary[];
    /** Reasons for a refusal: the first few ids of ordinary tokens that mean different things. */
    readonly differences: readonly VocabularyDifference[];
    /** Ids of other tokens that mean different things. */
    readonly disputed: readonly DisputedToken[];
    /** Reasons for a refusal, as sentences: disputes that the recipe does not settle, ends of a text that it makes impossible. */
    readonly problems: readonly string[];
    /** Differences that are allowed but worth knowing, as sentences. */
    readonly notes: readonly string[];
    /** V flags: 1 for control tokens. */
    readonly controlTokens: Uint8Array;
    /** V flags: 1 for added tokens, which some members have and others lack, and for disputed ones. They always stand apart. */
    readonly addedTokens: Uint8Array;
    /** V flags: 1 for tokens that end a generation in the eyes of at least one member that has them. */
    readonly endOfGeneration: Uint8Array;
}

/**
 * Compares texts and kinds of all ids. Never throws; see {@link checkVocabularies}.
 *
 * @param unusedTokens - `mask`: ids of the kind "unused" are nobody's tokens, but for EOS and EOT
 * @param owners - indices of the members whose tokens disputed ids are, where they agree among themselves. None: whose they are is
 *     not known, and they are nobody's
 */
export function compareVocabularies(
    members: readonly NamedModel[],
    unusedTokens: Recipe["unusedTokens"] = "mask",
    owners: readonly number[] = [],
): VocabularyReport {
    const top = Math.max(...members.map(({ model }) => model.info.vocabularySize));
    const tables = members.map((member) => readTable(member, unusedTokens, top));
    const [first] = tables;
    if (first === undefined) throw new EftError("OPTION_INVALID", "There is no member to compare vocabularies of.");
    const unlike = findUnlike(tables);
    const agreements = tables.map((table) => agreementOf(table, first, unlike));
    const differences = [...describeTypes(tables), ...findDifferences(tables, unlike)].slice(0, MAX_DIFFERENCES);
    const disputed = differences.length > 0 ? [] : unlike.map((token) => settle(token, tables, owners));
    const isDisputed = new Set(disputed.map(({ token }) => token));
    const holders = countHolders(tables, top);
    const size = holders.findLastIndex((count) => count > 0) + 1;
    const isAdded = (count: number, token: number): boolean =>
        count > 0 && (count < tables.length || isDisputed.has(token));
    return {
        compatible: differences.length === 0,
        size,
        type: first.model.info.vocabularyType,
        members: tables.map(({ name, width, has, ends, model: { info } }, index) => ({
            name,
            width,
            special: { bos: info.bos, eos: info.eos, eot: info.eot },
            lacks: has.slice(0, size).map((flag) => 1 - flag),
            endsAlone: ends.some((token) => has[token] === 1 && isAdded(holders[token] ?? 0, token)),
            agreement: {
                ...(agreements[index] ?? COMPLETE),
                ...(differences.length > 0 && { elsewhere: shareElsewhere(tables[index] ?? first, first) }),
            },
        })),
        differences,
        disputed,
        problems: [],
        notes: [
            ...tables.slice(1).flatMap((table, index) => describeTable(table, first, agreements[index + 1])),
            ...describeMasked(holders, disputed),
            ...describeDisputes({ disputed, members }),
        ],
        controlTokens: flagHeld(tables, size, ({ attributes }) => attributes, KIND_BITS.control),
        addedTokens: holders.slice(0, size).map((count, token) => (isAdded(count, token) ? 1 : 0)),
        endOfGeneration: flagHeld(tables, size, ({ endOfGeneration }) => endOfGeneration, 1),
    };
}

/** @throws EftError VOCABULARY_MISMATCH with the first differences, if the report is not favourable */
export function checkVocabularies({ differences, problems, members }: VocabularyReport): void {
    if (differences.length > 0) {
        const [{ name: first }, ...others] = members as readonly [MemberVocabulary, ...MemberVocabulary[]];
        const shares = others.map(
            ({ name, agreement: { ids, elsewhere, text } }) =>
                `${name} shares ${percent(ids)} of ids and ${percent(text)} of the tokens of a sample text with ${first}` +
                (elsewhere > ids ? ` (and has ${percent(elsewhere)} of its tokens at other ids, which are not mapped)` : ""),
        );
        const lines = differences.map((difference) => `  ${describeDifference(difference)}`);
        throw new EftError(
            "VOCABULARY_MISMATCH",
            "The members' vocabularies differ in ordinary tokens, so their distributions cannot be combined: " +
                `${shares.join(", and ")}. Use models of one family (same tokenizer); distributions over texts of different ` +
                `tokens are not computed. First differences:\n${lines.join("\n")}`,
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
    const text = Math.min(...members.map(({ agreement }) => agreement.text));
    return [
        `${type}, ${common} ids mean the same to all members`,
        ...(added > 0 ? [`${added} more are tokens of some alone`] : []),
        ...(text < 1 ? [`${percent(text)} of the tokens of a sample text are the same`] : []),
    ].join(", ");
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

/** How many members have each id. */
function countHolders(tables: readonly TokenTable[], top: number): Uint8Array {
    const holders = new Uint8Array(top);
    for (const { has } of tables) for (let token = 0; token < top; token++) holders[token] = (holders[token] ?? 0) + (has[token] ?? 0);
    return holders;
}

/** Ids that do not mean the same to all members that have them. */
function findUnlike(tables: readonly TokenTable[]): number[] {
    const [first, ...others] = tables as readonly [TokenTable, ...TokenTable[]];
    // Then nothing else can be compared.
    if (others.some(({ model }) => model.info.vocabularyType !== first.model.info.vocabularyType)) return [];
    const common = Math.min(...tables.map(({ width }) => width));
    const byTable = new Map(tables.map((table) => [`${table.model.vocabularyHash(common)} ${table.ends.join()}`, table]));
    const unlike: number[] = [];
    const compare = (among: readonly TokenTable[], from: number, to: number): void => {
        for (let token = from; token < to; token++) {
            let one: TokenTable | undefined;
            for (const other of among) {
                if (other.has[token] !== 1) continue;
                one ??= other;
                if (one === other || isSame(one, other, token)) continue;
                unlike.push(token);
                break;
            }
        }
    };
    if (byTable.size > 1) compare([...byTable.values()], 0, common);
    compare(tables, common, first.has.length);
    return unlike;
}

function agreementOf(table: TokenTable, first: TokenTable, unlike: readonly number[]): Agreement {
    if (table.model.info.vocabularyType !== first.model.info.vocabularyType) return { ids: 0, elsewhere: 0, text: 0 };
    let [both, either] = [0, 0];
    for (let token = 0; token < first.has.length; token++) {
        const holders = (table.has[token] ?? 0) + (first.has[token] ?? 0);
        if (holders > 0) either++;
        if (holders > 1) both++;
    }
    const isUnlike = (token: number): boolean =>
        table.has[token] === 1 && first.has[token] === 1 && !isSame(table, first, token);
    const same = both - unlike.filter(isUnlike).length;
    return { ...COMPLETE, ids: either === 0 ? 1 : same / either, text: sharedText(table.model, first.model) };
}

function shareElsewhere(table: TokenTable, first: TokenTable): number {
    if (table.model.info.vocabularyType !== first.model.info.vocabularyType) return 0;
    const [texts, others] = [table.texts(), first.texts()];
    const places = new Map(others.map((text, token) => [text, token]));
    const moved = texts.filter((text, token) => text !== others[token] && places.has(text));
    return moved.length / texts.length;
}

function describeTypes([first, ...others]: readonly TokenTable[]): VocabularyDifference[] {
    const reference = first?.model.info.vocabularyType;
    return others
        .filter(({ model }) => model.info.vocabularyType !== reference)
        .map(({ name, model }) => ({
            ...{ token: -1, member: name, reference: first?.name ?? "" },
            memberMeaning: `a ${model.info.vocabularyType} tokenizer`,
            referenceMeaning: `a ${reference} tokenizer`,
        }));
}

/** Ids that all members have and that are different ordinary tokens to two of them, the first few. */
function findDifferences(tables: readonly TokenTable[], unlike: readonly number[]): VocabularyDifference[] {
    const differences: VocabularyDifference[] = [];
    for (const token of unlike) {
        if (differences.length >= MAX_DIFFERENCES) break;
        if (tables.some(({ has }) => has[token] === 0)) continue;
        const [first, ...others] = tables.filter((table) => isOrdinary(table, token));
        const other = first && others.find((each) => !isSame(each, first, token));
        if (first === undefined || other === undefined) continue;
        const [memberMeaning, referenceMeaning] = [meaning(other, token), meaning(first, token)];
        differences.push({ token, member: other.name, reference: first.name, memberMeaning, referenceMeaning });
    }
    return differences;
}

/** Decides whose token a disputed id is, and takes it from the others. */
function settle(token: number, tables: readonly TokenTable[], owners: readonly number[]): DisputedToken {
    const meanings = tables.map((table) => (table.has[token] === 1 ? meaning(table, token) : undefined));
    const holders = tables.filter(({ has }) => has[token] === 1);
    const isAgreed = (among: readonly TokenTable[]): boolean =>
        among.every((one) => among.every((other) => isAlike(one, other, token)));
    // An end that is spelled in two ways is one, where those who have it decide about it anyway.
    const deciding = owners.length > 0 ? tables.filter((_, index) => owners.includes(index)) : holders;
    const isOwned =
        deciding.every(({ has }) => has[token] === 1) &&
        (owners.length > 0 || holders.length < tables.length) &&
        isAgreed(deciding);
    for (const table of holders) {
        const isOwn = isOwned && deciding.some((other) => other === table || isSame(other, table, token));
        if (!isOwn) table.has[token] = 0;
    }
    return { token, meanings, owners: tables.flatMap(({ has }, index) => (has[token] === 1 ? [index] : [])) };
}

function describeTable(
    { name, width, model }: TokenTable,
    first: TokenTable,
    { text }: Agreement = COMPLETE,
): string[] {
    const [own, reference] = [model.info, first.model.info];
    return [
        ...(width === first.width ? [] : [`${name} has ${width} ids and ${first.name} ${first.width}.`]),
        ...(own.bos === reference.bos
            ? []
            : [`BOS is ${own.bos} for ${name} and ${reference.bos} for ${first.name}; each begins with its own.`]),
        ...(own.eos === reference.eos
            ? []
            : [`EOS is ${own.eos} for ${name} and ${reference.eos} for ${first.name}; a text ends with either.`]),
        ...(text === 1
            ? []
            : [`${name} and ${first.name} cut texts differently: ${percent(text)} of the tokens of a sample are the same.`]),
    ];
}

/** @param holders - how many members have each id */
function describeMasked(holders: Uint8Array, disputed: readonly DisputedToken[]): string[] {
    const masked = disputed.filter(({ owners }) => owners.length === 0).map(({ token }) => token);
    const unused = holders.reduce((count, held) => count + (held === 0 ? 1 : 0), 0) - masked.length;
    return [
        ...(unused > 0 ? [unused === 1 ? "One unused id is masked." : `${unused} unused ids are masked.`] : []),
        ...(masked.length === 0
            ? []
            : [`Ids that mean different things to the members that have them are masked: ${listIds(masked)}.`]),
    ];
}

/** What becomes of ids that mean different things and are somebody's tokens, as sentences. */
export function describeDisputes({
    disputed,
    members,
}: Pick<VocabularyReport, "disputed"> & { readonly members: readonly { readonly name: string }[] }): string[] {
    const owned = disputed.filter(({ owners }) => owners.length > 0);
    const [example] = owned;
    if (example === undefined) return [];
    const names = members.filter((_, index) => example.owners.includes(index)).map(({ name }) => name);
    return [
        `Ids that mean different things to the members: ${listIds(owned.map(({ token }) => token))}; they are tokens of ` +
            `${names.join(" and ")} alone. ${describeDispute(example, members)}.`,
    ];
}

/** A dispute as half a sentence, e.g. `Id 5 is "<a>" (control) for chat and "<b>" (control) for large`. */
export function describeDispute({ token, meanings }: DisputedToken, members: readonly { readonly name: string }[]): string {
    const names = new Map<string, string[]>();
    for (const [index, each] of meanings.entries())
        if (each !== undefined) names.set(each, [...(names.get(each) ?? []), members[index]?.name ?? ""]);
    const parts = [...names].map(([each, of]) => `${each} for ${of.join(" and ")}`);
    return `Id ${token} is ${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}

function listIds(ids: readonly number[]): string {
    const shown = ids.slice(0, MAX_DIFFERENCES).join(", ");
    return ids.length > MAX_DIFFERENCES ? `${shown} and ${ids.length - MAX_DIFFERENCES} more` : shown;
}

/** Never 100 % of what is not all. */
function percent(share: number): string {
    return `${Math.floor(share * 1000) / 10} %`;
}
