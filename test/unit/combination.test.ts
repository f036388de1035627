import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { EftError } from "../../src/errors.js";
import { combinationWeights, parseCombination } from "../../src/recipe/index.js";
import type { ParameterSpec } from "../../src/types.js";

const dial = (value: number, min = -Infinity, max = Infinity): ParameterSpec => ({ default: value, min, max });

function failure(body: () => unknown): { code: string; message: string } {
    try {
        body();
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message };
        throw error;
    }
    throw new Error("Nothing was thrown.");
}

describe("weights", () => {
    const members = ["large", "chat", "small", "safe"];

    test.each([
        ["up-scaling", "large + (chat - small)", {}, [1, 1, -1, 0]],
        ["down-scaling", "small + (chat - large)", {}, [-1, 1, 1, 0]],
        ["dial at 0", "large + (1 - lambda) * (chat - small) + lambda * (safe - small)", { lambda: 0 }, [1, 1, -1, 0]],
        [
            "dial at 1/4",
            "large + (1 - lambda) * (chat - small) + lambda * (safe - small)",
            { lambda: 0.25 },
            [1, 0.75, -1, 0.25],
        ],
        ["amplified up-scaling", "chat + beta * (large - small)", { beta: 1.5 }, [1.5, 1, -1.5, 0]],
        ["proxy-tuning", "large + alpha * (chat - small)", { alpha: 0.5 }, [1, 0.5, -0.5, 0]],
        ["reward model", "large + w * small", { w: 3 }, [1, 0, 3, 0]],
        ["one member", "chat", {}, [0, 1, 0, 0]],
        ["a member twice", "chat + small - chat / 4", {}, [0, 0.75, 1, 0]],
        ["signs and precedence", "-chat - -2 * small * 3 - (large - safe)", {}, [-1, -1, 6, 1]],
        ["division from the left", "large / 2 / 4 * 3", {}, [0.375, 0, 0, 0]],
        ["numbers", "1.5e1 * large + .5 * chat + 2. * small + 1E-2 * safe", {}, [15, 0.5, 2, 0.01]],
        ["a term that is zero", "chat + 0 * 3", {}, [0, 1, 0, 0]],
        ["blanks", "\t chat+\n  small ", {}, [0, 1, 1, 0]],
    ])("%s", (_name, text, parameters: Record<string, number>, expected) => {
        const specs = Object.fromEntries(Object.keys(parameters).map((name) => [name, dial(1)]));
        const combination = parseCombination(text, { members, parameters: specs });
        expect(combination.text).toBe(text);
        expect([...combinationWeights(combination, members, parameters)].map((weight) => weight + 0)).toEqual(expected);
    });

    test("are plain data", () => {
        const combination = parseCombination("chat + beta * small", { members, parameters: { beta: dial(1) } });
        expect(JSON.parse(JSON.stringify(combination))).toEqual(combination);
        expect(combination.weights).toEqual({
            chat: { kind: "number", value: 1 },
            small: { kind: "parameter", name: "beta" },
        });
    });

    test.each([
        ["chat / beta", 1e-320, "Infinity"],
        ["chat / beta", 1e-7, "10000000"],
        ["beta * beta * chat", 1e4, "100000000"],
        ["-beta * 1e5 * chat", 100, "-10000000"],
    ])("that are too large are refused: %s at %d", (text, beta, weight) => {
        const combination = parseCombination(text, { members, parameters: { beta: dial(1, 1e-320) } });
        expect(failure(() => combinationWeights(combination, members, { beta }))).toEqual({
            code: "PARAMETER_RANGE",
            message:
                `The weight of "chat" in "${text}" is ${weight} with the parameters {"beta":${beta}}, and weights are ` +
                "numbers from -1000000 to 1000000; give each parameter a moderate value.",
        });
        expect(failure(() => combinationWeights(combination, members, {})).code).toBe("PARAMETER_RANGE");
    });

    test("of a member that is not there are refused", () => {
        const combination = parseCombination("chat + small", { members, parameters: {} });
        expect(failure(() => combinationWeights(combination, ["chat"], {}))).toEqual({
            code: "COMBINATION_UNKNOWN_NAME",
            message: '"chat + small" uses the member "small", which is not among: chat.',
        });
    });
});

