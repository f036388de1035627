import { EftError, type EftErrorCode } from "../errors.js";
import { listOf, string } from "../options.js";
import type { Combination, ParameterExpression, ParameterSpec } from "../types.js";
import { bounds, evaluateExpression, LARGEST } from "./expression.js";
import { type Location, describeRange, problem, suggestion } from "./problems.js";

/** The names that a combination may use. */
export interface CombinationScope {
    readonly members: readonly string[];
    readonly parameters: Readonly<Record<string, ParameterSpec>>;
    /** Where character `offset` of the text stands, for messages. Default: in line 1 of `combination`. */
    readonly location?: (offset: number) => Location;
}

const MAX_LENGTH = 2000;
const MAX_DEPTH = 50;

/** A part of the text with its value: a number that belongs to no member yet, or a linear form of members. */
type Part = { readonly start: number; readonly end: number } & (
    | { readonly kind: "scalar"; readonly value: ParameterExpression }
    | { readonly kind: "form"; readonly weights: ReadonlyMap<string, ParameterExpression> }
);

interface Token {
    readonly kind: "number" | "name" | "operator" | "end";
    readonly text: string;
    readonly start: number;
}

/**
 * Reads a linear form over members, such as `chat + beta * (large - small)`:
 *
 *     sum     = product { ("+" | "-") product }
 *     product = factor { ("*" | "/") factor }
 *     factor  = "-" factor | "(" sum ")" | number | member | parameter
 *
 * @throws COMBINATION_SYNTAX, COMBINATION_NOT_LINEAR, COMBINATION_UNKNOWN_NAME or COMBINATION_ZERO, with file, line
 *   and column and what to write instead
 */
