/** A strict look at XML: enough to tell whether every viewer will take it. */

const TOKEN = /<(\/?)([a-zA-Z][\w:-]*)((?:\s+[\w:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;
/** Elements that HTML leaves open. */
const VOID = new Set(["meta", "br"]);
const ENTITY = /&(?!(?:amp|lt|gt|quot|#39|#x[0-9a-f]+);)/;
// eslint-disable-next-line no-control-regex
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f]/;

/** What is wrong with a document of elements, attributes and text; undefined if nothing is. */
export function xmlProblem(source: string): string | undefined {
    const open: string[] = [];
    TOKEN.lastIndex = 0;
    const text = source.trim();
    for (let at = 0; at < text.length; at = TOKEN.lastIndex) {
        TOKEN.lastIndex = at;
        const match = TOKEN.exec(text);
        if (match === null) return `not understood: ${text.slice(at, at + 60)}`;
        const [all, closing, name = "", attributes = "", selfClosing] = match;
        if (ENTITY.test(attributes) || ENTITY.test(match[5] ?? "")) return `a bare ampersand: ${all.slice(0, 60)}`;
        if (FORBIDDEN.test(all)) return `a control character: ${all.slice(0, 60)}`;
        const names = [...attributes.matchAll(/([\w:-]+)="[^"]*"/g)].map(([, attribute]) => attribute);
        if (new Set(names).size < names.length) return `an attribute twice: ${all}`;
        if (name === "" || selfClosing === "/" || VOID.has(name)) continue;
        if (closing !== "/") open.push(name);
        else if (open.pop() !== name) return `closed in the wrong order: ${all} at ${at}`;
    }
    return open.length === 0 ? undefined : `not closed: ${open.join(", ")}`;
}

/** The texts between tags, without white space around them. */
export function textsOf(source: string): string[] {
    return source
        .split(/<[^>]*>/)
        .map((text) => text.trim())
        .filter((text) => text !== "");
}