describe("errors", () => {
    const members = ["large", "chat", "small"];
    const parameters = {
        beta: dial(1, 0, 2),
        gamma: dial(1, 0.5, 2),
        free: dial(1),
        above: dial(1, 0),
        fixed: dial(0, 0, 0),
    };

    const value = 'where a number, a name or "(" is expected';
    const alphabet = "has no meaning in a combination; it is made of numbers, names, + - * / and parentheses";
    const outside = "set min and max of its parameter so that 0 is outside, or multiply instead";
    const depth = "parentheses and signs are nested more than 50 deep";
    const noMember =
        "belongs to no member; multiply it by one, or delete it: " +
        "the same number added to every log-probability changes nothing";
    const noPower = 'there are no powers; write "beta * beta" for a square';
    const unknown = "is neither a member nor a parameter";
    const range = "weights are numbers from -1000000 to 1000000";
    const known = "possible: large, chat, small, beta, gamma, free, above, fixed";
    const zero = "every member has the weight 0, whatever the parameters are; nothing is left";

    const cases: Record<string, [text: string, column: number, message: string][]> = {
        COMBINATION_SYNTAX: [
            ["", 1, `the combination ends ${value}`],
            ["  ", 1, `the combination ends ${value}`],
            ["chat +", 7, `the combination ends ${value}`],
            ["chat + * small", 8, `"*" stands ${value}`],
            ["+chat", 1, `"+" stands ${value}`],
            ["()", 2, `")" stands ${value}`],
            ["2 chat", 3, 'an operator is missing before "chat"; write "2 * chat"'],
            ["2chat", 2, 'an operator is missing before "chat"; write "2 * chat"'],
            ["(chat small)", 7, 'an operator is missing before "small"; write "chat * small"'],
            ["beta (chat)", 6, 'an operator is missing before "("'],
            ["(beta) chat", 8, 'an operator is missing before "chat"'],
            ["chat - small)", 13, 'this ")" has no "("; delete it'],
            ["chat - (small", 8, 'this "(" has no ")"; add it'],
            ["chat − small", 6, '"−" has no meaning in a combination; write "-"'],
            ["2 × chat", 3, '"×" has no meaning in a combination; write "*"'],
            ["chat = small", 6, `"=" ${alphabet}`],
            ["chat 🦙", 6, `"🦙" ${alphabet}`],
            ["1e999 * chat", 1, "1e999 is too large for a number"],
            ["1e300 * 1e300 * chat", 1, `the weight of "chat" is Infinity; ${range}`],
            ["chat - 1e38 * small", 1, `the weight of "small" is -1e+38; ${range}`],
            ["1e3 * 1e4 * chat", 1, `the weight of "chat" is 10000000; ${range}`],
            ["chat / 0", 8, 'the divisor "0" is 0'],
            ["chat / fixed", 8, 'the divisor "fixed" is 0'],
            ["chat / beta", 8, `the divisor "beta" can be 0, being a number from 0 to 2; ${outside}`],
            ["chat / (1 - beta)", 8, `the divisor "(1 - beta)" can be 0, being a number from -1 to 1; ${outside}`],
            ["chat / free", 8, `the divisor "free" can be 0, being a finite number; ${outside}`],
            ["chat / -above", 8, `the divisor "-above" can be 0, being a number of at most 0; ${outside}`],
            [`${"(".repeat(51)}chat`, 51, depth],
            [`${"-".repeat(99)}chat`, 51, depth],
            [`chat${" + chat".repeat(300)}`, 1, "a combination has at most 2000 characters, this one 2104"],
        ],
        COMBINATION_NOT_LINEAR: [
            [
                "chat * small",
                6,
                '"chat" and "small" both contain members and cannot be multiplied; ' +
                    "one side of * must be made of numbers and parameters",
            ],
            ["beta / chat", 6, '"chat" contains a member and cannot be a divisor; divide by numbers and parameters'],
            ["2 * chat * (1 - small)", 13, `"1" ${noMember}`],
            ["chat + 2 * beta", 8, `"2 * beta" ${noMember}`],
            ["beta", 1, `"beta" ${noMember}`],
            ["chat ^ 2", 6, noPower],
            ["beta ** 2 * chat", 6, noPower],
        ],
        COMBINATION_UNKNOWN_NAME: [
            ["large + chatt", 9, `"chatt" ${unknown}; did you mean "chat"?`],
            ["Large", 1, `"Large" ${unknown}; did you mean "large"?`],
            ["log(chat)", 1, `"log" ${unknown}; ${known}`],
            ["toString * chat", 1, `"toString" ${unknown}; ${known}`],
        ],
        COMBINATION_ZERO: [
            ["0", 1, zero],
            ["0 * chat", 1, zero],
            ["fixed * chat", 1, zero],
            ["beta * (chat - chat)", 1, zero],
            ["free * chat + beta * small - small * beta - chat * free", 1, zero],
        ],
    };

    test.each(
        Object.entries(cases).flatMap(([code, rows]) =>
            rows.map(([text, column, message]) => [code, text, column, message] as const),
        ),
    )("%s: %s", (code, text, column, message) => {
        expect(failure(() => parseCombination(text, { members, parameters }))).toEqual({
            code,
            message: `combination:1:${column}: ${message}`,
        });
    });

    test.each(["chat / gamma", "chat / (1 + beta)", "beta * chat", "chat / (gamma * gamma)", "chat / -2"])(
        "%s is fine",
        (text) => {
            expect(() => parseCombination(text, { members, parameters })).not.toThrow();
        },
    );

    test("stand where the caller says", () => {
        const location = (offset: number) => ({ file: "some.yaml", line: 7, column: 20 + offset });
        expect(failure(() => parseCombination("chat + x", { members, parameters: {}, location })).message).toBe(
            'some.yaml:7:27: "x" is neither a member nor a parameter; possible: large, chat, small',
        );
    });
});

