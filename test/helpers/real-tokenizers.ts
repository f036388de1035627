/** Vocabularies of well-known families, which scripts/real-vocabularies.mjs fetches, and the tokenizers that they come from. */

import * as tokenizers from "@huggingface/tokenizers";
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../../src/package.js";
import type { MetadataValue, Scalar, ScalarType } from "./gguf.js";
import { TOKEN_TYPE } from "./vocabulary.js";

interface Shape {
    readonly architecture: "llama" | "qwen3" | "gemma3";
    /** In GGUF's words: `llama` is SentencePiece's, `gpt2` that of bytes. */
    readonly model: "llama" | "gpt2";
    readonly pre: string;
    readonly bos: number;
    readonly eos: Readonly<Record<Role, number>>;
    /** Ids with padding, which large models of a family have more of. */
    readonly widths: Readonly<Record<Size, number>>;
    /** What else of tokenizers a file says, by its key behind `tokenizer.ggml.`. */
    readonly rules: Readonly<Record<string, boolean>>;
    /** Of the chat model, among llama.cpp's. */
    readonly template?: string;
    /** Control tokens of a further fine-tuning: the one that begins a turn, and the one that ends it. */
    readonly added: readonly [start: readonly [id: number, text: string], end: readonly [id: number, text: string]];
}
export type Role = "base" | "chat";
export type Size = "large" | "small";

/** As published files have it. */
export const FAMILIES = {
    llama2: {
        ...{ architecture: "llama", model: "llama", pre: "default", bos: 1, eos: { base: 2, chat: 2 } },
        widths: { large: 32_000, small: 32_000 },
        rules: { add_bos_token: true, add_eos_token: false },
        template: undefined,
        // Behind the last one.
        ...{
            added: [
                [32_001, "<|im_start|>"],
                [32_000, "<|im_end|>"],
            ],
        },
    },
    llama3: {
        ...{ architecture: "llama", model: "gpt2", pre: "llama-bpe", bos: 128_000 },
        ...{ eos: { base: 128_001, chat: 128_009 }, widths: { large: 128_256, small: 128_256 } },
        rules: {},
        template: "meta-llama-Llama-3.1-8B-Instruct.jinja",
        // Behind the last one.
        ...{
            added: [
                [128_257, "<|im_start|>"],
                [128_256, "<|im_end|>"],
            ],
        },
    },
    qwen3: {
        ...{ architecture: "qwen3", model: "gpt2", pre: "qwen2", bos: 151_643 },
        ...{ eos: { base: 151_643, chat: 151_645 }, widths: { large: 152_064, small: 151_936 } },
        rules: { add_bos_token: false },
        template: "Qwen-Qwen3-0.6B.jinja",
        // In the place of padding.
        ...{
            added: [
                [151_669, "<|turn|>"],
                [151_670, "<|end_of_turn|>"],
            ],
        },
    },
    gemma3: {
        ...{ architecture: "gemma3", model: "llama", pre: "default", bos: 2, eos: { base: 1, chat: 106 } },
        widths: { large: 262_208, small: 262_144 },
        rules: { add_bos_token: true, add_eos_token: false, add_space_prefix: false },
        template: undefined,
        // In the place of `<unused0>` and `<unused1>`.
        ...{
            added: [
                [6, "<|im_start|>"],
                [7, "<|im_end|>"],
            ],
        },
    },
} as const satisfies Readonly<Record<string, Shape>>;
export type RealFamilyName = keyof typeof FAMILIES;
export const REAL_FAMILIES = Object.keys(FAMILIES) as RealFamilyName[];
/** Those whose templates know tools. */
export const TOOL_FAMILIES = ["llama3", "qwen3"] as const;
export type ToolFamilyName = (typeof TOOL_FAMILIES)[number];

const FOLDER = path.join(packageRoot, "build", "real-vocabularies");
const [UNKNOWN, BYTE] = [2, 6];

