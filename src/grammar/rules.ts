/** Rules of a grammar that are written at the end, without those that stand for no text. */

/** Text of GBNF, or another rule. */
export type Part = string | Rule;

export interface Rule {
    alternatives: Part[][];
    /** A rule that is there already. */
    readonly name?: string;
}

/** Units of work for a part and a character. */
const PART = 2;
const CHARACTER = 0.5;

export const createRule = (...alternatives: Part[][]): Rule => ({ alternatives });

export const namedRule = (name: string): Rule => ({ name, alternatives: [[]] });

/** A text as GBNF writes it. */
export function literal(text: string): string {
    return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}

/** Fewer texts are written one by one, which is easier to read. */
const MANY_TEXTS = 100;

/** One of some texts, which differ: many as a tree, in which each beginning that several have in common stands once. */
export function oneOfTexts(texts: readonly string[]): Part[][] {
    if (texts.length < MANY_TEXTS) return texts.map((text) => [literal(text)]);
    return treeOf([...texts].sort(), 0);
}

/** @param texts - sorted. @param from - up to here they are alike */
function treeOf(texts: readonly string[], from: number): Part[][] {
    const alternatives: Part[][] = [];
    for (let at = 0; at < texts.length;) {
        const text = texts[at] ?? "";
        const start = text.codePointAt(from);
        let end = at + 1;
        while (start !== undefined && end < texts.length && texts[end]?.codePointAt(from) === start) end++;
        const group = texts.slice(at, end);
        at = end;
        if (group.length === 1) {
            alternatives.push(from === text.length ? [] : [literal(text.slice(from))]);
            continue;
        }
        const to = commonLength(text, group.at(-1) ?? "");
        alternatives.push([literal(text.slice(from, to)), createRule(...treeOf(group, to))]);
    }
    return alternatives;
}

/** How many units two texts have in common at the beginning, in whole characters. */
function commonLength(one: string, other: string): number {
    let length = 0;
    while (length < one.length && one[length] === other[length]) length++;
    return /[\ud800-\udbff]$/.test(one.slice(0, length)) ? length - 1 : length;
}

/**
 * @param spend - counts parts and characters, in the units of work.ts
 * @returns the lines of a grammar, the one of `root` first; undefined: `root` stands for no text
 */
export function writeRules(root: Rule, spend: (count: number) => void): string[] | undefined {
    const rules = reachable(root, spend);
    const finite = findFinite(rules);
    if (!finite.has(root)) return undefined;
    for (const rule of rules) {
        rule.alternatives = rule.alternatives.filter((parts) =>
            parts.every((part) => isText(part) || finite.has(part)),
        );
    }
    const names = new Map<Rule, string>();
    const lines: string[] = [];
    const nameOf = (given: Rule): string => {
        const rule = behind(given);
        if (rule.name !== undefined) return rule.name;
        const name = names.get(rule) ?? `rule-${names.size}`;
        names.set(rule, name);
        return name;
    };
    names.set(root, "root");
    // It grows while it is walked through.
    for (const [rule, name] of names) {
        const texts = rule.alternatives.map((parts) => {
            const text = parts.map((part) => (isText(part) ? part : nameOf(part))).filter(Boolean);
            return text.length === 0 ? '""' : text.join(" ");
        });
        const line = `${name} ::= ${[...new Set(texts)].join(" | ")}`;
        spend(CHARACTER * line.length);
        lines.push(line);
    }
    return lines;
}

function isText(part: Part): part is string {
    return typeof part === "string";
}

/** What a rule that only names another one names. */
function behind(rule: Rule): Rule {
    const seen = new Set<Rule>();
    let result = rule;
    while (!seen.has(result)) {
        seen.add(result);
        const [only, ...others] = result.alternatives;
        const [next] = only ?? [];
        if (result.name !== undefined || others.length > 0 || only?.length !== 1 || next === undefined || isText(next))
            break;
        result = next;
    }
    return result;
}

function reachable(root: Rule, spend: (count: number) => void): Set<Rule> {
    const found = new Set([root]);
    for (const { alternatives } of found) {
        for (const parts of alternatives) {
            spend(PART * parts.length);
            for (const part of parts) if (!isText(part)) found.add(part);
        }
    }
    return found;
}

/** Rules that stand for a text: those that only lead into themselves do not. */
function findFinite(rules: ReadonlySet<Rule>): Set<Rule> {
    const finite = new Set<Rule>();
    const users = new Map<Rule, (readonly [Rule, Part[]])[]>();
    const left = new Map<Part[], number>();
    for (const rule of rules) {
        for (const parts of rule.alternatives) {
            const needed = parts.filter((part): part is Rule => !isText(part));
            left.set(parts, needed.length);
            if (needed.length === 0) finite.add(rule);
            for (const part of needed) {
                const own = users.get(part) ?? [];
                own.push([rule, parts]);
                users.set(part, own);
            }
        }
    }
    for (const rule of finite) {
        for (const [user, parts] of users.get(rule) ?? []) {
            const count = (left.get(parts) ?? 0) - 1;
            left.set(parts, count);
            if (count === 0) finite.add(user);
        }
    }
    return finite;
}
