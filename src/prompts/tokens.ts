/** From texts to tokens. */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { NativeModel } from "../native/binding.js";
import type { Rendered } from "../template/template.js";
import { controlTokens, splitAtControlTokens } from "./control-tokens.js";

/**
 * Characters that are tokenized on the JavaScript thread in one turn of the event loop: half a millisecond, or two with slow
 * tokenizers. A thread for texts would have to wait for a core beside decoding, often for longer than that.
 */
const AT_ONCE = 2048;
let characters = 0;

/** Whether there is time for that many characters before the event loop goes on. */
function canTokenizeAtOnce(count: number): boolean {
    if (characters === 0) setImmediate(() => (characters = 0));
    if (characters + count > AT_ONCE) return false;
    characters += count;
    return true;
}

/** Tokens of each text; what spells a control token is text. They do not hold up the event loop. */
async function tokenize(model: NativeModel, texts: readonly string[], addSpecial: boolean): Promise<Int32Array[]> {
    const count = texts.reduce((sum, { length }) => sum + length, 0);
    if (count > AT_ONCE) return model.tokenizeAll(texts, addSpecial, false);
    while (!canTokenizeAtOnce(count)) await nextTurn();
    return texts.map((text) => model.tokenize(text, addSpecial, false));
}

interface Tokenizer {
    /** Equal for models that make the same tokens of every text. */
    readonly key: string;
    /** What it puts in front of every text. */
    readonly lead: Int32Array;
}

const tokenizers = new WeakMap<NativeModel, Tokenizer>();

function tokenizerOf(model: NativeModel): Tokenizer {
    let found = tokenizers.get(model);
    if (found === undefined) {
        const lead = withoutEnd(model, model.tokenize("", true, false));
        found = { key: `${model.info.vocabularySize} ${model.tokenizerHash()} ${lead.join()}`, lead };
        tokenizers.set(model, found);
    }
    return found;
}

/** Makes something for each model, but once for all whose tokenizers are the same. */
export function oncePerTokenizer<T>(make: (model: NativeModel) => Promise<T>): (model: NativeModel) => Promise<T> {
    const made = new Map<string, Promise<T>>();
    return (model) => {
        const { key } = tokenizerOf(model);
        const known = made.get(key) ?? make(model);
        made.set(key, known);
        return known;
    };
}

/** Tokens of texts with nothing around them but what the model's tokenizer itself adds in front (BOS). */
export async function tokenizePlain<Texts extends readonly string[]>(
    model: NativeModel,
    ...texts: Texts
): Promise<{ [Index in keyof Texts]: Int32Array }> {
    const tokens = await tokenize(model, texts, true);
    return tokens.map((each) => withoutEnd(model, each)) as { [Index in keyof Texts]: Int32Array };
}

/** Some tokenizers append EOS to every text; a prompt that ends there has nothing left to say. */
function withoutEnd({ info: { addEos, eos } }: NativeModel, tokens: Int32Array): Int32Array {
    return addEos && tokens.at(-1) === eos ? tokens.subarray(0, -1) : tokens;
}

/**
 * Tokens of a rendered template. What lies between two of its control tokens stays in one piece: that is how models are
 * trained, and cutting it at the seam of template and message would split words (`[INST]` + ` ` + `What` instead of
 * `[INST]` + ` What`).
 *
 * @param bos - the template's own spelling of BOS, where that is a control token, which no message spells: if it begins with that, nothing is put in front; a model that spells its BOS
 *     otherwise gets its own instead
 */
export async function tokenizeRendered(
    model: NativeModel,
    rendered: Pick<Rendered, "marked" | "standIns">,
    bos: string,
): Promise<Int32Array> {
    const control = controlTokens(model);
    const { lead } = tokenizerOf(model);
    const [first] = lead;
    // Also where the file does not call it a control token, as some forget to.
    const own = first === undefined ? "" : (model.tokenTexts(first, first + 1)[0] ?? "");
    const beginnings = control.byText.has(bos) ? [own, bos] : [own];
    const isForeign = bos !== "" && !beginnings.includes(bos) && rendered.marked.startsWith(bos);
    const marked = isForeign ? rendered.marked.slice(bos.length) : rendered.marked;
    const pieces = splitAtControlTokens(control, { ...rendered, marked });
    const texts = await tokenize(
        model,
        pieces.filter((piece) => typeof piece === "string"),
        false,
    );
    const remaining = texts.values();
    const tokens = pieces.map((piece) => (typeof piece === "number" ? [piece] : (remaining.next().value ?? [])));
    const beginsWithBos = beginnings.some((text) => text !== "" && marked.startsWith(text));
    return concatenate(beginsWithBos ? tokens : [lead, ...tokens]);
}

/** Texts that a tokenizer does not join with what follows, at least one of them. */
const ANCHORS = ["\n", "\n\n", ".", "0", "#"];
/** Tokens: by then it shows what stands in front of them. */
const BEGINNING = 1000;

/**
 * Tokens that say exactly this text after another: tokenizers that put a space in front of every text do not do so in the
 * middle of one.
 */
export async function tokenizeContinuation(model: NativeModel, text: string): Promise<Int32Array> {
    const inside = async (piece: string): Promise<Int32Array> =>
        (await tokenize(model, [piece], false))[0] ?? new Int32Array(0);
    // SentencePiece's sign for a space is one to its tokenizers.
    const spaced = text.replaceAll("\u2581", " ");
    const readings = (spaced === text ? [text] : [text, spaced]).map((reading) => Buffer.from(reading));
    const says = (tokens: Int32Array): boolean => {
        const said = model.detokenize(tokens.subarray(0, BEGINNING), false);
        return readings.some((reading) =>
            said.equals(tokens.length > BEGINNING ? reading.subarray(0, said.length) : reading),
        );
    };
    const alone = await inside(text);
    if (says(alone)) return alone;
    if (spaced.startsWith(" ")) {
        const without = await inside(text.slice(1));
        if (says(without)) return without;
    }
    for (const anchor of ANCHORS) {
        const whole = await inside(anchor + text);
        for (let seam = 1; seam <= Math.min(4, whole.length); seam++) {
            if (says(whole.subarray(seam))) return whole.subarray(seam);
        }
    }
    return alone;
}

/**
 * Whether a text certainly has more tokens than `limit`, found out from its beginning alone. Tokenizers take quadratic
 * time on some texts (100 s for a megabyte), which a text that does not fit anyway should not cost.
 */
export async function surelyExceeds(model: NativeModel, text: string, limit: number): Promise<boolean> {
    // Sixteen characters a token are more than any language has; only repetitive texts need further looks.
    for (let length = 16 * limit; length < text.length; length *= 2) {
        const [beginning] = await tokenize(model, [text.slice(0, length)], false);
        // The cut may split the last word into a few tokens more.
        if (beginning !== undefined && beginning.length > limit + 100) return true;
    }
    return false;
}

function concatenate(parts: readonly ArrayLike<number>[]): Int32Array {
    const whole = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
        whole.set(part, at);
        at += part.length;
    }
    return whole;
}
