/** Tiny models with random weights that have the vocabularies, special ids and chat templates of well-known families. */

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { parseRecipe, type Recipe } from "../../src/index.js";
import { packageRoot } from "../../src/package.js";
import {
    GGML_TYPE,
    fromFloat32,
    writeGguf,
    type MetadataValue,
    type Scalar,
    type ScalarType,
    type Tensor,
} from "./gguf.js";
import { readPublicTemplates } from "./public-templates.js";
import { temporaryFolder } from "./temporary.js";
import { TOKEN_TYPE } from "./vocabulary.js";

interface Shape {
    readonly architecture: "llama" | "qwen3";
    readonly pre: string;
    readonly bos: number;
    readonly eos: Readonly<Record<Role, number>>;
    /** Ids with padding, which large models of a family have more of. */
    readonly widths: Readonly<Record<Size, number>>;
    readonly template: string;
}
type Role = "base" | "chat";
type Size = "large" | "small";

/** As published files have it. */
const FAMILIES = {
    llama3: {
        ...{ architecture: "llama", pre: "llama-bpe", bos: 128_000, eos: { base: 128_001, chat: 128_009 } },
        widths: { large: 128_256, small: 128_256 },
        template: "meta-llama-Llama-3.1-8B-Instruct.jinja",
    },
    qwen3: {
        ...{ architecture: "qwen3", pre: "qwen2", bos: 151_643, eos: { base: 151_643, chat: 151_645 } },
        widths: { large: 152_064, small: 151_936 },
        template: "Qwen-Qwen3-0.6B.jinja",
    },
} as const satisfies Readonly<Record<string, Shape>>;
export type RealFamilyName = keyof typeof FAMILIES;

const FOLDER = path.join(packageRoot, "build", "real-vocabularies");
const [EMBEDDING, FEED_FORWARD, HEADS, CONTEXT] = [32, 64, 2, 4096];
/** Standard deviation of the logits: about as flat as a language model in mid-sentence. */
const LOGIT_DEVIATION = 3;
/** How much attention counts: llama.cpp sums it in half precision, and what it rounds depends on the batch. */
const ATTENTION = 1 / 16;
/** Logit of what a scripted model says next. */
const CERTAIN = 100;

export const REAL_FAMILIES = Object.keys(FAMILIES) as RealFamilyName[];

/** Whether a family's vocabulary has been fetched. @throws where all is checked and it has not */
export function isFetched(name: RealFamilyName): boolean {
    if (findVocabulary(name) !== undefined) return true;
    if (process.env.CI) throw new Error("Run node scripts/real-vocabularies.mjs first.");
    return false;
}

export interface RealFamily {
    /** Jinja, as the fine-tuned models carry it. */
    readonly template: string;
    /** Up-scaling with three models, of YAML without its first lines; `chat` in the place of the fine-tuned one. */
    readonly recipe: (more?: string, chat?: string) => Recipe;
    /**
     * Writes a fine-tuned model that says one text. The last token alone decides what comes next, so the text is cut into tokens
     * of which none comes twice.
     *
     * @param after - the token that the prompt ends with
     * @returns its file
     */
    readonly writeScripted: (after: string, text: string) => string;
    readonly remove: () => void;
}

/** Writes a large base model, a small one, and a fine-tuned small one, which alone carries the template. */
export async function writeRealFamily(name: RealFamilyName): Promise<RealFamily> {
    const vocabulary = readVocabulary(name);
    const template = (await readPublicTemplates()).get(FAMILIES[name].template) ?? "";
    const { folder, remove } = temporaryFolder();
    const write = (model: string, role: Role, seed: number, links?: Links): string => {
        const file = path.join(folder, `${model}.gguf`);
        const size = model === "large-base" ? "large" : "small";
        const metadata = {
            ...listMetadata(name, role, size),
            ...vocabulary.entries[size],
            ...(role === "chat" && { "tokenizer.chat_template": scalar("string", template) }),
        };
        const tensors = listTensors(name, size, seed, links);
        writeGguf(file, { metadata: new Map(Object.entries(metadata)), tensors });
        return file;
    };
    write("large-base", "base", 1);
    write("small-base", "base", 2);
    const tuned = write("small-chat", "chat", 3);
    let scripts = 0;
    return {
        template,
        recipe: (more = "", chat = tuned) =>
            parseRecipe(
                `eft: 1
name: ${name}
members:
    large: { model: large-base.gguf }
    chat: { model: ${JSON.stringify(chat)} }
    small: { model: small-base.gguf }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
${more}`,
                { directory: folder },
            ),
        writeScripted: (after, text) =>
            write(`scripted-${++scripts}`, "chat", 4, linkTokens(vocabulary.ids, after, text)),
        remove,
    };
}

