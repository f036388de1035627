/**
 * What is wrong with a template that cannot be parsed, in our words, and where: the parser's own errors name its classes, and no
 * place.
 */

/** A token as the parser of `@huggingface/jinja` reads it. */
export interface Token {
    readonly type: string;
    readonly value: string;
}

/** A tag of a template: `{% ... %}`, `{{ ... }}` or `{# ... #}`. */
interface Tag {
    readonly text: string;
    readonly line: number;
    /** Of `{%`: its first word. */
    readonly word: string;
    /** What keeps it from ending. */
    readonly open?: "tag" | "text";
}

/** Statements with a body, and what ends it. `set` has one only without a value. */
const BODIES = ["if", "for", "macro", "call", "filter", "set"];
/** What may stand in the middle of a body. */
const MIDDLES: Readonly<Record<string, readonly string[]>> = { else: ["if", "for"], elif: ["if"] };
/** Characters of a tag, or of what stands in it, that are quoted. */
const MAX_QUOTE = 60;

/** What is known of a failure. */
export interface SyntaxFailure {
    /** What the parser or its tokenizer threw. */
    readonly error: unknown;
    /** Undefined where it was the tokenizer. */
    readonly tokens: readonly Token[] | undefined;
    /** Index of the last token that the parser looked at. */
    readonly furthest: number;
    /** Whether a part of a template fails by itself, too. */
    readonly fails: (part: string) => boolean;
}

/** Half a sentence: the line, the tag, and what is wrong with it. */
export function explainSyntax(source: string, { error, tokens, furthest, fails }: SyntaxFailure): string {
    const tags = findTags(source);
    const message = error instanceof Error ? error.message : String(error);
    const unclosed = tags.find(({ open }) => open !== undefined);
    if (tokens === undefined) {
        const tag = tags.find(({ text }) => fails(text)) ?? unclosed;
        return at(tag, explainCharacters(message, tag?.open));
    }
    const begins = /^(?:Open(?:Statement|Expression)|Comment)$/;
    const tag = tags[tokens.slice(0, furthest + 1).filter(({ type }) => begins.test(type)).length - 1];
    const isAtEnd = error instanceof TypeError || furthest >= tokens.length - 1;
    const nesting = findNesting(tags);
    if (nesting !== undefined && (isAtEnd || nesting.tag === tag)) return at(nesting.tag, nesting.what);
    if (unclosed !== undefined && isAtEnd) return at(unclosed, explainCharacters("", unclosed.open));
    return at(tag, explainToken(message, tokens[furthest]));
}

function at(tag: Tag | undefined, what: string): string {
    if (tag === undefined) return what;
    return `line ${tag.line}, near ${quote(tag.text.replaceAll(/\s+/g, " "))}: ${what}`;
}

function quote(text: string): string {
    return text.length > MAX_QUOTE ? `${text.slice(0, MAX_QUOTE)} …` : text;
}