/** Whether a family's vocabulary has been fetched. @throws where all is checked and it has not */
export function isFetched(name: RealFamilyName): boolean {
    if (findFile(name, "tokenizer.json") !== undefined) return true;
    if (process.env.CI) throw new Error("Run node scripts/real-vocabularies.mjs first.");
    return false;
}

function findFile(name: RealFamilyName, file: string): string | undefined {
    try {
        const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" });
        const found = files.find((each) => each.endsWith(path.join(path.sep, name, file)));
        return found === undefined ? undefined : path.join(FOLDER, found);
    } catch {
        return undefined;
    }
}

interface AddedToken {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
}
interface TokenizerFile {
    readonly model: {
        readonly vocab: Readonly<Record<string, number>>;
        readonly merges: readonly (string | readonly [string, string])[];
    };
    readonly added_tokens: readonly AddedToken[];
}

function readJson<T>(name: RealFamilyName, file: string): T {
    return JSON.parse(readFileSync(findFile(name, file) ?? "", "utf8")) as T;
}

/** Jinja, where the family's package has it. */
export function templateOf(name: RealFamilyName): string | undefined {
    return readJson<{ chat_template?: string }>(name, "tokenizer_config.json").chat_template;
}

/** What llama.cpp's converter takes for a control token, whatever the file calls it. */
function isControl({ content, special }: AddedToken): boolean {
    return special || /^(<[|\uff5c].*[|\uff5c]>|<unused.*>|<pad>|<mask>)$/.test(content);
}

/** Of a token that another fine-tuning has added, by what it is spelled like. */
function typeOf(content: string): number {
    if (content.startsWith("[PAD")) return TOKEN_TYPE.unused;
    return isControl({ id: -1, content, special: false }) ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
}

/** The package's own declarations cannot be resolved. */
const { Tokenizer } = tokenizers as unknown as {
    Tokenizer: new (file: object, settings: object) => { encode(text: string, options: object): { ids: number[] } };
};

/** Ids of a text, with what its tokenizer puts around every text if asked for. */
export type Reference = (text: string, addSpecial?: boolean) => number[];

/**
 * A family's own tokenizer, as transformers has it.
 *
 * @param controlIsText - what spells a control token is text
 */
export function referenceTokenizer(name: RealFamilyName, controlIsText = false): Reference {
    const file = readJson<TokenizerFile>(name, "tokenizer.json");
    const tokenizer = new Tokenizer(
        controlIsText ? { ...file, added_tokens: file.added_tokens.filter((token) => !isControl(token)) } : file,
        readJson<object>(name, "tokenizer_config.json"),
    );
    return (text, addSpecial = false) => tokenizer.encode(text, { add_special_tokens: addSpecial }).ids;
}

export interface RealVocabulary {
    readonly ids: ReadonlyMap<string, number>;
    /**
     * Metadata; the same objects for the same size, so that they are encoded once.
     *
     * @param control - other added tokens in the place of others or behind the last one
     */
    readonly describe: (
        size: Size,
        control: ReadonlyMap<number, string>,
    ) => { readonly width: number; readonly entries: Readonly<Record<string, MetadataValue>> };
}

