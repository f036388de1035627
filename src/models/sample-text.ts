/** How far two tokenizers cut texts alike, by a sample. Tables of tokens that agree do not say that: merges, scores and patterns are not in them. */

import type { NativeModel } from "../native/binding.js";

/** Prose, code, other scripts, digits and white space. Control tokens, which are no text, have no place in it. */
const SAMPLE = [
    "The quick brown fox jumps over the lazy dog; it hadn't been seen since 1987, they've said.",
    "Emulated fine-tuning decouples what a model learns in pre-training from what it learns in fine-tuning.",
    "Über die Brücke gingen die Schüler früh am Morgen, nämlich um 6:45 Uhr.",
    "L'été dernier, nous avons déjeuné à l'ombre d'un vieux chêne ; c'était très agréable.",
    "El niño corrió por la montaña, ¿y quién lo habría detenido?",
    "Добрый день! Сколько стоит этот билет до Санкт-Петербурга?",
    "敏捷的棕色狐狸跳过了懒狗。今天是星期三，天气很好。",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。",
    "안녕하세요, 오늘은 날씨가 정말 좋네요.",
    "مرحبا بالعالم، كيف حالك اليوم؟",
    "नमस्ते दुनिया, आप कैसे हैं?",
    "สวัสดีชาวโลก วันนี้อากาศดีมาก",
    "Γειά σου Κόσμε! שלום עולם",
    "for (let i = 0; i < items.length; i++) { total += items[i].price * 1.19; }",
    "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n",
    '{"name": "Ada", "born": 1815, "tags": ["math", "engines"], "ok": true}',
    "SELECT name, COUNT(*) FROM users WHERE created_at >= '2024-01-31' GROUP BY 1;",
    "#include <vector>\nint main() {\n\tstd::vector<int> v{1, 2, 3};\n\treturn v.size() == 3 ? 0 : 1;\n}",
    "3.14159265358979 1,234,567.89 007 2^64 = 18446744073709551616 0xDEADBEEF",
    "a  b   c    d\te\t\tf\n\n\ng \n h   ",
    "Is x² + y² = z²? ∑ᵢ aᵢ ≤ ∞ → α·β … “quoted” — dash – 50 % €20",
    "🦙 👩‍👩‍👧 🇵🇪 e\u0301 \u200b zero-width",
    "https://example.org/path/to?query=some%20thing&n=42#part user.name+tag@example.com",
    "I'M SHOUTING!!! camelCaseWord snake_case_word kebab-case-word",
] as const;

/** The share of a sample text's tokens that two tokenizers have in common, 0..1. Special tokens do not occur in it. */
export function sharedText(one: NativeModel, other: NativeModel): number {
    if (one.tokenizerHash() === other.tokenizerHash()) return 1;
    let [shared, all] = [0, 0];
    for (const text of SAMPLE) {
        const [tokens, others] = [one.tokenize(text, false, false), other.tokenize(text, false, false)];
        shared += longestCommon(tokens, others);
        all += Math.max(tokens.length, others.length);
    }
    return shared / all;
}

/** Length of the longest common subsequence. */
function longestCommon(one: Int32Array, other: Int32Array): number {
    let row = new Int32Array(other.length + 1);
    for (const token of one) {
        const next = new Int32Array(row.length);
        other.forEach((each, i) => {
            next[i + 1] = each === token ? (row[i] ?? 0) + 1 : Math.max(row[i + 1] ?? 0, next[i] ?? 0);
        });
        row = next;
    }
    return row.at(-1) ?? 0;
}
