/** Which tokens a slot holds, where caches can be cut and where they cannot. */

import { describe, expect, test } from "@jest/globals";
import { createCells } from "../../src/host/cells.js";

describe("a cache that can be cut", () => {
    test("keeps the beginning of what a slot holds, and shares it", () => {
        const cells = createCells(16, 2, true);
        cells.append(0, [1, 2, 3, 4]);
        expect([0, 3, 4, 9].map((length) => cells.keepable(0, length))).toEqual([0, 3, 4, 4]);
        cells.share(0, 1, 3);
        cells.truncate(0, 2);
        expect([cells.held(0), cells.held(1), cells.used]).toEqual([[1, 2], [1, 2, 3], 3]);
    });
});

describe("a cache that holds a state", () => {
    test("keeps all of what a slot holds, or nothing, where there is no bookmark", () => {
        const cells = createCells(16, 2, false);
        cells.append(0, [1, 2, 3, 4]);
        expect([0, 3, 4, 9].map((length) => cells.keepable(0, length))).toEqual([0, 0, 4, 4]);
        cells.truncate(0, 4);
        expect(cells.held(0)).toEqual([1, 2, 3, 4]);
        cells.truncate(0, 3);
        expect([cells.held(0), cells.used]).toEqual([[], 0]);
    });

    test("keeps what is before a bookmark, and so does who shares it", () => {
        const cells = createCells(16, 3, false);
        cells.append(0, [1, 2, 3]);
        cells.bookmark(0);
        cells.append(0, [4, 5]);
        expect([2, 3, 4, 5, 9].map((length) => cells.keepable(0, length))).toEqual([0, 3, 3, 5, 5]);
        cells.share(0, 1, 4);
        expect([cells.held(1), cells.used]).toEqual([[1, 2, 3], 5]);
        cells.append(1, [6, 7]);
        cells.truncate(1, 4);
        expect([cells.held(0), cells.held(1), cells.used]).toEqual([[1, 2, 3, 4, 5], [1, 2, 3], 5]);
        // Another place, and none.
        cells.append(1, [8]);
        cells.bookmark(1);
        expect([3, 4].map((length) => cells.keepable(1, length))).toEqual([0, 4]);
        cells.truncate(0, 2);
        cells.append(0, [1, 2, 3, 4]);
        expect([cells.keepable(0, 3), cells.keepable(0, 4)]).toEqual([0, 4]);
    });

    test("is shared as a whole, or not at all", () => {
        const cells = createCells(16, 3, false);
        cells.append(0, [1, 2, 3]);
        cells.append(1, [9]);
        cells.share(0, 1, 3);
        cells.share(0, 2, 2);
        expect([cells.held(1), cells.held(2), cells.used]).toEqual([[1, 2, 3], [], 3]);
        cells.append(1, [4]);
        cells.share(1, 1, 3);
        expect([cells.held(0), cells.held(1), cells.used]).toEqual([[1, 2, 3], [], 3]);
    });
});