describe("properties", () => {
    /** Arithmetic on numbers that are few-digit binary fractions is exact, so both ways must agree exactly. */
    type Tree =
        | { op: "leaf"; text: string }
        | { op: "negate"; operand: Tree }
        | { op: "+" | "-" | "*" | "/"; left: Tree; right: Tree };

    const PRECEDENCE = { "+": 1, "-": 1, "*": 2, "/": 2, negate: 3, leaf: 4 };

    function print(tree: Tree, atLeast = 1): string {
        const precedence = PRECEDENCE[tree.op];
        if (tree.op === "leaf") return tree.text;
        const text =
            tree.op === "negate"
                ? `-${print(tree.operand, precedence)}`
                : `${print(tree.left, precedence)} ${tree.op} ${print(tree.right, precedence + 1)}`;
        return precedence < atLeast ? `(${text})` : text;
    }

    function compute(tree: Tree, values: Record<string, number>): number {
        switch (tree.op) {
            case "leaf":
                return values[tree.text] ?? Number(tree.text);
            case "negate":
                return -compute(tree.operand, values);
            case "+":
                return compute(tree.left, values) + compute(tree.right, values);
            case "-":
                return compute(tree.left, values) - compute(tree.right, values);
            case "*":
                return compute(tree.left, values) * compute(tree.right, values);
            case "/":
                return compute(tree.left, values) / compute(tree.right, values);
        }
    }

    const members = ["large", "chat", "small"];
    const parameters = { beta: dial(1, 0, 2), lambda: dial(0.5, 0, 1) };
    const leaf = (...texts: string[]): fc.Arbitrary<Tree> =>
        fc.constantFrom(...texts).map((text): Tree => ({ op: "leaf", text }));
    const binary = (op: "+" | "-" | "*" | "/", left: fc.Arbitrary<Tree>, right: fc.Arbitrary<Tree>) =>
        fc.record({ op: fc.constant(op), left, right });
    const negated = (operand: fc.Arbitrary<Tree>) => fc.record({ op: fc.constant("negate" as const), operand });

    const { form } = fc.letrec<{ scalar: Tree; form: Tree }>((tie) => {
        const scalar = tie("scalar");
        const form = tie("form");
        const powerOfTwo = leaf("2", "0.5", "4");
        return {
            scalar: fc.oneof(
                { maxDepth: 3 },
                leaf("1", "0.25", "3", "1.5e1", "beta", "lambda"),
                ...(["+", "-", "*"] as const).map((op) => binary(op, scalar, scalar)),
                binary("/", scalar, powerOfTwo),
                negated(scalar),
            ),
            form: fc.oneof(
                { maxDepth: 5 },
                leaf(...members),
                binary("+", form, form),
                binary("-", form, form),
                binary("*", scalar, form),
                binary("*", form, scalar),
                binary("/", form, powerOfTwo),
                negated(form),
            ),
        };
    });
    const quarters = (min: number, max: number) => fc.integer({ min: min * 4, max: max * 4 }).map((n) => n / 4);
    const values = fc.record({
        large: quarters(-20, 0),
        chat: quarters(-20, 0),
        small: quarters(-20, 0),
        beta: quarters(0, 2),
        lambda: quarters(0, 1),
    });

    test("a random linear form has the value that direct arithmetic gives", () => {
        fc.assert(
            fc.property(form, values, (tree, values) => {
                const text = print(tree);
                fc.pre(text.length <= 2000);
                const { beta, lambda, ...logprobs } = values;
                let weights: Float64Array = new Float64Array(members.length);
                try {
                    weights = combinationWeights(parseCombination(text, { members, parameters }), members, {
                        beta,
                        lambda,
                    });
                } catch (error) {
                    const { code, message } = error as EftError;
                    // Factors of factors may be more than a weight may be.
                    fc.pre(!message.includes("weights are numbers from -1000000 to 1000000"));
                    // A form may cancel; then its value is 0, which is what is left in `weights`.
                    expect(code).toBe("COMBINATION_ZERO");
                }
                const fused = members.reduce(
                    (sum, name, index) => sum + (weights[index] ?? NaN) * logprobs[name as keyof typeof logprobs],
                    0,
                );
                expect(fused + 0).toBe(compute(tree, values) + 0);
            }),
            { numRuns: 1000 },
        );
    });

    test("no text throws anything but an EftError that begins with a place", () => {
        const word = fc.constantFrom(
            "large",
            "chat",
            "beta",
            "x",
            "1",
            "0",
            ".5",
            "1e5",
            "+",
            "-",
            "*",
            "/",
            "(",
            ")",
            " ",
            "^",
        );
        const text = fc.oneof(
            fc.string({ unit: "binary", maxLength: 60 }),
            fc.array(word, { maxLength: 40 }).map((words) => words.join("")),
        );
        fc.assert(
            fc.property(text, (text) => {
                try {
                    parseCombination(text, { members, parameters });
                } catch (error) {
                    expect(error).toBeInstanceOf(EftError);
                    expect((error as EftError).message).toMatch(/^combination:1:\d+: ./);
                }
            }),
            { numRuns: 2000 },
        );
    });
});
