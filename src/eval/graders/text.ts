/** Comparing texts as a reader would: whatever their Unicode form, kind of apostrophe and white space. */

/** In composed characters, with straight apostrophes, and one space for any white space. */
export function normalise(text: string): string {
    return text
        .normalize("NFC")
        .replaceAll(/[\u2018\u2019]/g, "'")
        .replaceAll(/\s+/g, " ")
        .trim();
}

/** Apart from case, white space, and one full stop at the end. */
export function isSame(text: string, expected: string): boolean {
    const bare = (each: string): string => normalise(each).toLowerCase().replace(/ ?\.$/, "");
    return bare(text) === bare(expected);
}

/**
 * Whether the words occur in the text: not as a part of a longer word (Lima in Limassol), of a compound (life in
 * half-life) or of a longer number (5 in 2.5 or 1,005).
 */
export function containsWords(text: string, words: string, ignoreCase = false): boolean {
    const [where, what] = [text, words].map(normalise).map((each) => (ignoreCase ? each.toLowerCase() : each));
    const literal = (what ?? "").replaceAll(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    const before = /^\p{N}/u.test(literal) ? String.raw`(?<!\p{N}[.,])` : "";
    const after = /\p{N}$/u.test(literal) ? String.raw`(?![.,]\p{N})` : "";
    const pattern = String.raw`(?<![\p{L}\p{M}\p{N}_-])${before}${literal}${after}(?![\p{L}\p{M}\p{N}_])`;
    return new RegExp(pattern, "u").test(where ?? "");
}
