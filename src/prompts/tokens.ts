/** From texts to tokens. */

import type { NativeModel } from "../native/binding.js";
import type { Rendered } from "../template/template.js";
import { controlTokens, splitAtControlTokens } from "./control-tokens.js";

/** Tokens of a text with nothing around it but what the model's tokenizer itself adds in front (BOS). */
export function tokenizePlain(model: NativeModel, text: string): Int32Array {
    const tokens = model.tokenize(text, true, false);
    // Some tokenizers append EOS to every text; a prompt that ends there has nothing left to say.
    const { addEos, eos } = model.info;
    return addEos && tokens.at(-1) === eos ? tokens.subarray(0, -1) : tokens;
}

/**
 * Tokens of a rendered template. What lies between two of its control tokens stays in one piece: that is how models are
 * trained, and cutting it at the seam of template and message would split words (`[INST]` + ` ` + `What` instead of
 * `[INST]` + ` What`).
 *
 * @param bos - the template's own spelling of BOS: if it begins with that, nothing is put in front
 */
export function tokenizeRendered(
    model: NativeModel,
    rendered: Pick<Rendered, "marked" | "standIns">,
    bos: string,
): Int32Array {
    const control = controlTokens(model);
    const pieces = splitAtControlTokens(control, rendered);
    const tokens = pieces.map((piece) => (typeof piece === "number" ? [piece] : model.tokenize(piece, false, false)));
    const lead = tokenizePlain(model, "");
    const [first] = lead;
    // Also where the file does not call it a control token, as some forget to.
    const own = first === undefined ? "" : (model.tokenTexts(first, first + 1)[0] ?? "");
    const beginnings = control.byText.has(bos) ? [own, bos] : [own];
    const beginsWithBos = beginnings.some((text) => text !== "" && rendered.marked.startsWith(text));
    return concatenate(beginsWithBos ? tokens : [lead, ...tokens]);
}

/** Texts that a tokenizer does not join with what follows, at least one of them. */
const ANCHORS = ["\n", "\n\n", ".", "0", "#"];

/**
 * Tokens that say exactly this text after another: tokenizers that put a space in front of every text do not do so in the
 * middle of one.
 */
export function tokenizeContinuation(model: NativeModel, text: string): Int32Array {
    const says = (tokens: Int32Array, expected: string): boolean =>
        model.detokenize(tokens, false).equals(Buffer.from(expected));
    const alone = model.tokenize(text, false, false);
    if (says(alone, text)) return alone;
    if (text.startsWith(" ")) {
        const without = model.tokenize(text.slice(1), false, false);
        if (says(without, text)) return without;
    }
    for (const anchor of ANCHORS) {
        const whole = model.tokenize(anchor + text, false, false);
        for (let seam = 1; seam <= Math.min(4, whole.length); seam++) {
            if (says(whole.subarray(seam), text)) return whole.subarray(seam);
        }
    }
    return alone;
}

/**
 * Whether a text certainly has more tokens than `limit`, found out from its beginning alone. Tokenizers take quadratic
 * time on some texts (100 s for a megabyte), which a text that does not fit anyway should not cost.
 */
export function surelyExceeds(model: NativeModel, text: string, limit: number): boolean {
    // Sixteen characters a token are more than any language has; only repetitive texts need further looks.
    for (let length = 16 * limit; length < text.length; length *= 2) {
        // The cut may split the last word into a few tokens more.
        if (model.tokenize(text.slice(0, length), false, false).length > limit + 100) return true;
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
