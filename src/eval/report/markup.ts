/** HTML from templates: whatever is put into one is text, unless it is itself made by one. */

/** A piece of a page that may be inserted as it is. */
export class Markup {
    readonly source: string;

    /** @param source - well-formed HTML or SVG that holds nothing unescaped */
    constructor(source: string) {
        this.source = source;
    }
}

type Insertable = Markup | string | number | undefined | readonly Insertable[];

/** Template tag: escapes what is inserted, joins lists, and leaves out undefined. */
export function html(strings: TemplateStringsArray, ...values: readonly Insertable[]): Markup {
    return new Markup(strings.reduce((source, part, index) => source + toSource(values[index - 1]) + part));
}

function toSource(value: Insertable): string {
    if (value === undefined) return "";
    if (value instanceof Markup) return value.source;
    if (typeof value === "object") return value.map(toSource).join("");
    return escapeHtml(String(value));
}

function escapeHtml(text: string): string {
    return replaceControls(text)
        .replaceAll("&", "&amp;")
        .replaceAll("<", "&lt;")
        .replaceAll(">", "&gt;")
        .replaceAll('"', "&quot;")
        .replaceAll("'", "&#39;");
}

/** Control characters are no part of a page or a drawing, escaped or not. */
export function replaceControls(text: string): string {
    // eslint-disable-next-line no-control-regex
    return text.replace(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g, "\ufffd");
}

/** Not all readers of Markdown take a backslash before them for an escape. */
const ENTITIES: Readonly<Record<string, string>> = { "<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;" };

/** Text in a paragraph or a table of Markdown, on one line; whatever it holds, it is no markup. */
export function escapeMarkdown(text: string): string {
    return replaceControls(text)
        .replace(/[\\`*_[\]<>|~&$#]/g, (character) => ENTITIES[character] ?? `\\${character}`)
        .replace(/\s*[\r\n]+\s*/g, " ");
}
