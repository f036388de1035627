/** What the commands write with: texts that no terminal obeys, and the colours of `--explain`. */

import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { paintText } from "../../src/cli/explain.js";
import { colors, escapeControls, formatMessage, printable, quote, wrap } from "../../src/cli/terminal.js";
import type { TokenPart } from "../../src/index.js";
import { hasTerminal, program, runOnTerminal } from "./run.js";

describe("texts", () => {
    it("have their control characters escaped, and nothing else", () => {
        expect(escapeControls("a\n\r\t\u0000\u001b[31m\u007f\u009b")).toBe(
            "a\\n\\r\\t\\u0000\\u001b[31m\\u007f\\u009b",
        );
        expect(escapeControls("\u202egnirts\u2066\u2028")).toBe("\\u202egnirts\\u2066\\u2028");
        expect(escapeControls("a\u061cb\u200ec\u200f")).toBe("a\\u061cb\\u200ec\\u200f");
        expect(escapeControls('à "日本" 😀 \\ \u200c')).toBe('à "日本" 😀 \\ \u200c');
    });

    it("are in quotes as JSON has them", () => {
        for (const text of ['say "no"\n', "\\", "\u009b\u202e", "😀"]) {
            expect(JSON.parse(quote(text))).toBe(text);
            expect(quote(text)).toMatch(/^"\P{Cc}+"$/u);
        }
    });
});

describe("messages", () => {
    it.each([
        ["one line", "one line"],
        ["two\nlines\n", "two\n  lines\n"],
        ["two\r\n  lines", "two\n  lines"],
        ["a\u001b[31m\rb\tc", "a\\u001b[31m\\rb\tc"],
    ])("have one beginning: %j", (message, expected) => {
        expect(formatMessage(message)).toBe(expected);
    });
});

describe("lines that a terminal has no room for", () => {
    it.each([
        ["fits in here", 4, 30, "fits in here"],
        ["words that do not fit into it", 4, 24, "words that do not\n    fit into it"],
        ["a-word-that-is-longer-than-the-line it stays", 0, 24, "a-word-that-is-longer-than-the-line\nit stays"],
        ["first\n  the second line is long", 4, 24, "first\n  the second line is\n    long"],
        ["no room to speak of is here", 10, 24, "no room to speak of is here"],
        ["no terminal to have an end anywhere", 4, undefined, "no terminal to have an end anywhere"],
    ])("are broken between words: %j", (text, indent, columns, expected) => {
        expect(wrap(text, indent, columns)).toBe(expected);
    });

    (hasTerminal ? it : it.skip)("are broken in the last column of a table", () => {
        const command = [process.execPath, program, "recipe"].map((word) => `'${word}'`).join(" ");
        for (const [args, columns] of [
            ["list", 80],
            ["show qwen-3.5-upscaled", 90],
        ] as const) {
            const lines = runOnTerminal(`stty columns ${columns}; ${command} ${args}`, { NO_COLOR: "1" }).split("\r\n");
            const table = lines.filter((line) => /^[│┌├└]/.test(line));
            expect([...new Set(table.map((line) => line.length))]).toEqual([columns]);
        }
    });
});

describe("data", () => {
    it("is printable wherever texts are in it, and else what it was", () => {
        const bytes = new Uint8Array([27]);
        const data = { "a\n": ["\u001b", { b: "\t" }, 1, null, undefined, bytes], m: new Map([["\u0007", "\u009b"]]) };
        expect(printable(data)).toEqual({
            "a\\n": ["\\u001b", { b: "\\t" }, 1, null, undefined, bytes],
            m: new Map([["\\u0007", "\\u009b"]]),
        });
    });
});

describe("a token in colour", () => {
    const level = colors.level;
    beforeEach(() => {
        colors.level = 1;
    });
    afterEach(() => {
        colors.level = level;
    });
    const paint = (text: string, totalVariation: number, drafter = 7): string =>
        paintText({ type: "token", id: 7, text, logprob: -1, drafter: { id: drafter, text: "", totalVariation } });

    it("is hotter the farther the drafter is", () => {
        expect([0.05, 0.2, 0.4, 0.6, 0.9].map((distance) => paint("x", distance))).toEqual([
            "x",
            colors.black.bgCyan("x"),
            colors.black.bgGreen("x"),
            colors.black.bgYellow("x"),
            colors.black.bgRed("x"),
        ]);
    });

    it("is underlined where the drafter says something else", () => {
        expect(paint("x", 0, 8)).toBe(colors.underline("x"));
        expect(paint("x", 1, 8)).toBe(colors.black.bgRed.underline("x"));
    });

    it("shows line ends and ends lines, and shows control characters", () => {
        const red = colors.black.bgRed;
        expect(paint("a\nb", 1)).toBe(`${red("a")}${red("\\n")}\n${red("b")}`);
        expect(paint("\u001b[2J", 1)).toBe(red("\\u001b[2J"));
    });

    it("has no colour where nothing is known of a drafter, and where there are no colours", () => {
        const part: TokenPart = { type: "token", id: 7, text: "a\u0007\n", logprob: -1 };
        expect(paintText(part)).toBe("a\\u0007\n");
        colors.level = 0;
        expect(paint("a\u0007\n", 1, 8)).toBe("a\\u0007\n");
    });
});
