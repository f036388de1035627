/** The key `speculation` of recipes. */

import { describe, expect, test } from "@jest/globals";
import { EftError } from "../../src/errors.js";
import { combinationWeights, parseRecipe, resolveParameters } from "../../src/recipe/index.js";

/** Three lines that are right; the combination is line 4, what a case adds begins in line 5. */
const HEAD = "eft: 1\nname: x\nmembers: { large: { model: l.gguf }, chat: { model: c.gguf } }\n";
const SUM = "combination: large + chat\n";

function failure(text: string): { code: string; message: string } {
    try {
        parseRecipe(text, { file: "r.yaml" });
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message };
        throw error;
    }
    throw new Error("Nothing was thrown.");
}

describe("takes", () => {
    test.each([
        [{}],
        [{ lookup: false }],
        [{ length: 0 }],
        [{ length: 16, coupling: "gumbel" }],
        [{ length: "confidence" }],
        [{ selective: 0.5, length: 4, coupling: "gumbel", lookup: false }],
        [{ selective: 0, coupling: "maximal", lookup: true }],
        [{ length: "adaptive", lookup: true, coupling: "maximal" }],
    ])("%j, adding nothing", (speculation) => {
        const text = `${HEAD}${SUM}speculation: ${JSON.stringify(speculation)}`;
        expect(parseRecipe(text).speculation).toStrictEqual(speculation);
    });

    test("its absence", () => {
        expect(parseRecipe(HEAD + SUM)).not.toHaveProperty("speculation");
    });

    test("members and parameters that only the drafter uses", () => {
        const text =
            "eft: 1\nname: drafted\nmembers: { large: { model: l.gguf }, a: { model: a.gguf }, b: { model: b.gguf } }\n" +
            "parameters: { mix: { default: 0.25, min: 0, max: 1 } }\n" +
            "combination: large\nspeculation: { drafter: (1 - mix) * a + mix * b }\n";
        const { speculation, members, parameters } = parseRecipe(text);
        if (speculation?.drafter === undefined) throw new Error("The drafter is lost.");
        expect(speculation.drafter.text).toBe("(1 - mix) * a + mix * b");
        const names = members.map(({ name }) => name);
        const values = resolveParameters({ name: "drafted", parameters }, {});
        expect([...combinationWeights(speculation.drafter, names, values)]).toEqual([0, 0.75, 0.25]);
    });
});

describe("refuses", () => {
    const length = "a whole number from 0 to 16, or one of confidence, adaptive";
    const mapping = "a mapping of speculation options, or {} for the defaults of all";
    const invalid: [text: string, place: string, message: string][] = [
        ["{ length: 99 }", "5:24", `"speculation.length" must be ${length}, not 99`],
        ["{ length: 17 }", "5:24", `"speculation.length" must be ${length}, not 17`],
        ["{ length: -1 }", "5:24", `"speculation.length" must be ${length}, not -1`],
        ["{ length: 2.5 }", "5:24", `"speculation.length" must be ${length}, not 2.5`],
        ["{ length: .nan }", "5:24", `"speculation.length" must be ${length}, not NaN`],
        ["{ length: fast }", "5:24", `"speculation.length" must be ${length}, not the text "fast"`],
        ["{ length: '4' }", "5:24", `"speculation.length" must be ${length}, not the text "4"`],
        ["{ length: true }", "5:24", `"speculation.length" must be ${length}, not true`],
        ["{ length: [4] }", "5:24", `"speculation.length" must be ${length}, not a list`],
        ["{ length: }", "5:16", `"speculation.length" is empty; it must be ${length}`],
        ["{ lookup: yes }", "5:24", '"speculation.lookup" must be true or false, not the text "yes"'],
        ["{ lookup: 1 }", "5:24", '"speculation.lookup" must be true or false, not 1'],
        [
            "{ coupling: gumble }",
            "5:26",
            '"speculation.coupling" must be one of gumbel, maximal, not the text "gumble"; did you mean "gumbel"?',
        ],
        [
            "{ drafter: [chat] }",
            "5:25",
            "\"speculation.drafter\" must be a linear form of members, such as 'large + chat - small', not a list",
        ],
        ["{ drafer: chat }", "5:16", '"speculation" has no key "drafer"; did you mean "drafter"?'],
        ["{ k: 4 }", "5:16", '"speculation" has no key "k"; possible: drafter, lookup, length, coupling, selective'],
        ["{ selective: -1 }", "5:27", '"speculation.selective" must be a number from 0 to 100, not -1'],
        ["{ selective: .inf }", "5:27", '"speculation.selective" must be a number from 0 to 100, not Infinity'],
        ["{ selective: low }", "5:27", '"speculation.selective" must be a number from 0 to 100, not the text "low"'],
        [
            "{ selective: 1, coupling: maximal }",
            "5:40",
            '"coupling: maximal" draws from the target exactly, and "selective" takes tokens of the drafter as they are; ' +
                "leave one of them out",
        ],
        [
            "{ selective: 1, lookup: true }",
            "5:38",
            '"lookup" guesses what all members verify, and "selective" asks the drafter alone; leave one of them out',
        ],
        ["chat", "5:14", `"speculation" must be ${mapping}, not the text "chat"`],
        ["false", "5:14", `"speculation" must be ${mapping}, not false`],
        ["", "5:1", `"speculation" is empty; it must be ${mapping}`],
    ];
    test.each(invalid)("%s", (text, place, message) => {
        expect(failure(`${HEAD}${SUM}speculation: ${text}`)).toEqual({
            code: "RECIPE_INVALID",
            message: `r.yaml:${place}: ${message}`,
        });
    });

    test("a member that not even the drafter uses", () => {
        expect(failure(`${HEAD}combination: large\nspeculation: { drafter: large / 2 }`)).toEqual({
            code: "MEMBER_UNUSED",
            message: 'r.yaml:3:38: the member "chat" is in no combination; use it there or delete it here',
        });
    });

    test.each([
        ["chta", "COMBINATION_UNKNOWN_NAME", '5:25: "chta" is neither a member nor a parameter; did you mean "chat"?'],
        [
            "large * chat",
            "COMBINATION_NOT_LINEAR",
            '5:31: "large" and "chat" both contain members and cannot be multiplied; ' +
                "one side of * must be made of numbers and parameters",
        ],
        [
            "chat - chat",
            "COMBINATION_ZERO",
            "5:25: every member has the weight 0, whatever the parameters are; nothing is left",
        ],
        ["chat +", "COMBINATION_SYNTAX", '5:31: the combination ends where a number, a name or "(" is expected'],
    ])("the drafter %s", (drafter, code, message) => {
        expect(failure(`${HEAD}${SUM}speculation: { drafter: ${drafter} }`)).toEqual({
            code,
            message: `r.yaml:${message}`,
        });
    });
});