interface Vocabulary {
    readonly ids: ReadonlyMap<string, number>;
    /** Metadata, shared by the models of a size, so that they are encoded once. */
    readonly entries: Readonly<Record<Size, Readonly<Record<string, MetadataValue>>>>;
}

function findVocabulary(name: RealFamilyName): string | undefined {
    try {
        const files = readdirSync(FOLDER, { recursive: true, encoding: "utf8" });
        const found = files.find((file) => file.endsWith(path.join(name, "tokenizer.json")));
        return found === undefined ? undefined : path.join(FOLDER, found);
    } catch {
        return undefined;
    }
}

interface TokenizerFile {
    readonly model: {
        readonly vocab: Readonly<Record<string, number>>;
        readonly merges: readonly (string | readonly string[])[];
    };
    readonly added_tokens: readonly { readonly id: number; readonly content: string; readonly special: boolean }[];
}

/** What llama.cpp's converter makes of it. */
function readVocabulary(name: RealFamilyName): Vocabulary {
    const { widths, pre } = FAMILIES[name];
    const text = readFileSync(findVocabulary(name) ?? "", "utf8");
    const { model, added_tokens: added } = JSON.parse(text) as TokenizerFile;
    const tokens = Array.from({ length: widths.large }, (_, id) => `[PAD${id}]`);
    const types = new Array<number>(widths.large).fill(TOKEN_TYPE.unused);
    const ids = new Map(Object.entries(model.vocab));
    for (const [token, id] of ids) [tokens[id], types[id]] = [token, TOKEN_TYPE.normal];
    for (const { id, content, special } of added) {
        const isControl = special || /^<\|.*\|>$/.test(content);
        [tokens[id], types[id]] = [content, isControl ? TOKEN_TYPE.control : TOKEN_TYPE.userDefined];
        ids.set(content, id);
    }
    const merges = model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
    const shared = {
        "tokenizer.ggml.model": scalar("string", "gpt2"),
        "tokenizer.ggml.pre": scalar("string", pre),
        "tokenizer.ggml.merges": array("string", merges),
    };
    const entriesOf = (width: number): Record<string, MetadataValue> => ({
        ...shared,
        "tokenizer.ggml.tokens": array("string", tokens.slice(0, width)),
        "tokenizer.ggml.token_type": array("int32", types.slice(0, width)),
    });
    return { ids, entries: { large: entriesOf(widths.large), small: entriesOf(widths.small) } };
}

const layersOf = (size: Size): number => (size === "large" ? 2 : 1);

/** All but the vocabulary and the template. */
function listMetadata(name: RealFamilyName, role: Role, size: Size): Record<string, MetadataValue> {
    const { architecture, widths, bos, eos } = FAMILIES[name];
    const head = EMBEDDING / HEADS;
    const sizes = {
        ...{ context_length: CONTEXT, embedding_length: EMBEDDING, feed_forward_length: FEED_FORWARD },
        ...{ block_count: layersOf(size), vocab_size: widths[size], "rope.dimension_count": head },
        ...{ "attention.head_count": HEADS, "attention.head_count_kv": HEADS },
        ...{ "attention.key_length": head, "attention.value_length": head },
    };
    return {
        "general.architecture": scalar("string", architecture),
        "general.name": scalar("string", `${name} ${size} ${role}`),
        "general.file_type": scalar("uint32", 0),
        ...Object.fromEntries(
            Object.entries(sizes).map(([key, value]) => [`${architecture}.${key}`, scalar("uint32", value)]),
        ),
        [`${architecture}.attention.layer_norm_rms_epsilon`]: scalar("float32", 1e-6),
        "tokenizer.ggml.bos_token_id": scalar("uint32", bos),
        "tokenizer.ggml.eos_token_id": scalar("uint32", eos[role]),
        ...(name === "qwen3" && { "tokenizer.ggml.add_bos_token": scalar("bool", false) }),
    };
}