/** Tags in their order, without those that the tokenizer takes out beforehand; behind one that has no end there are none. */
function findTags(source: string): Tag[] {
    const tags: Tag[] = [];
    const begin = /\{[{%#]/g;
    let line = 1;
    let counted = 0;
    for (let found = begin.exec(source); found !== null; found = begin.exec(source)) {
        const { end, open } = findEnd(source, found.index);
        const text = source.slice(found.index, end);
        for (; counted < found.index; counted++) if (source[counted] === "\n") line++;
        const [, word = ""] = /^\{%-?\s*(\w+)/.exec(text) ?? [];
        if (!/^(?:end)?generation$/.test(word)) tags.push({ text, line, word, ...(open && { open }) });
        // Looking on would read the rest of the template again for each quotation mark in it.
        if (open !== undefined) break;
        begin.lastIndex = end;
    }
    return tags;
}

function findEnd(source: string, start: number): { end: number; open?: NonNullable<Tag["open"]> } {
    const kind = source[start + 1];
    if (kind === "#") {
        const end = source.indexOf("#}", start + 2);
        return end < 0 ? { end: source.length, open: "tag" } : { end: end + 2 };
    }
    let depth = 0;
    for (let index = start + 2; index < source.length; index++) {
        const character = source[index];
        if (character === "'" || character === '"') {
            const from = index++;
            while (index < source.length && source[index] !== character) index += source[index] === "\\" ? 2 : 1;
            if (index >= source.length) return { end: Math.min(source.length, from + MAX_QUOTE), open: "text" };
        } else if (kind === "{" && character === "{") depth++;
        else if (kind === "%" && source.startsWith("%}", index)) return { end: index + 2 };
        else if (character === "}" && depth > 0) depth--;
        else if (kind === "{" && source.startsWith("}}", index)) return { end: index + 2 };
    }
    return { end: source.length, open: "tag" };
}

/** The first tag that ends nothing, or that nothing ends. */
function findNesting(tags: readonly Tag[]): { tag: Tag; what: string } | undefined {
    const open: Tag[] = [];
    for (const tag of tags) {
        const { word, text } = tag;
        const last = open.at(-1);
        const [, ended] = /^end(\w+)$/.exec(word) ?? [];
        const middles = MIDDLES[word];
        if (ended !== undefined && BODIES.includes(ended)) {
            if (last?.word !== ended) return { tag, what: outOfPlace(word, last) };
            open.pop();
        } else if (middles !== undefined && !middles.includes(last?.word ?? ""))
            return { tag, what: outOfPlace(word, last) };
        else if (BODIES.includes(word) && !(word === "set" && /^[^'"]*?=/.test(text))) open.push(tag);
    }
    const [tag] = open.slice(-1);
    return tag && { tag, what: `it has no {% end${tag.word} %}` };
}

function outOfPlace(word: string, last: Tag | undefined): string {
    if (last === undefined) return `nothing is open that ${word} could belong to`;
    return `${word} does not belong to the {% ${last.word} %} of line ${last.line}, which is open there`;
}

function explainCharacters(message: string, open: Tag["open"]): string {
    if (open === "text") return "a text in quotes has no end";
    if (open === "tag") return "it has no end: %}, }} or #} is missing";
    const [, letter, sequence = letter && `\\${letter}`, character] =
        /^Unexpected escaped character: (.)|^Invalid hexadecimal escape sequence: (.+)|^Unexpected character: (.)/s.exec(
            message,
        ) ?? [];
    if (sequence !== undefined) return `${sequence} is no escape sequence; write \\\\ for a backslash`;
    return character === undefined ? "it cannot be read" : `${character} has no meaning there`;
}

/** Words for what the parser expects. */
const EXPECTED: Readonly<Record<string, string>> = {
    ...{ CloseStatement: "%}", CloseExpression: "}}", OpenParen: "(", CloseParen: ")", CloseSquareBracket: "]" },
    ...{ Colon: ":", OpenStatement: "a statement" },
};

function explainToken(message: string, token: Token | undefined): string {
    const found = token === undefined ? "its end" : token.type === "StringLiteral" ? "a text" : quote(token.value);
    const [, statement] = /^Unknown statement type: (.*)$/s.exec(message) ?? [];
    if (statement !== undefined) return `there is no statement ${quote(statement)}`;
    const [, expected = ""] = / !== (\w+)\.$/.exec(message) ?? [];
    if (EXPECTED[expected] !== undefined) return `${EXPECTED[expected]} is missing in front of ${found}`;
    const rule = RULES.find(([pattern]) => pattern.test(message));
    if (rule !== undefined) return rule[1];
    return token?.type.startsWith("Close")
        ? `something is missing in front of ${found}`
        : `${found} cannot stand there`;
}

/** Rules of the language that the parser knows by name. */
const RULES: readonly (readonly [RegExp, string])[] = [
    [/`in` keyword/, "in is missing behind the variable of the loop"],
    [/for the loop variable/, "for needs a name, or several with commas between them"],
    [/for the test/, "is needs the name of a test behind it"],
    [/for the filter/, "| needs the name of a filter behind it"],
    [/following dot operator/, "a dot needs a name behind it"],
    [/following macro statement/, "macro needs a name"],
    [/following call statement/, "call needs a macro"],
    [/Duplicate parameter/, "a parameter has the name of another one"],
    [/parameter declaration/, "a parameter must be a name"],
    [/member\/slice|slice expression/, "what stands in [ ] is no index and no range"],
    [/unpacking|must be applied to the final/, "* and ** are not where they may stand"],
];
