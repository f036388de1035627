/** Several copies of this package in one process, with node-llama-cpp among them: npm makes such trees. */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { findLibraryFolder } from "../../src/native/load-binding.js";
import { copyPackage, type PackageCopies } from "../helpers/copies.js";
import { demoFile } from "../helpers/demo.js";
import { readGguf, withMetadata, writeGguf } from "../helpers/gguf.js";
import { runProgram } from "../helpers/program.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
const damaged = path.join(folder, "damaged.gguf");
afterAll(remove);
beforeAll(() => {
    // Fails an assertion inside llama.cpp.
    const experts = { "llama.expert_count": { type: "uint32", value: 1 } } as const;
    writeGguf(damaged, withMetadata(readGguf(demoFile("small-base")), experts));
});

/** What each operation of programs/copies.mjs prints. */
const OUTCOMES: Readonly<Record<string, string>> = {
    load: "loaded",
    ask: "Its capital is Lima.",
    fail: "MODEL_LOAD_FAILED true",
    dispose: "disposed",
};

function expected(operation: string): string {
    const [names = "", what = ""] = operation.split(".");
    const outcomes = names.split("+").map((name) => {
        if (what !== "thread") return OUTCOMES[what] ?? "";
        const done = ["load", "ask", "fail", "dispose"].map((each) => `${name}.${each} ${OUTCOMES[each]}`);
        return `0 ${done.join(", ")}`;
    });
    return `${operation} ${outcomes.join(" | ")}`;
}

const LIBRARIES = ["one set of llama.cpp's libraries", "libraries of their own"] as const;
const ORDERS: [libraries: (typeof LIBRARIES)[number], order: string][] = [
    [LIBRARIES[0], "a.load b.load a+b.ask a.fail b.fail a.dispose b.dispose"],
    [LIBRARIES[0], "a.load a.ask b.load b.ask a.ask b.fail a.fail b.dispose a.ask a.dispose"],
    [
        LIBRARIES[0],
        "a.load b.load c.load a+b+c.ask c.fail a.fail b.fail c.fail a.dispose c.ask b.dispose c.dispose a.load",
    ],
    [
        LIBRARIES[0],
        "n.load a.load b.load n+a+b.ask b.fail a.fail n.dispose a.fail b.fail a+b.ask n.load a.fail n+a+b.ask",
    ],
    [
        LIBRARIES[0],
        "a.load n.load b.load a.fail n.dispose n.load b.fail a.fail n+a+b.ask a.dispose b.dispose n.ask n.dispose",
    ],
    [LIBRARIES[0], "a+b+c.thread a.load a.ask a+b.thread a.ask a.fail"],
    [LIBRARIES[1], "a.load b.load n.load b.fail a.fail n+a+b.ask b.fail a.fail n.dispose b.fail a.fail a+b.ask"],
    [LIBRARIES[1], "a+b+c.thread a.load a.ask a.fail"],
];

describe("copies", () => {
    const sets = new Map<string, PackageCopies>();
    beforeAll(() => {
        sets.set(LIBRARIES[0], copyPackage(["a", "b", "c"]));
        sets.set(LIBRARIES[1], copyPackage(["a", "b", "c"], ["b", "c"]));
    });
    afterAll(() => sets.forEach((copies) => copies.remove()));

    test.each(ORDERS)("with %s: %s", async (libraries, order) => {
        const operations = order.split(" ");
        const args = [...(sets.get(libraries)?.args ?? []), "--damaged", damaged, ...operations];
        const { exit, stdout, stderr } = await runProgram("copies.mjs", { args });
        const lines = operations.map((operation) => `${expected(operation)}\n`);
        expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: lines.join(""), stderr: "" });
    });
});

test("a callback for failed assertions that another library has put in the place of ours is no end", async () => {
    if (process.platform !== "linux") return;
    const library = path.join(folder, "other.so");
    const ggml = path.join(findLibraryFolder().directory, "libggml-base.so");
    const source = `
        #include <stdio.h>
        void ggml_set_abort_callback(void (*)(const char *));
        static void on_abort(const char * message) { fputs("theirs\\n", stderr); }
        __attribute__((constructor)) static void replace(void) { ggml_set_abort_callback(on_abort); }`;
    execFileSync("cc", ["-shared", "-fPIC", "-o", library, "-x", "c", "-", "-x", "none", ggml], { input: source });
    const args = [library, demoFile("small-base"), damaged];
    const { exit, stdout, stderr } = await runProgram("replaced-assertion.mjs", { args });
    expect({ exit, stdout, stderr }).toEqual({ exit: 0, stdout: "MODEL_LOAD_FAILED true\nloaded\n", stderr: "" });
});

test("another release of llama.cpp beside ours is refused by name", async () => {
    if (process.platform !== "linux") return;
    const copies = copyPackage(["a", "b"], ["b"]);
    try {
        const file = path.join(copies.folder("b"), "build", "llama", "libggml-base.so");
        const bytes = readFileSync(file);
        // What ggml_commit() returns; 3333333 is a number.
        const commit = bytes.toString("latin1").search(/(?<=\0)(?=\d*[a-f])[0-9a-f]{7}\0/);
        expect(commit).toBeGreaterThan(0);
        bytes.write("0000000", commit, "latin1");
        writeFileSync(file, bytes);
        const alone = await runProgram("copies.mjs", { args: [...copies.args, "b.load", "b.ask"] });
        expect(alone.stdout).toBe("b.load loaded\nb.ask Its capital is Lima.\n");
        const { exit, stderr } = await runProgram("copies.mjs", { args: [...copies.args, "a.load", "b.load"] });
        expect(exit).toBe(1);
        expect(stderr).toMatch(
            /EftError: Another release of llama\.cpp is in this process already \(.*libggml-base\.so\)/,
        );
        expect(stderr).toContain("LLAMA_VERSION_MISMATCH");
    } finally {
        copies.remove();
    }
});
