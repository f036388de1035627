/** What is said about options that are out of range. */

import { expect, it } from "@jest/globals";
import { resolveSampling } from "../../src/decoding/sampling.js";
import { suggestion } from "../../src/options.js";

it.each([
    [{ topP: 0 }, "topP must be a number above 0 and at most 1, not 0."],
    [{ repeatPenalty: -1 }, "repeatPenalty must be a number above 0 and at most 10, not -1."],
    [{ minP: 2 }, "minP must be a number from 0 to 1, not 2."],
])("%j", (options, message) => {
    expect(() => resolveSampling(options)).toThrow(expect.objectContaining({ code: "OPTION_INVALID", message }));
});

it.each([
    ["temp", "temperature"],
    ["context", "contextSize"],
    ["topk", "topK"],
    ["topPs", "topP"],
    ["ctx", "contextSize"],
    ["tmp", "temperature"],
])("%s is a guess at %s", (name, meant) => {
    expect(suggestion(name, ["topP", "topK", "temperature", "contextSize"])).toBe(`did you mean "${meant}"?`);
});

it("letters in another order, or two of them, are a guess at nothing", () => {
    for (const name of ["xtc", "cx", "cote"]) expect(suggestion(name, ["contextSize"])).toBe("possible: contextSize");
});
