import type { ParameterExpression, ParameterSpec } from "../types.js";

/** Largest weight of a member and largest parameter, and the range of a parameter that says nothing about it: -1e6 to 1e6. */
export const LARGEST = 1_000_000;

/** The value of an expression. A name without a value gives NaN. */
export function evaluateExpression(
    expression: ParameterExpression,
    parameters: Readonly<Record<string, number>>,
): number {
    switch (expression.kind) {
        case "number":
            return expression.value;
        case "parameter":
            return Object.hasOwn(parameters, expression.name) ? (parameters[expression.name] as number) : NaN;
        case "negate":
            return -evaluateExpression(expression.operand, parameters);
        case "add":
        case "subtract":
        case "multiply":
        case "divide":
            return ARITHMETIC[expression.kind](
                evaluateExpression(expression.left, parameters),
                evaluateExpression(expression.right, parameters),
            );
    }
}

/** Smallest and largest value, inclusive. */
export type Interval = readonly [low: number, high: number];

/**
 * Bounds of an expression over the ranges of its parameters, by interval arithmetic: never too narrow, and too wide
 * only where a parameter occurs more than once.
 */
export function bounds(expression: ParameterExpression, parameters: Readonly<Record<string, ParameterSpec>>): Interval {
    switch (expression.kind) {
        case "number":
            return [expression.value, expression.value];
        case "parameter": {
            const { min, max } = parameters[expression.name] as ParameterSpec;
            return [min, max];
        }
        case "negate": {
            const [low, high] = bounds(expression.operand, parameters);
            return [-high, -low];
        }
        case "add":
        case "subtract":
        case "multiply":
        case "divide": {
            const apply = ARITHMETIC[expression.kind];
            const left = bounds(expression.left, parameters);
            const right = bounds(expression.right, parameters);
            // 0 * Infinity, Infinity - Infinity: an unbounded range stands for finite numbers only.
            const corners = left.flatMap((a) => right.map((b) => apply(a, b))).map((x) => (Number.isNaN(x) ? 0 : x));
            return [Math.min(...corners), Math.max(...corners)];
        }
    }
}

/** Adds the names of the parameters in an expression to a set. */
export function collectParameters(expression: ParameterExpression, names: Set<string>): void {
    switch (expression.kind) {
        case "number":
            break;
        case "parameter":
            names.add(expression.name);
            break;
        case "negate":
            collectParameters(expression.operand, names);
            break;
        case "add":
        case "subtract":
        case "multiply":
        case "divide":
            collectParameters(expression.left, names);
            collectParameters(expression.right, names);
    }
}

const ARITHMETIC = {
    add: (a: number, b: number) => a + b,
    subtract: (a: number, b: number) => a - b,
    multiply: (a: number, b: number) => a * b,
    divide: (a: number, b: number) => a / b,
} as const;