export function parseCombination(text: string, scope: CombinationScope): Combination {
    string("A combination", text);
    const { members, parameters } = scope;
    const locate = scope.location ?? ((offset) => ({ file: "combination", line: 1, column: offset + 1 }));
    const fail = (code: EftErrorCode, offset: number, message: string): never => {
        throw problem(code, locate(offset), message).error;
    };
    if (text.length > MAX_LENGTH)
        fail("COMBINATION_SYNTAX", 0, `a combination has at most ${MAX_LENGTH} characters, this one ${text.length}`);

    const tokens = tokenize(text, fail);
    let next = 0;
    let depth = 0;
    const peek = (): Token => tokens[next] as Token;
    const take = (): Token => tokens[next++] as Token;
    const takeIf = (...operators: string[]): Token | undefined =>
        peek().kind === "operator" && operators.includes(peek().text) ? take() : undefined;
    const quote = ({ start, end }: Part): string => `"${text.slice(start, end).trim()}"`;

    function sum(): Part {
        let left = product();
        for (let operator = takeIf("+", "-"); operator; operator = takeIf("+", "-"))
            left = add(left, operator.text === "+" ? "add" : "subtract", product());
        return left;
    }

    function product(): Part {
        let left = factor();
        for (let operator = takeIf("*", "/"); operator; operator = takeIf("*", "/"))
            left = operator.text === "*" ? multiply(left, operator, factor()) : divide(left, operator, factor());
        return left;
    }

    function factor(): Part {
        const token = take();
        if (depth >= MAX_DEPTH)
            fail("COMBINATION_SYNTAX", token.start, `parentheses and signs are nested more than ${MAX_DEPTH} deep`);
        depth++;
        const part = token.text === "-" ? negate(token, factor()) : token.text === "(" ? group(token) : leaf(token);
        depth--;
        return part;
    }

    function group(open: Token): Part {
        const inner = sum();
        if (peek().kind === "end") fail("COMBINATION_SYNTAX", open.start, `this "(" has no ")"; add it`);
        if (peek().text !== ")") fail("COMBINATION_SYNTAX", peek().start, missingOperator());
        return { ...inner, start: open.start, end: take().start + 1 };
    }

    function leaf({ kind, text: name, start }: Token): Part {
        const place = { start, end: start + name.length };
        if (kind === "number") {
            const value = Number(name);
            if (!Number.isFinite(value)) fail("COMBINATION_SYNTAX", start, `${name} is too large for a number`);
            return { ...place, kind: "scalar", value: { kind: "number", value } };
        }
        if (kind !== "name") {
            const found = kind === "end" ? "the combination ends" : `"${name}" stands`;
            fail("COMBINATION_SYNTAX", start, `${found} where a number, a name or "(" is expected`);
        }
        if (members.includes(name)) return { ...place, kind: "form", weights: new Map([[name, ONE]]) };
        if (Object.hasOwn(parameters, name)) return { ...place, kind: "scalar", value: { kind: "parameter", name } };
        const known = [...members, ...Object.keys(parameters)];
        return fail(
            "COMBINATION_UNKNOWN_NAME",
            start,
            `"${name}" is neither a member nor a parameter; ${suggestion(name, known)}`,
        );
    }

    function add(left: Part, kind: "add" | "subtract", right: Part): Part {
        const place = { start: left.start, end: right.end };
        if (left.kind === "scalar" && right.kind === "scalar")
            return { ...place, kind: "scalar", value: { kind, left: left.value, right: right.value } };
        const weights = new Map(weightsOf(left));
        for (const [member, weight] of weightsOf(right)) {
            const before = weights.get(member);
            if (before !== undefined) weights.set(member, { kind, left: before, right: weight });
            else weights.set(member, kind === "add" ? weight : { kind: "negate", operand: weight });
        }
        return { ...place, kind: "form", weights };
    }

    /** The weights of a part that is added to a form. A number has none: only 0 can stand there. */
    function weightsOf(part: Part): ReadonlyMap<string, ParameterExpression> {
        if (part.kind === "form") return part.weights;
        const [low, high] = bounds(part.value, parameters);
        if (low !== 0 || high !== 0)
            fail(
                "COMBINATION_NOT_LINEAR",
                part.start,
                `${quote(part)} belongs to no member; multiply it by one, or delete it: ` +
                    "the same number added to every log-probability changes nothing",
            );
        return new Map();
    }

    function multiply(left: Part, operator: Token, right: Part): Part {
        const place = { start: left.start, end: right.end };
        if (left.kind === "form" && right.kind === "form")
            return fail(
                "COMBINATION_NOT_LINEAR",
                operator.start,
                `${quote(left)} and ${quote(right)} both contain members and cannot be multiplied; ` +
                    "one side of * must be made of numbers and parameters",
            );
        if (left.kind === "form") return scale(left, place, (weight) => times(weight, (right as Scalar).value));
        if (right.kind === "form") return scale(right, place, (weight) => times(left.value, weight));
        return { ...place, kind: "scalar", value: times(left.value, right.value) };
    }

    function divide(left: Part, operator: Token, right: Part): Part {
        if (right.kind === "form")
            return fail(
                "COMBINATION_NOT_LINEAR",
                operator.start,
                `${quote(right)} contains a member and cannot be a divisor; divide by numbers and parameters`,
            );
        const [low, high] = bounds(right.value, parameters);
        if (low <= 0 && high >= 0) {
            const why =
                low === high
                    ? "is 0"
                    : `can be 0, being ${describeRange(low, high)}; ` +
                      "set min and max of its parameter so that 0 is outside, or multiply instead";
            fail("COMBINATION_SYNTAX", right.start, `the divisor ${quote(right)} ${why}`);
        }
        const place = { start: left.start, end: right.end };
        const over = (value: ParameterExpression): ParameterExpression => ({
            kind: "divide",
            left: value,
            right: right.value,
        });
        return left.kind === "form" ? scale(left, place, over) : { ...place, kind: "scalar", value: over(left.value) };
    }

    function missingOperator(): string {
        const { kind, text: found } = peek();
        if (found === ")") return `this ")" has no "("; delete it`;
        const before = tokens[next - 1]?.text ?? "";
        const example = kind === "operator" || before === ")" ? "" : `; write "${before} * ${found}"`;
        return `an operator is missing before "${found}"${example}`;
    }

    const whole = sum();
    if (peek().kind !== "end") fail("COMBINATION_SYNTAX", peek().start, missingOperator());
    const weights = Object.fromEntries(weightsOf(whole));
    checkValues(weights, parameters, (code, message) => fail(code, whole.start, message));
    return { text, weights };
}

/**
 * Weights below this are what rounding leaves of terms that cancel, such as 1 - (1 - lambda) - lambda. They count as 0, or a
 * member would be evaluated for nothing.
 */
const ROUNDING = 1e-12;

/**
 * The weight of each member, in member order; 0 for a member that the combination does not use.
 * @param parameters - a value for each parameter, as `resolveParameters` returns it
 * @throws PARAMETER_RANGE when a weight is not a number from -1e6 to 1e6; COMBINATION_UNKNOWN_NAME when the combination uses a
 *   member that is not among `members`; OPTION_INVALID
 */
export function combinationWeights(
    combination: Combination,
    members: readonly string[],
    parameters: Readonly<Record<string, number>>,
): Float64Array {
    listOf(string)("members", members);
    const weights = new Float64Array(members.length);
    for (const [member, expression] of Object.entries(combination.weights)) {
        const index = members.indexOf(member);
        if (index < 0)
            throw new EftError(
                "COMBINATION_UNKNOWN_NAME",
                `"${combination.text}" uses the member "${member}", which is not among: ${members.join(", ")}.`,
            );
        const weight = evaluateExpression(expression, parameters);
        if (!(Math.abs(weight) <= LARGEST))
            throw new EftError(
                "PARAMETER_RANGE",
                `The weight of "${member}" in "${combination.text}" is ${weight} with the parameters ` +
                    `${JSON.stringify(parameters)}, and weights are numbers from ${-LARGEST} to ${LARGEST}; give each ` +
                    "parameter a moderate value.",
            );
        weights[index] = Math.abs(weight) < ROUNDING ? 0 : weight;
    }
    return weights;
}

