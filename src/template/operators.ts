/** Operators between two values, and the sign of one. */

import type { Context } from "./context.js";
import { isIn } from "./tests.js";
import { fail, Float, isSequence, itemsOf, NONE, toNumber, Tuple, typeName, Undefined, type Value } from "./values.js";

type Arithmetic = (a: number, b: number) => number;

const ARITHMETIC: Readonly<Record<string, Arithmetic>> = {
    "+": (a, b) => a + b,
    "-": (a, b) => a - b,
    "*": (a, b) => a * b,
    "/": (a, b) => a / nonZero(b),
    "//": (a, b) => Math.floor(a / nonZero(b)),
    // The sign is that of the divisor.
    "%": (a, b) => a - nonZero(b) * Math.floor(a / b),
    "**": (a, b) => (a === 0 && b < 0 ? nonZero(0) : a ** b),
};

const COMPARISONS: Readonly<Record<string, (sign: number) => boolean>> = {
    "<": (sign) => sign < 0,
    "<=": (sign) => sign <= 0,
    ">": (sign) => sign > 0,
    ">=": (sign) => sign >= 0,
};

/** @throws TemplateFault */
export function binary(context: Context, operator: string, left: Value, right: Value): Value {
    const { values, work } = context;
    switch (operator) {
        case "==":
            return values.equal(left, right);
        case "!=":
            return !values.equal(left, right);
        case "in":
            return isIn(context, left, right);
        case "not in":
            return !isIn(context, left, right);
        case "~": {
            const [a, b] = [values.text(left), values.text(right)];
            work.write(a.length + b.length);
            return a + b;
        }
    }
    for (const each of [left, right]) if (each instanceof Undefined) fail(each.reason);
    const order = Object.hasOwn(COMPARISONS, operator) ? COMPARISONS[operator] : undefined;
    if (order !== undefined) return order(values.compare(left, right, operator));
    const [a, b] = [toNumber(left), toNumber(right)];
    if (a !== undefined && b !== undefined) return arithmetic(operator, left, right, a, b);
    if (operator === "+") return concatenate(context, left, right);
    if (operator === "*" && b !== undefined) return multiply(context, left, right);
    if (operator === "*" && a !== undefined) return multiply(context, right, left);
    return fail(`'${operator}' is not possible between ${typeName(left)} and ${typeName(right)}`);
}

export function negative(value: Value, sign: string): Value {
    if (value instanceof Undefined) return fail(value.reason);
    const number = toNumber(value) ?? fail(`a value of the type ${typeName(value)} has no sign`);
    const signed = sign === "-" ? -number : number;
    return value instanceof Float ? new Float(signed) : signed;
}

function arithmetic(operator: string, left: Value, right: Value, a: number, b: number): Value {
    const compute = Object.hasOwn(ARITHMETIC, operator) ? ARITHMETIC[operator] : undefined;
    if (compute === undefined) return fail(`the operator ${operator} is not known here`);
    const result = compute(a, b);
    const isFloat = left instanceof Float || right instanceof Float || operator === "/" || (operator === "**" && b < 0);
    if (isFloat) return new Float(result);
    // Python's integers have no end; templates count messages.
    return Number.isSafeInteger(result) ? result : fail("an integer is too large");
}

function nonZero(value: number): number {
    return value === 0 ? fail("a number is divided by zero") : value;
}

function concatenate({ work }: Context, left: Value, right: Value): Value {
    if (typeof left === "string" && typeof right === "string") {
        work.write(left.length + right.length);
        return left + right;
    }
    if (isSequence(left) && isSequence(right) && Array.isArray(left) === Array.isArray(right)) {
        work.step(itemsOf(left).length + itemsOf(right).length);
        const items = [...itemsOf(left), ...itemsOf(right)];
        return left instanceof Tuple ? new Tuple(items) : items;
    }
    return fail(`'+' is not possible between ${typeName(left)} and ${typeName(right)}`);
}

function multiply({ work }: Context, repeated: Value, times: Value): Value {
    const count = typeof times === "number" || typeof times === "boolean" ? Math.max(0, Number(times)) : undefined;
    if (count !== undefined && typeof repeated === "string") {
        work.write(repeated.length * count);
        return repeated.repeat(count);
    }
    if (count !== undefined && isSequence(repeated)) {
        const items = itemsOf(repeated);
        work.step(items.length * count);
        const made = Array.from({ length: items.length * count }, (_, index) => items[index % items.length] ?? NONE);
        return repeated instanceof Tuple ? new Tuple(made) : made;
    }
    return fail(`'*' is not possible between ${typeName(repeated)} and ${typeName(times)}`);
}
