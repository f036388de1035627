import {
    type Alias,
    CST,
    Lexer,
    LineCounter,
    type Node,
    type ParsedNode,
    type Scalar,
    isAlias,
    isMap,
    isNode,
    isScalar,
    parseDocument,
    visit,
} from "yaml";
import type { EftErrorCode } from "../errors.js";
import { type Location, problem, throwProblems } from "./problems.js";

/** What a document is meant to be, for messages, and how errors in it are called. */
export interface DocumentKind {
    readonly noun: string;
    readonly syntax: EftErrorCode;
    readonly invalid: EftErrorCode;
}

export const RECIPE_DOCUMENT: DocumentKind = { noun: "recipe", syntax: "RECIPE_SYNTAX", invalid: "RECIPE_INVALID" };

/** Well-formed text: its value as plain data, and where each part of it stands. */
export interface SourceDocument {
    readonly kind: DocumentKind;
    readonly value: unknown;
    /** Where the value at `path` begins, or its key. A path that does not exist gives its nearest ancestor. */
    locate(path: readonly string[], part?: "key" | "value"): Location;
    /** Where character `offset` of the text at `path` stands; the beginning of the text if it is folded or escaped. */
    locateInText(path: readonly string[], offset: number): Location;
}

// A recipe has a few hundred of either; the limits keep hostile documents from taking time or the stack.
/** Length of the longest text that is looked at. */
export const MAX_CHARACTERS = 1 << 20;
const MAX_LEXEMES = 20_000;
const MAX_FLOW_DEPTH = 32;
const MAX_INDENT = 100;
const MAX_ALIASES = 100;

/** @throws the kind's syntax error when the text is not well-formed YAML or JSON, its invalid one when it is huge or too deep */
export function readDocument(text: string, file: string, kind = RECIPE_DOCUMENT): SourceDocument {
    const lines = new LineCounter();
    const at = (offset: number): Location => {
        const { line, col } = lines.linePos(offset);
        return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
    };
    const fail = (code: EftErrorCode, offset: number, message: string): never => {
        throw problem(code, at(offset), message).error;
    };

    const excess = findExcess(text, kind.noun);
    if (excess !== undefined) fail(kind.invalid, 0, excess);

    const document = parseDocument(text, {
        lineCounter: lines,
        prettyErrors: false,
        schema: "core",
        resolveKnownTags: false,
        stringKeys: true,
        // "silent" would also keep quiet about a second document.
        logLevel: "error",
    });
    throwProblems(
        [...document.errors, ...document.warnings].map(({ code, message, pos }) =>
            problem(kind.syntax, at(pos[0]), REMEDIES[code] ?? `this is not well-formed YAML: ${message}`),
        ),
    );

    const aliases: Alias[] = [];
    visit(document, { Alias: (_, node) => void aliases.push(node) });
    if (aliases.length > MAX_ALIASES) fail(kind.syntax, 0, `there are more than ${MAX_ALIASES} aliases (*name)`);
    for (const alias of aliases)
        if (alias.resolve(document) === undefined)
            fail(kind.syntax, alias.range?.[0] ?? 0, `there is no anchor "&${alias.source}" before this alias`);

    const resolve = (node: unknown): unknown => (isAlias(node) ? node.resolve(document) : node);

    /** The nodes of key and value at the end of the path, as far as it exists. */
    function find(path: readonly string[]): { key?: Node; value?: Node } {
        let found: { key?: Node; value?: Node } = { value: document.contents ?? undefined };
        for (const name of path) {
            const parent = resolve(found.value);
            const pair = isMap<ParsedNode, ParsedNode>(parent)
                ? parent.items.find(({ key }) => isScalar(key) && key.value === name)
                : undefined;
            if (pair === undefined) break;
            found = { key: pair.key, value: pair.value ?? undefined };
        }
        return found;
    }

    function locate(path: readonly string[], part: "key" | "value" = "value"): Location {
        const { key, value } = find(path);
        const node = part === "key" || isEmpty(value) ? (key ?? value) : value;
        return at(node?.range?.[0] ?? 0);
    }

    function locateInText(path: readonly string[], offset: number): Location {
        const node = resolve(find(path).value);
        if (!isScalar(node) || !node.range) return locate(path);
        const start = node.range[0] + (isQuoted(node) ? 1 : 0);
        const isVerbatim = text.startsWith(String(node.value), start);
        return at(isVerbatim ? start + offset : node.range[0]);
    }

    try {
        return { kind, value: document.toJS({ maxAliasCount: MAX_ALIASES }) as unknown, locate, locateInText };
    } catch (error) {
        return fail(kind.syntax, 0, `the aliases (*name) unfold to too much: ${(error as Error).message}`);
    }
}

/** What to do about the commonest mistakes; the rest has the parser's own words. */
const REMEDIES: Readonly<Record<string, string>> = {
    DUPLICATE_KEY: "this key occurs twice in the same mapping; keep one of the two",
    TAB_AS_INDENT: "a tab cannot be used for indentation in YAML; use spaces",
    BLOCK_AS_IMPLICIT_KEY: 'a key cannot stand here; put quotes around a text with ": ", or correct the indentation',
    BAD_SCALAR_START: "a text that begins with this character needs quotes around it",
    MULTIPLE_DOCS: "a file holds one document; put what follows the line with --- into a file of its own",
    TAG_RESOLVE_FAILED: "tags (!name) have no meaning here; leave the tag out",
    NON_STRING_KEY: "a key must be a plain text; put quotes around a value that begins with { or [",
};

/**
 * The parser is recursive, and a stack overflow inside of V8's regular expression compiler ends the process. So depth
 * and size are measured before it runs, on the lexer's output, which needs linear time and no stack.
 */
function findExcess(text: string, noun: string): string | undefined {
    if (text.length > MAX_CHARACTERS)
        return `the document has more than ${MAX_CHARACTERS} characters; this is not a ${noun}`;
    let lexemes = 0;
    let flowDepth = 0;
    let [line, column] = [1, 0];
    for (const lexeme of new Lexer().lex(text)) {
        if (++lexemes > MAX_LEXEMES) return `the document has more than ${MAX_LEXEMES} parts; this is not a ${noun}`;
        const type = CST.tokenType(lexeme);
        if (type === "flow-map-start" || type === "flow-seq-start") flowDepth++;
        if (type === "flow-map-end" || type === "flow-seq-end") flowDepth--;
        const isIndicator = type === "seq-item-ind" || type === "explicit-key-ind" || type === "map-value-ind";
        if (flowDepth > MAX_FLOW_DEPTH || (isIndicator && flowDepth <= 0 && column > MAX_INDENT))
            return `line ${line} is nested too deeply for a ${noun}; if this is one, put quotes around texts with ": " or brackets`;
        line += lexeme.split("\n").length - 1;
        const lineBreak = lexeme.lastIndexOf("\n");
        column = lineBreak < 0 ? column + lexeme.length : lexeme.length - lineBreak - 1;
    }
    return undefined;
}

function isEmpty(node: unknown): boolean {
    return !isNode(node) || (isScalar(node) && node.value === null && node.source === "");
}

function isQuoted(node: Scalar): boolean {
    return node.type === "QUOTE_DOUBLE" || node.type === "QUOTE_SINGLE";
}
