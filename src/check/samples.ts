/** Texts that models are checked with: of many kinds, because tokenizers differ in what they find difficult. */

/** They hold no U+2581, which is a space to some tokenizers. */
export const TEXTS: readonly string[] = [
    "The quick brown fox jumps over the lazy dog.",
    " a leading space, and one behind ",
    "  two   three    many\t\ttabs\n\n\nlines\r\n",
    "Don't stop: we'll, they've, I'm, it's; “quotes”, ‘more’ – and… dashes—",
    "0 1 12 123 1234 12345 1,234,567.89 0x1F 3.14e-10 2026-01-31T23:59:59Z",
    "ALL CAPS, camelCase, snake_case, kebab-case, SCREAMING_SNAKE",
    "def f(x: int) -> int:\n    return x ** 2 if x > 0 else -x  # comment\n",
    '{"name": "value", "list": [1, 2.5, null, true], "nested": {"a": "\\u00e9"}}',
    '<div class="a b">&amp; &lt;tag&gt;</div>\n<!-- comment -->',
    "SELECT * FROM t WHERE a = 'b' AND c <> 1; -- end",
    "$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$ ∑ ∀ ∃ ≤ ≠ ∞",
    "Größe, façade, naïve, coöperate, Ångström, Łódź, İstanbul, ﬁnd",
    "e\u0301 combines; \u00e9 does not; a\u0308\u0301 twice",
    "Привет, мир! Ελλάδα. עברית. العربية ١٢٣. हिन्दी भाषा. ภาษาไทย. ქართული.",
    "日本語の文章。中文句子，标点。한국어 문장입니다. 𠮷野家",
    "😀 👩‍👩‍👧‍👦 🇵🇪 👍🏽 ❤️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "zero\u200bwidth, no\u00a0break, soft\u00adhyphen, \u2028line\u2029paragraph",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\path\\file.txt ~/x",
    "<|im_end|> <|endoftext|> </s> [INST] <end_of_turn> <|eot_id|> are texts here",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "!!!!???....,,,,;;;;::::----____====++++****////\\\\\\\\",
    "Pneumonoultramicroscopicsilicovolcanoconiosis Donaudampfschifffahrtsgesellschaft",
    "\n",
    "x",
];

/** What comes after them is evaluated, by us and by node-llama-cpp. */
export const BEGINNINGS: readonly string[] = [
    "Lima is the capital of Peru. The river that flows through the city",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "Die Hauptstadt von Frankreich ist Paris. 日本の首都は東京です。Столица России",
];

export const QUESTION = "Name three fruits, and say in one sentence what each of them tastes like.";
export const STORY =
    "Once upon a time there was a lighthouse keeper who lived alone on a small island in the north. Every morning he";

/** About three hundred tokens, of which no beginning repeats that of another one. */
export function longText(number: number): string {
    const towns = ["Lima", "Quito", "Oslo", "Cairo", "Hanoi", "Lagos", "Perth", "Turin", "Osaka", "Delhi"];
    const sentence = (index: number): string =>
        `${index + 1}. The road from ${towns[(index + number) % 10]} to ${towns[(3 * index + number + 1) % 10]} is ` +
        `${17 * index + 23 * number + 5} miles long, and few people take it in winter.`;
    return Array.from({ length: 10 }, (_, index) => sentence(index)).join("\n");
}
