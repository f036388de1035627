/** Whose answers have waited too long to be taken. */

import { describe, expect, it } from "@jest/globals";
import { createWait } from "../../src/server/slow-readers.js";

/** @returns after how many looks, a second apart, it is over; undefined: never in an hour */
function looksUntilOver(taken: (look: number) => number, isAwaited = true): number | undefined {
    const wait = createWait(30_000);
    for (let look = 1; look <= 3600; look++) if (wait.isOver(1000, taken(look), isAwaited)) return look;
    return undefined;
}

describe("a reader that is waited for is given up", () => {
    it.each<[string, (look: number) => number, number | undefined]>([
        ["that takes nothing", () => 0, 30],
        ["that takes a byte a second", () => 1, 31],
        ["that takes a byte now and then", (look) => Number(look % 29 === 0), 31],
        ["that takes half of what is enough", () => 8192, 60],
        ["that takes what is enough", () => 16_384, undefined],
        ["that takes it at long intervals", (look) => (look % 20 === 0 ? 400_000 : 0), undefined],
    ])("%s", (_, taken, expected) => {
        expect(looksUntilOver(taken)).toBe(expected);
    });

    it("but never one for whom nothing waits", () => {
        expect(looksUntilOver(() => 0, false)).toBeUndefined();
    });
});