/** Whether a member's weight is above 0 anywhere in the ranges of the parameters; rather true than false where it is not certain. */
export function canBePositive(
    { weights }: Combination,
    member: string,
    parameters: Readonly<Record<string, ParameterSpec>>,
): boolean {
    const weight = Object.hasOwn(weights, member) ? weights[member] : undefined;
    return weight !== undefined && bounds(weight, parameters)[1] > 0;
}

type Scalar = Extract<Part, { kind: "scalar" }>;
type Form = Extract<Part, { kind: "form" }>;

const ONE: ParameterExpression = { kind: "number", value: 1 };

function negate({ start }: Token, part: Part): Part {
    const minus = (operand: ParameterExpression): ParameterExpression => ({ kind: "negate", operand });
    const place = { start, end: part.end };
    return part.kind === "form" ? scale(part, place, minus) : { ...place, kind: "scalar", value: minus(part.value) };
}

function times(left: ParameterExpression, right: ParameterExpression): ParameterExpression {
    if (left === ONE) return right;
    return right === ONE ? left : { kind: "multiply", left, right };
}

function scale(
    form: Form,
    place: { start: number; end: number },
    change: (weight: ParameterExpression) => ParameterExpression,
): Form {
    const weights = new Map([...form.weights].map(([member, weight]) => [member, change(weight)]));
    return { ...place, kind: "form", weights };
}

const LOOKALIKES: Readonly<Record<string, string>> = { "−": "-", "–": "-", "×": "*", "·": "*", "⋅": "*", "÷": "/" };

function tokenize(text: string, fail: (code: EftErrorCode, offset: number, message: string) => never): Token[] {
    const pattern =
        /\s*(?:(?<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?<name>[A-Za-z_]\w*)|(?<operator>\*\*|[-+*/()^]))/y;
    const tokens: Token[] = [];
    const end = text.trimEnd().length;
    while (pattern.lastIndex < end) {
        const before = pattern.lastIndex;
        const groups = pattern.exec(text)?.groups;
        if (groups === undefined) {
            const start = before + text.slice(before).search(/\S/);
            const character = String.fromCodePoint(text.codePointAt(start) as number);
            const instead = LOOKALIKES[character];
            const remedy = instead ? `write "${instead}"` : "it is made of numbers, names, + - * / and parentheses";
            return fail("COMBINATION_SYNTAX", start, `"${character}" has no meaning in a combination; ${remedy}`);
        }
        const kind = groups["number"] !== undefined ? "number" : groups["name"] !== undefined ? "name" : "operator";
        const token = groups[kind] as string;
        const start = pattern.lastIndex - token.length;
        if (token === "^" || token === "**")
            return fail("COMBINATION_NOT_LINEAR", start, 'there are no powers; write "beta * beta" for a square');
        tokens.push({ kind, text: token, start });
    }
    return [...tokens, { kind: "end", text: "", start: end }];
}

/** Refuses weights that are all zero, or too large, wherever the parameters are set to. */
function checkValues(
    weights: Readonly<Record<string, ParameterExpression>>,
    parameters: Readonly<Record<string, ParameterSpec>>,
    fail: (code: EftErrorCode, message: string) => never,
): void {
    let isZero = true;
    for (const values of samplePoints(parameters))
        for (const [member, weight] of Object.entries(weights)) {
            const value = evaluateExpression(weight, values);
            if (!(Math.abs(value) <= LARGEST))
                fail(
                    "COMBINATION_SYNTAX",
                    `the weight of "${member}" is ${value}; weights are numbers from ${-LARGEST} to ${LARGEST}`,
                );
            if (value !== 0) isZero = false;
        }
    if (isZero) fail("COMBINATION_ZERO", "every member has the weight 0, whatever the parameters are; nothing is left");
}

/** The defaults, and a few points around them that have nothing in common: a form that is 0 at all of them is 0. */
function samplePoints(parameters: Readonly<Record<string, ParameterSpec>>): Record<string, number>[] {
    return [0, 1, 2, 3].map((point) =>
        Object.fromEntries(
            Object.entries(parameters).map(([name, { default: value, min, max }], index) => {
                const low = Math.max(min, value - 1);
                const high = Math.min(max, value + 1);
                const fraction = (point * 0.618 + index * 0.414) % 1;
                return [name, point === 0 ? value : low + fraction * (high - low)];
            }),
        ),
    );
}
