/** Tiny models with random weights that have the vocabularies, special ids and chat templates of well-known families. */

import path from "node:path";
import { parseRecipe, type Recipe } from "../../src/index.js";
import { GGML_TYPE, fromFloat32, writeGguf, type MetadataValue, type Tensor } from "./gguf.js";
import { LLAMA_2, readPublicTemplates } from "./public-templates.js";
import {
    FAMILIES,
    findWay,
    readVocabulary,
    scalar,
    templateOf,
    type RealFamilyName,
    type Role,
    type Size,
} from "./real-tokenizers.js";
import { temporaryFolder } from "./temporary.js";

const [EMBEDDING, FEED_FORWARD, HEADS, CONTEXT] = [32, 64, 2, 4096];
/** Standard deviation of the logits: about as flat as a language model in mid-sentence. */
const LOGIT_DEVIATION = 3;
/** How much attention counts: llama.cpp sums it in half precision, and what it rounds depends on the batch. */
const ATTENTION = 1 / 16;
/** Logit of what a scripted model says next. */
const CERTAIN = 100;

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
    /**
     * Writes a model that was fine-tuned for turns between two control tokens that its base lacks: new ones, or others in the place of
     * padding or of tokens kept for that. The second ends its texts.
     *
     * @param text - what it says to `user`
     */
    readonly writeAdded: (text: string) => string;
    /**
     * Writes a fine-tuned model that gives ids of control tokens other meanings.
     *
     * @param respelled - by id; `[PAD...]` is none
     * @param said - by the model, if not whatever its random weights make it say: what follows on the token `after`
     */
    readonly writeRespelled: (
        respelled: ReadonlyMap<number, string>,
        template: string,
        ends: { readonly bos: number; readonly eos: number },
        said?: { readonly after: string; readonly text: string },
    ) => string;
    readonly remove: () => void;
}

/** Writes a large base model, a small one, and a fine-tuned small one, which alone carries the template. */
export async function writeRealFamily(name: RealFamilyName): Promise<RealFamily> {
    const vocabulary = readVocabulary(name);
    const { added, bos: usual, eos } = FAMILIES[name];
    const template = await readTemplate(name);
    const { folder, remove } = temporaryFolder();
    interface Parts {
        readonly links?: Links;
        readonly control?: ReadonlyMap<number, string>;
        readonly jinja?: string;
        readonly bos?: number;
        readonly end?: number;
    }
    const write = (model: string, role: Role, seed: number, parts: Parts = {}): string => {
        const { links, control = new Map<number, string>(), jinja = template, bos = usual, end = eos[role] } = parts;
        const file = path.join(folder, `${model}.gguf`);
        const size = model === "large-base" ? "large" : "small";
        const { width, entries } = vocabulary.describe(size, control);
        const metadata = {
            ...listMetadata(name, role, size, width),
            ...entries,
            "tokenizer.ggml.bos_token_id": scalar("uint32", bos),
            "tokenizer.ggml.eos_token_id": scalar("uint32", end),
            ...(role === "chat" && { "tokenizer.chat_template": scalar("string", jinja) }),
        };
        const tensors = listTensors(name, size, width, seed, links);
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
            write(`scripted-${++scripts}`, "chat", 4, { links: link(findWay(name, vocabulary.ids, after, text)) }),
        writeAdded(text) {
            const [[start, begins], [end, ends]] = added;
            const jinja = `{% for m in messages %}${begins}{{ m.role }} {{ m.content }}${ends}{% endfor %}{% if add_generation_prompt %}${begins}{% endif %}`;
            return write(`added-${++scripts}`, "chat", 4, {
                ...{ jinja, end, control: new Map(added) },
                links: link([...findWay(name, vocabulary.ids, start, text), end]),
            });
        },
        writeRespelled(respelled, jinja, { bos, eos: end }, said) {
            const ids = new Map([
                ...vocabulary.ids,
                ...[...respelled].map(([id, text]): [string, number] => [text, id]),
            ]);
            return write(`respelled-${++scripts}`, "chat", 5, {
                ...{ jinja, bos, end, control: respelled },
                ...(said && { links: link(findWay(name, ids, said.after, said.text)) }),
            });
        },
        remove,
    };
}

async function readTemplate(name: RealFamilyName): Promise<string> {
    if (name === "llama2") return LLAMA_2;
    const { template } = FAMILIES[name];
    return template === undefined ? (templateOf(name) ?? "") : ((await readPublicTemplates()).get(template) ?? "");
}

const link = (way: readonly number[]): Links => new Map(way.slice(1).map((to, index) => [way[index] ?? NaN, to]));

/** Each sixth layer of Gemma 3 looks at the whole text, the others at the end of it. */
const layersOf = (name: RealFamilyName, size: Size): number => (size === "large" ? 2 : 1) * (name === "gemma3" ? 6 : 1);

/** All but the vocabulary and the template. */
function listMetadata(name: RealFamilyName, role: Role, size: Size, width: number): Record<string, MetadataValue> {
    const { architecture, bos, rules } = FAMILIES[name];
    const head = EMBEDDING / HEADS;
    const sizes = {
        ...{ context_length: CONTEXT, embedding_length: EMBEDDING, feed_forward_length: FEED_FORWARD },
        ...{ block_count: layersOf(name, size), vocab_size: width, "rope.dimension_count": head },
        ...{ "attention.head_count": HEADS, "attention.head_count_kv": HEADS },
        ...{ "attention.key_length": head, "attention.value_length": head },
        ...(name === "gemma3" && { "attention.sliding_window": 512 }),
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
        ...Object.fromEntries(
            Object.entries(rules).map(([key, value]) => [`tokenizer.ggml.${key}`, scalar("bool", value)]),
        ),
    };
}

/** What follows on each token, by id. */
type Links = ReadonlyMap<number, number>;

/** In float32, where the size of a batch changes next to nothing. */
function listTensors(
    name: RealFamilyName,
    size: Size,
    width: number,
    seed: number,
    links: Links | undefined,
): Tensor[] {
    const { architecture } = FAMILIES[name];
    let state = seed;
    const tensor = (title: string, shape: number[], weights: Float32Array): Tensor => ({
        ...{ name: title, shape, type: GGML_TYPE.f32 },
        data: fromFloat32(weights),
    });
    const norm = (title: string, columns: number, gain = 1): Tensor =>
        tensor(title, [columns], new Float32Array(columns).fill(gain));
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
        ...(architecture !== "llama" ? ["q", "k"].map((part) => norm(`${block}.attn_${part}_norm.weight`, head)) : []),
        matrix(`${block}.attn_output.weight`, EMBEDDING, EMBEDDING, residual * ATTENTION),
        ...(architecture === "gemma3"
            ? [norm(`${block}.post_attention_norm.weight`, EMBEDDING, residual * ATTENTION)]
            : []),
        norm(`${block}.ffn_norm.weight`, EMBEDDING),
        matrix(`${block}.ffn_gate.weight`, EMBEDDING, FEED_FORWARD),
        matrix(`${block}.ffn_up.weight`, EMBEDDING, FEED_FORWARD),
        matrix(`${block}.ffn_down.weight`, FEED_FORWARD, EMBEDDING, residual),
        ...(architecture === "gemma3" ? [norm(`${block}.post_ffw_norm.weight`, EMBEDDING, residual)] : []),
    ];
    return [
        tensor("token_embd.weight", [EMBEDDING, width], embedding),
        ...Array.from({ length: layersOf(name, size) }, (_, index) => layer(`blk.${index}`)).flat(),
        norm("output_norm.weight", EMBEDDING),
        tensor("output.weight", [EMBEDDING, width], output),
    ];
}
