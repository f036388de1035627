/** From the text of a template to its syntax tree, which `@huggingface/jinja` makes. */

import { parse, tokenize } from "@huggingface/jinja";
import { explainSyntax, type Token } from "./syntax-errors.js";

export interface Identifier {
    readonly type: "Identifier";
    readonly value: string;
}
export interface NamedArgument {
    readonly type: "KeywordArgumentExpression";
    readonly key: Identifier;
    readonly value: Expression;
}
export interface Call {
    readonly type: "CallExpression";
    readonly callee: Expression;
    readonly args: readonly Expression[];
}
export interface Tuple {
    readonly type: "TupleLiteral";
    readonly value: readonly Expression[];
}
export interface MemberExpression {
    readonly type: "MemberExpression";
    readonly object: Expression;
    readonly property: Expression | Slice;
    /** Written in brackets, not after a dot. */
    readonly computed: boolean;
}
export interface Slice {
    readonly type: "SliceExpression";
    readonly start?: Expression;
    readonly stop?: Expression;
    readonly step?: Expression;
}
export interface Select {
    readonly type: "SelectExpression";
    readonly lhs: Expression;
    readonly test: Expression;
}

export type Expression =
    | Identifier
    | NamedArgument
    | Call
    | Tuple
    | MemberExpression
    | Select
    | { readonly type: "IntegerLiteral" | "FloatLiteral"; readonly value: number }
    | { readonly type: "StringLiteral"; readonly value: string }
    | { readonly type: "ArrayLiteral"; readonly value: readonly Expression[] }
    | { readonly type: "ObjectLiteral"; readonly value: ReadonlyMap<Expression, Expression> }
    | {
          readonly type: "BinaryExpression";
          readonly operator: { readonly value: string };
          readonly left: Expression;
          readonly right: Expression;
      }
    | { readonly type: "UnaryExpression"; readonly operator: { readonly value: string }; readonly argument: Expression }
    | { readonly type: "FilterExpression"; readonly operand: Expression; readonly filter: Identifier | Call }
    | {
          readonly type: "TestExpression";
          readonly operand: Expression;
          readonly negate: boolean;
          readonly test: Identifier;
      }
    | {
          readonly type: "Ternary";
          readonly condition: Expression;
          readonly trueExpr: Expression;
          readonly falseExpr: Expression;
      }
    | { readonly type: "SpreadExpression" | "KeywordSpreadExpression"; readonly argument: Expression };

export type Parameter = Identifier | NamedArgument;

export interface For {
    readonly type: "For";
    readonly loopvar: Identifier | Tuple;
    readonly iterable: Expression;
    readonly body: readonly Statement[];
    readonly defaultBlock: readonly Statement[];
}
export interface Macro {
    readonly type: "Macro";
    readonly name: Identifier;
    readonly args: readonly Parameter[];
    readonly body: readonly Statement[];
}
export interface CallBlock {
    readonly type: "CallStatement";
    readonly call: Call;
    readonly callerArgs: readonly Parameter[] | null;
    readonly body: readonly Statement[];
}
export interface Set {
    readonly type: "Set";
    readonly assignee: Expression;
    readonly value: Expression | null;
    readonly body: readonly Statement[];
}

/** What has no value, but does something. */
export type Tag =
    | For
    | Macro
    | CallBlock
    | Set
    | {
          readonly type: "If";
          readonly test: Expression;
          readonly body: readonly Statement[];
          readonly alternate: readonly Statement[];
      }
    | { readonly type: "FilterStatement"; readonly filter: Identifier | Call; readonly body: readonly Statement[] }
    | { readonly type: "Break" | "Continue" | "Comment" };

/** An expression as a statement is one whose value is written. */
export type Statement = Expression | Tag;

const TAGS: readonly string[] = Object.keys({
    ...{ For: 1, Macro: 1, CallStatement: 1, Set: 1, If: 1, FilterStatement: 1, Break: 1, Continue: 1, Comment: 1 },
} satisfies Record<Tag["type"], 1>);

export function isExpression(node: Statement): node is Expression {
    return !TAGS.includes(node.type);
}

// The library's own declarations name files that TypeScript does not find.
const readTokens = (source: string): Token[] =>
    (tokenize as (source: string, options: object) => Token[])(source, { lstrip_blocks: true, trim_blocks: true });
const readProgram = parse as (tokens: readonly Token[]) => { readonly body: readonly Statement[] };

/** Characters. The longest that are in use have some ten thousand. */
const MAX_LENGTH = 1 << 18;
/** The parser looks at each run of white space again from each of its characters. */
const LONG_BLANK = /\s{256}/;

/** @throws Error with what is wrong, as half a sentence */
export function parseTemplate(source: string): readonly Statement[] {
    if (source.length > MAX_LENGTH)
        throw new Error(`it has ${source.length} characters, and ${MAX_LENGTH} are allowed`);
    if (LONG_BLANK.test(source)) throw new Error("it has more than 255 blanks in a row");
    let tokens: Token[] | undefined;
    try {
        tokens = readTokens(source);
        return readProgram(tokens).body;
    } catch (error) {
        if (error instanceof RangeError) throw new Error("it nests too deeply", { cause: error });
        const failure = { error, tokens, furthest: tokens === undefined ? 0 : findFurthest(tokens), fails };
        throw new Error(explainSyntax(source, failure), { cause: error });
    }
}

function fails(part: string): boolean {
    try {
        readTokens(part);
        return false;
    } catch {
        return true;
    }
}

/** The last token that the parser looks at before it gives up. */
function findFurthest(tokens: readonly Token[]): number {
    let last = 0;
    const watched = new Proxy(tokens, {
        get(target, key) {
            if (typeof key === "string" && /^\d+$/.test(key)) last = Math.max(last, Number(key));
            return Reflect.get(target, key) as unknown;
        },
    });
    try {
        readProgram(watched);
    } catch {
        // It is the one that is explained.
    }
    return last;
}

/** Whether a name is used in a part of a template. @param onNode - called for each node that is looked at */
export function mentions(node: unknown, name: string, onNode: () => void): boolean {
    onNode();
    if (Array.isArray(node)) return node.some((each) => mentions(each, name, onNode));
    if (node instanceof Map) return [...node].some((each) => mentions(each, name, onNode));
    if (typeof node !== "object" || node === null) return false;
    const { type, value } = node as { type?: unknown; value?: unknown };
    return (
        (type === "Identifier" && value === name) || Object.values(node).some((each) => mentions(each, name, onNode))
    );
}

/**
 * The condition under which a round of a loop does anything at all, where it is the same in each round until one has done
 * something. So the first round in which it does not hold is the last that needs a look. Templates look for something among all
 * messages in this way, for each message; most of these rounds come after it has been found.
 */
export function steadyCondition(body: readonly Statement[], loopvar: Expression): Expression | undefined {
    const [only, ...others] = body.filter(({ type }) => type !== "Comment");
    if (only?.type !== "If" || others.length > 0 || only.alternate.length > 0 || loopvar.type !== "Identifier")
        return undefined;
    return isSteady(only.test, new Set([loopvar.value, "loop"])) ? only.test : undefined;
}

/** Whether an expression only reads variables, and none of these. */
function isSteady(expression: Expression, without: ReadonlySet<string>): boolean {
    if (expression.type === "Identifier") return !without.has(expression.value);
    if (expression.type === "UnaryExpression")
        return expression.operator.value === "not" && isSteady(expression.argument, without);
    if (expression.type !== "MemberExpression" || expression.computed) return false;
    return expression.property.type === "Identifier" && isSteady(expression.object, without);
}