/** What follows on each token, by id. */
type Links = ReadonlyMap<number, number>;

/** In float32, where the size of a batch changes next to nothing. */
function listTensors(name: RealFamilyName, size: Size, seed: number, links: Links | undefined): Tensor[] {
    const { architecture, widths } = FAMILIES[name];
    const width = widths[size];
    let state = seed;
    const tensor = (title: string, shape: number[], weights: Float32Array): Tensor => ({
        ...{ name: title, shape, type: GGML_TYPE.f32 },
        data: fromFloat32(weights),
    });
    const norm = (title: string, columns: number): Tensor =>
        tensor(title, [columns], new Float32Array(columns).fill(1));
    /** Uniform (Marsaglia, "Xorshift RNGs", 2003). Without globals in the loop, which are slow within Jest. */
    const draw = (count: number, deviation: number): Float32Array => {
        const weights = new Float32Array(count);
        const scale = (Math.sqrt(3) * deviation) / 2 ** 31;
        for (let i = 0; i < count; i++) {
            state ^= state << 13;
            state ^= state >>> 17;
            state ^= state << 5;
            weights[i] = state * scale;
        }
        return weights;
    };
    const matrix = (title: string, columns: number, rows: number, gain = 1): Tensor =>
        tensor(title, [columns, rows], draw(columns * rows, gain * columns ** -0.5));
    // Then the text so far plays no role but for its last token.
    const residual = links === undefined ? 1 : 0;
    const embedding = draw(EMBEDDING * width, 1);
    const output = draw(EMBEDDING * width, LOGIT_DEVIATION * EMBEDDING ** -0.5);
    for (const [from, to] of links ?? []) {
        for (let i = 0; i < EMBEDDING; i++)
            output[to * EMBEDDING + i]! += (CERTAIN * embedding[from * EMBEDDING + i]!) / EMBEDDING;
    }
    const head = EMBEDDING / HEADS;
    const layer = (block: string): Tensor[] => [
        norm(`${block}.attn_norm.weight`, EMBEDDING),
        ...["q", "k", "v"].map((part) => matrix(`${block}.attn_${part}.weight`, EMBEDDING, EMBEDDING)),
        ...(architecture === "qwen3" ? ["q", "k"].map((part) => norm(`${block}.attn_${part}_norm.weight`, head)) : []),
        matrix(`${block}.attn_output.weight`, EMBEDDING, EMBEDDING, residual * ATTENTION),
        norm(`${block}.ffn_norm.weight`, EMBEDDING),
        matrix(`${block}.ffn_gate.weight`, EMBEDDING, FEED_FORWARD),
        matrix(`${block}.ffn_up.weight`, EMBEDDING, FEED_FORWARD),
        matrix(`${block}.ffn_down.weight`, FEED_FORWARD, EMBEDDING, residual),
    ];
    return [
        tensor("token_embd.weight", [EMBEDDING, width], embedding),
        ...Array.from({ length: layersOf(size) }, (_, index) => layer(`blk.${index}`)).flat(),
        norm("output_norm.weight", EMBEDDING),
        tensor("output.weight", [EMBEDDING, width], output),
    ];
}

/** A way from token to token that says the text, on which none is met twice. */
function linkTokens(ids: ReadonlyMap<string, number>, after: string, text: string): Links {
    // Byte-level vocabularies write blanks and line ends as letters.
    const spell = (said: string): string => said.replaceAll(" ", "\u0120").replaceAll("\n", "\u010a");
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
    const way = find(0, [ids.get(spell(after)) ?? NaN]);
    if (way === undefined) throw new Error(`Every way to write ${JSON.stringify(text)} repeats a token.`);
    return new Map(way.slice(1).map((to, index) => [way[index] ?? NaN, to]));
}

const scalar = (type: ScalarType, value: Scalar): MetadataValue => ({ type, value });
const array = (of: ScalarType, value: Scalar[]): MetadataValue => ({ type: "array", of, value });
