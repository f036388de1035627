/** Calls that name no tool, among calls that do: whatever the pieces, what is read is the same, and nothing that was not written. */

import { expect, test } from "@jest/globals";
import type { CallSyntax } from "../../src/prompts/call-syntax.js";
import { cut, readPieces } from "../helpers/answers.js";
import { readSyntaxes, writeCall } from "../helpers/written-calls.js";

type Call = readonly [name: string, values: Readonly<Record<string, number>>];

const NOW: Call = ["now", {}];
const FIND: Call = ["find", { a: 1 }];
const STRAY: Call = ["rm", { b: 1 }];
const LISTS = [[STRAY], [STRAY, NOW], [NOW, STRAY], [NOW, STRAY, FIND], [STRAY, STRAY], [STRAY, NOW, STRAY, FIND]];
const AROUND = [
    ["", ""],
    ["Hm. ", " bye"],
    ["Hm.\n", "\n\nbye "],
    ["\n", ""],
] as const;

/** Calls as the template writes them, each for itself, and with ends that are missing. */
function writeAnswers(syntax: CallSyntax, list: readonly Call[]): string[] {
    const { open, between, close } = syntax;
    const whole = (calls: readonly Call[]): string =>
        open + calls.map((one) => writeCall(syntax, ...one)).join(between) + close;
    const each = list.map((one) => whole([one]));
    const unclosed = each.map((one) => one.slice(0, one.length - close.length)).join(close);
    const answers = [each.join(""), each.join("\n"), each.join(" and "), unclosed];
    return between === undefined ? answers : [whole(list), ...answers];
}

function isPartOf(text: string, written: string): boolean {
    let at = 0;
    for (const character of text) {
        at = written.indexOf(character, at) + 1;
        if (at === 0) return false;
    }
    return true;
}

test("calls of unknown tools, with all syntaxes of public templates", async () => {
    const failures: unknown[] = [];
    const syntaxes = await readSyntaxes();
    for (const [name, syntax] of syntaxes) {
        for (const list of LISTS) {
            for (const [before, behind] of AROUND) {
                for (const answer of writeAnswers(syntax, list).map((one) => `${before}${one}${behind}`)) {
                    for (const stop of [[], ["rm"]]) {
                        const setup = { syntax, tools: ["now", "find"], stop, isCutOff: stop.length === 0 };
                        const [whole, ...others] = [answer.length, 1, 3].map((length) =>
                            readPieces(cut(answer, [length]), setup),
                        );
                        const isSame = others.every((one) => JSON.stringify(one) === JSON.stringify(whole));
                        if (!isSame || !isPartOf(whole?.text ?? "", answer))
                            failures.push([name, answer, stop, whole, ...others]);
                    }
                }
            }
        }
    }
    expect(failures.slice(0, 3)).toEqual([]);
    expect(syntaxes.size).toBeGreaterThan(25);
});