/** What llama.cpp's converter makes of it. */
export function readVocabulary(name: RealFamilyName): RealVocabulary {
    const { widths, pre, model: kind } = FAMILIES[name];
    const { model, added_tokens: added } = readJson<TokenizerFile>(name, "tokenizer.json");
    const isSentencePiece = kind === "llama";
    const merges = model.merges.map((merge) => (typeof merge === "string" ? splitMerge(merge) : merge));
    const tokens = Array.from({ length: widths.large }, (_, id) => `[PAD${id}]`);
    const types = new Array<number>(widths.large).fill(TOKEN_TYPE.unused);
    const scores = new Array<number>(widths.large).fill(-10_000);
    const ids = new Map(Object.entries(model.vocab));
    // The packages have not kept the scores, but the order of the merges is theirs.
    const ranks = new Map<string, number>();
    if (isSentencePiece) merges.forEach((pair, rank) => ranks.has(pair.join("")) || ranks.set(pair.join(""), rank));
    for (const [token, id] of ids) {
        const isByte = isSentencePiece && /^<0x[0-9A-F]{2}>$/.test(token);
        [tokens[id], types[id]] = [token, isByte ? BYTE : TOKEN_TYPE.normal];
        scores[id] = isByte ? 0 : -(ranks.get(token) ?? merges.length + id);
    }
    for (const token of added) {
        const { id, content } = token;
        tokens[id] = isSentencePiece ? content.replaceAll("\u2581", " ") : content;
        types[id] = isControl(token) ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined;
        scores[id] = -1000;
        ids.set(content, id);
    }
    const unknown = ids.get("<unk>");
    if (isSentencePiece && unknown !== undefined) types[unknown] = UNKNOWN;
    const shared = {
        "tokenizer.ggml.model": scalar("string", kind),
        "tokenizer.ggml.pre": scalar("string", pre),
        ...(unknown !== undefined && { "tokenizer.ggml.unknown_token_id": scalar("uint32", unknown) }),
        ...(!isSentencePiece && {
            "tokenizer.ggml.merges": array(
                "string",
                merges.map((pair) => pair.join(" ")),
            ),
        }),
    };
    const make: RealVocabulary["describe"] = (size, control) => {
        const width = Math.max(widths[size], ...[...control.keys()].map((id) => id + 1));
        const column = <T extends Scalar>(type: ScalarType, values: readonly T[], own: (text: string) => T) => {
            const changed = Array.from({ length: width }, (_, id) => {
                const text = control.get(id);
                return text === undefined ? (values[id] as T) : own(text);
            });
            return array(type, changed);
        };
        const entries = {
            ...shared,
            "tokenizer.ggml.tokens": column("string", tokens, (text) => text),
            "tokenizer.ggml.token_type": column("int32", types, typeOf),
            ...(isSentencePiece && { "tokenizer.ggml.scores": column("float32", scores, () => -1000) }),
        };
        return { width, entries };
    };
    const plain = { large: make("large", new Map()), small: make("small", new Map()) };
    return { ids, describe: (size, control) => (control.size === 0 ? plain[size] : make(size, control)) };
}

function splitMerge(merge: string): [string, string] {
    const at = merge.indexOf(" ", 1);
    return [merge.slice(0, at), merge.slice(at + 1)];
}

/** A way from token to token that says a text of ASCII, on which none is met twice. @param after - the first, by its text or id */
export function findWay(
    name: RealFamilyName,
    ids: RealVocabulary["ids"],
    after: string | number,
    text: string,
): number[] {
    // Byte-level vocabularies write blanks and line ends as letters.
    const spell = (said: string): string =>
        FAMILIES[name].model === "gpt2"
            ? said.replaceAll(" ", "\u0120").replaceAll("\n", "\u010a")
            : said.replaceAll(" ", "\u2581");
    const whole = spell(text);
    const longest = 20;
    const find = (at: number, way: readonly number[]): readonly number[] | undefined => {
        if (at === whole.length) return way;
        for (let length = Math.min(longest, whole.length - at); length > 0; length--) {
            const id = ids.get(whole.slice(at, at + length));
            const found = id === undefined || way.includes(id) ? undefined : find(at + length, [...way, id]);
            if (found !== undefined) return found;
        }
        return undefined;
    };
    const way = find(0, [typeof after === "number" ? after : (ids.get(spell(after)) ?? NaN)]);
    if (way === undefined) throw new Error(`Every way to write ${JSON.stringify(text)} repeats a token.`);
    return [...way];
}

export const scalar = (type: ScalarType, value: Scalar): MetadataValue => ({ type, value });
export const array = (of: ScalarType, value: Scalar[]): MetadataValue => ({ type: "array", of, value });
