/** docs/electron.md quotes the example, which other tests run. */

import { describe, expect, it } from "@jest/globals";
import { readText } from "../helpers/demo.js";

describe("docs/electron.md", () => {
    const text = readText("docs/electron.md");
    const blocks = [...text.matchAll(/^```\w+ (\S+)\n([^]*?)^```/gm)].map(([, file = "", code = ""]) => ({
        file,
        code,
    }));

    it("has all its code from the example", () => {
        expect(blocks.length).toBe(text.match(/^```\w/gm)?.length);
        expect(blocks.length).toBeGreaterThan(4);
    });

    it.each(blocks)("quotes $file as it is", ({ file, code }) => {
        expect(readText(`examples/electron/${file}`)).toContain(code);
    });
});
