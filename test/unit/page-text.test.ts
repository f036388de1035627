/** What the server's page says of recipes, tokens and numbers. */

import { describe, expect, it } from "@jest/globals";
import { loadRecipe } from "../../src/index.js";
import { findExamples } from "../../src/server/page/text/examples.js";
import { dialText, dialsText, hundredths } from "../../src/server/page/text/numbers.js";
import { findRivals } from "../../src/server/page/text/rivals.js";
import { candidatesOf, describeToken, distanceStep, findWish, spell } from "../../src/server/page/text/tokens.js";

describe("the members that answer beside EFT", () => {
    it.each([
        ["demo", ["chat", "large"]],
        ["demo-dial", ["chat", "large"]],
        ["llama-2-13b-upscaled", ["chat", "large"]],
        ["helpful-harmless-dial", ["help", "large"]],
        ["proxy-tuning", ["chat", "large"]],
    ])("are the fine-tuned one and the large one: %s", async (name, expected) => {
        const { members, conservative } = await loadRecipe(name);
        const fallback = conservative && { top_p: conservative.topP, fallback: conservative.fallback.text };
        const names = members.map((member) => member.name);
        const rivals = findRivals({ members: names, conservative: fallback ?? null });
        expect(rivals).toEqual(expected);
    });

    it("are those that there are", () => {
        expect(findRivals({ members: ["one"], conservative: null })).toEqual(["one"]);
        expect(findRivals({ members: ["a", "b"], conservative: null })).toEqual(["b", "a"]);
        expect(findRivals({ members: ["a", "b"], conservative: { top_p: 0.9, fallback: "a" } })).toEqual(["a", "b"]);
    });
});

it.each(["constructor", "__proto__", "mine"])("there are no examples for a recipe called %s", (name) => {
    expect(findExamples(name)).toBeUndefined();
});

describe("numbers", () => {
    it.each([
        [1, "100"],
        [0.9995, ">99.9"],
        [0.998, "99.8"],
        [0.994, "99.4"],
        [0.97, "97"],
        [0.1, "10"],
        [0.0456, "4.6"],
        [0.0002, "<0.1"],
        [0, "<0.1"],
    ])("%d of 1 is %s of a hundred", (part, text) => {
        expect(hundredths(Math.log(part))).toBe(text);
    });

    it("that are not known are a dash", () => {
        expect([hundredths(null), hundredths(undefined)]).toEqual(["–", "–"]);
    });

    it("of dials have no digits that say nothing", () => {
        expect([0.5, 0.30000000000000004, 1, -0.02].map(dialText)).toEqual(["0.5", "0.3", "1", "-0.02"]);
        expect(dialsText({ lambda: 0.5, beta: 2 })).toBe("lambda 0.5, beta 2");
    });
});

describe("tokens", () => {
    const candidate = (id: number, token: string, large: number | null) => ({
        ...{ id, token, logprob: -1 },
        members: { large },
    });

    it("show what is invisible", () => {
        expect([spell(" a b"), spell("\n"), spell("\t"), spell("")]).toEqual(["␣a␣b", "⏎", "⇥", "(nothing)"]);
    });

    it("have five steps of distance", () => {
        expect([0, 0.019, 0.02, 0.1, 0.3, 0.6, 1].map(distanceStep)).toEqual([0, 0, 1, 2, 3, 4, 4]);
    });

    it("know a member's wish where the candidates are enough to be sure", () => {
        const sure = [candidate(1, "a", Math.log(0.6)), candidate(2, "b", Math.log(0.3))];
        expect(findWish(sure, "large")?.id).toBe(1);
        const unsure = [candidate(1, "a", Math.log(0.3)), candidate(2, "b", Math.log(0.2))];
        expect(findWish(unsure, "large")).toBeUndefined();
        expect(findWish([candidate(1, "a", null)], "large")).toBeUndefined();
        expect(findWish(sure, "other")).toBeUndefined();
    });

    it("are among their own candidates", () => {
        const drawn = candidate(3, "c", -9);
        const top = [candidate(1, "a", -1), candidate(2, "b", -2)];
        expect(candidatesOf({ ...drawn, top }).map(({ id }) => id)).toEqual([3, 1, 2]);
        expect(candidatesOf({ ...top[0]!, top }).map(({ id }) => id)).toEqual([1, 2]);
    });

    it("are told to those who listen", () => {
        const drafter = { id: 4, token: " H", distance: 0.97, changed_by: "large" };
        expect(describeToken({ id: 3, token: " K", logprob: Math.log(0.99), drafter })).toBe(
            "K, 99.0 %, drafter 97 % apart, large changed it from H",
        );
        expect(describeToken({ id: 3, token: "\n", logprob: null })).toBe("⏎, – %");
    });
});
