/** `eft-llama demo`, which is also `npm run demo`. */

import { beforeAll, describe, expect, it } from "@jest/globals";
import { run, type Run } from "./run.js";

let result: Run;
beforeAll(async () => {
    result = await run(["demo"], { env: { npm_config_user_agent: "npm/11.0.0 node/v22" } });
});

/** The rows of the table below a heading. */
function readTable(heading: RegExp): string[][] {
    const lines = result.stdout.slice(result.stdout.search(heading)).split("\n");
    const end = lines.findIndex((line) => line.startsWith("└"));
    const table = lines.slice(lines.findIndex((line) => line.startsWith("┌")) + 1, end);
    const wrapped = table.filter((line) => line.startsWith("├")).length > 1;
    const rows: string[][] = [[]];
    for (const line of table) {
        if (line.startsWith("├")) {
            rows.push([]);
            continue;
        }
        const cells = line.split("│").slice(1, -1);
        const row = wrapped ? (rows.at(-1) ?? []) : [];
        if (!wrapped) rows.push(row);
        cells.forEach((cell, index) => (row[index] = `${row[index] ?? ""} ${cell.trim()}`.trim()));
    }
    return rows.filter((row) => row.length > 0);
}

describe("eft-llama demo", () => {
    it("ends well, within 100 columns and without colours", () => {
        expect(result).toMatchObject({ stderr: "", code: 0 });
        expect(Math.max(...result.stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
        expect(result.stdout).not.toContain("\x1b");
    });

    it("names commands as they can be typed where it was started by npx", () => {
        expect(result.stdout).toMatch(/^Ask it yourself: +npx eft-llama complete --recipe demo "/m);
    });

    it("shows questions that only EFT answers rightly", () => {
        const right = ["Kathmandu", "leveret", "Jonathan Swift", "47"];
        const rows = readTable(/^1\. /m).slice(1);
        rows.forEach(([, chat, large, eft], index) => {
            expect(eft).toContain(right[index]);
            expect(`${chat} ${large}`).not.toContain(right[index]);
        });
        expect(rows).toHaveLength(right.length);
    });

    it("answers otherwise together than alone, and as `complete` does", async () => {
        const [head, ...rows] = readTable(/^1\. /m);
        expect(head).toEqual(["question", "chat alone", "large alone", "EFT"]);
        expect(rows.length).toBeGreaterThanOrEqual(4);
        for (const [question = "", chat, large, eft] of rows) {
            expect(eft).toMatch(/^I[^\n]*\.$/);
            expect(eft).not.toBe(chat);
            expect(large).toMatch(/^\[INST\]/);
            const { stdout } = await run(["complete", "--recipe", "demo", question]);
            expect(stdout.trim()).toBe(eft);
        }
    });

    it("shows what the members thought of each token", () => {
        const [head, ...tokens] = readTable(/^2\. /m);
        expect(head).toEqual(["token", "EFT", "large", "chat", "small"]);
        const text = tokens.map(([token = ""]) => JSON.parse(token) as string).join("");
        expect(text).toBe(" Its capital is Kathmandu.</s>");
        for (const [, ...cells] of tokens) for (const cell of cells) expect(cell).toMatch(/^\d+\.\d %( \(".*"\))?$/);
        // Somewhere the small model would have gone another way.
        expect(tokens.some(([, , , chat]) => chat?.includes("("))).toBe(true);
    });

    it("turns the dial of one question and not of the other", () => {
        const [head, phone = [], capital = []] = readTable(/^3\. /m);
        expect(head).toEqual(["question", "lambda = 0", "lambda = 0.5", "lambda = 1"]);
        expect(phone[1]).toMatch(/555-\d{4}/);
        expect(phone[3]).toMatch(/cannot share/);
        expect(new Set(capital.slice(1)).size).toBe(1);
    });

    it("measures the parts of a step, and leaves out members that are not evaluated", () => {
        const [head, chat = [], large = [], eft = []] = readTable(/^4\. /m);
        expect(head?.slice(0, 3)).toEqual(["", "tokens/s", "ms/token"]);
        expect([chat[0], large[0], eft[0]]).toEqual(["chat alone", "large alone", "EFT"]);
        for (const cell of eft.slice(1)) expect(Number(cell)).toBeGreaterThan(0);
        expect([chat[3], chat[5], large[4], large[5]]).toEqual(["-", "-", "-", "-"]);
    });
});
