/** Reading from and writing to places that the user has named. */

import { execFileSync } from "node:child_process";
import {
    chmodSync,
    existsSync,
    lstatSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { loadChat } from "../../src/chat/document.js";
import { readExperimentFile } from "../../src/eval/source.js";
import { readItems } from "../../src/eval/tasks.js";
import { decodeText, expandHome, makeFolder, writeWhole } from "../../src/files.js";
import { loadRecipe } from "../../src/recipe/index.js";
import { temporaryFolder } from "../helpers/temporary.js";

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
});
afterEach(() => temporary.remove());

const inFolder = (name: string): string => path.join(temporary.folder, name);
const onUnix = process.platform === "win32" ? it.skip : it;

onUnix("a file keeps its permissions, those that new files do not get included", async () => {
    for (const mode of [0o600, 0o666]) {
        writeFileSync(inFolder("x.json"), "old");
        chmodSync(inFolder("x.json"), mode);
        await writeWhole(inFolder("x.json"), "new");
        expect(readFileSync(inFolder("x.json"), "utf8")).toBe("new");
        expect(statSync(inFolder("x.json")).mode & 0o777).toBe(mode);
    }
});

onUnix("a link stays one, and the file behind it is written, be it there or not", async () => {
    mkdirSync(inFolder("elsewhere"));
    writeFileSync(inFolder("elsewhere/old.json"), "old");
    for (const target of ["elsewhere/old.json", "elsewhere/new.json"]) {
        const link = inFolder(path.basename(target));
        symlinkSync(target, link);
        await writeWhole(link, "new");
        expect(lstatSync(link).isSymbolicLink()).toBe(true);
        expect(readlinkSync(link)).toBe(target);
        expect(readFileSync(inFolder(target), "utf8")).toBe("new");
    }
    expect(readdirSync(inFolder("elsewhere")).sort()).toEqual(["new.json", "old.json"]);
});

it("what is no file is not replaced", async () => {
    mkdirSync(inFolder("folder"));
    await expect(writeWhole(inFolder("folder"), "x")).rejects.toMatchObject({
        code: "FILE_UNWRITABLE",
        message: `${inFolder("folder")} cannot be written: it is not a file. Name another place, or make room there.`,
    });
});

onUnix("a pipe is not replaced", async () => {
    execFileSync("mkfifo", [inFolder("pipe")]);
    await expect(writeWhole(inFolder("pipe"), "x")).rejects.toMatchObject({ code: "FILE_UNWRITABLE" });
    expect(lstatSync(inFolder("pipe")).isFIFO()).toBe(true);
    expect(readdirSync(temporary.folder)).toEqual(["pipe"]);
});

it("errors name the place that was named, and no other", async () => {
    const file = inFolder("no/such.json");
    await expect(writeWhole(file, "x")).rejects.toMatchObject({
        code: "FILE_UNWRITABLE",
        message: `${file} cannot be written: ENOENT: no such file or directory. Name another place, or make room there.`,
    });
    writeFileSync(inFolder("file"), "");
    await expect(makeFolder(inFolder("file/folder"))).rejects.toMatchObject({
        message: `${inFolder("file/folder")} cannot be written: ENOTDIR: not a directory. Name another place, or make room there.`,
    });
});

onUnix("folders are made as far as they are missing, and where the system makes none, that is said", async () => {
    await makeFolder(inFolder("a/b/c"));
    await makeFolder(inFolder("a/b/c"));
    expect(readdirSync(inFolder("a/b"))).toEqual(["c"]);
    symlinkSync("nowhere", inFolder("dangling"));
    writeFileSync(inFolder("file"), "");
    for (const [folder, reason] of [
        ["file", "it is not a folder"],
        ["file/a/b", "ENOTDIR"],
        ["dangling", "it is not a folder"],
        ["dangling/a", "it is not a folder"],
        [`a/${"x".repeat(300)}/b`, "ENAMETOOLONG"],
    ] as const)
        await expect(makeFolder(inFolder(folder))).rejects.toMatchObject({
            code: "FILE_UNWRITABLE",
            message: expect.stringContaining(`cannot be written: ${reason}`),
        });
    // Node's own function would never return.
    if (existsSync("/proc/self"))
        await expect(makeFolder("/proc/nope/x")).rejects.toMatchObject({
            message: expect.stringMatching(/^\/proc\/nope\/x cannot be written: ENOENT: no such file/),
        });
});

describe("text", () => {
    const swapped = (text: string): Buffer => Buffer.from(text, "utf16le").swap16();

    it.each<[string, Buffer]>([
        ["UTF-8", Buffer.from("Käse 模型 😀")],
        ["UTF-8 with a mark", Buffer.from("\ufeffKäse 模型 😀")],
        ["UTF-16, little end first", Buffer.from("\ufeffKäse 模型 😀", "utf16le")],
        ["UTF-16, big end first", swapped("\ufeffKäse 模型 😀")],
    ])("in %s is read as it is meant", (_, bytes) => {
        expect(decodeText(bytes, "x.txt")).toBe("Käse 模型 😀");
    });

    it.each<[string, Buffer, RegExp]>([
        [
            "Latin-1",
            Buffer.from("ok\nzu Käse", "latin1"),
            /^x\.txt .* not UTF-8 \(byte 0xE4 at line 2, column 5\), .*Latin-1/,
        ],
        ["a character cut off", Buffer.from("\ufffdä").subarray(0, -1), /byte 0xC3 at line 1, column 2/],
        ["a surrogate", Buffer.from([0x61, 0xed, 0xa0, 0x80]), /byte 0xED at line 1, column 2/],
        ["UTF-16 without a mark", Buffer.from("a\nb", "utf16le"), /line 1 has a zero byte in it, as UTF-16 without/],
        ["half a UTF-16 character", Buffer.from("\ufeffab", "utf16le").subarray(0, -1), /half a character/],
        ["UTF-32", Buffer.from([0xff, 0xfe, 0, 0, 0x61, 0, 0, 0]), /it is UTF-32/],
        ["a picture", Buffer.from("89504e470d0a1a0a", "hex"), /byte 0x89 at line 1, column 1\), .* or no text at all/],
    ])("in %s is refused with the place", (_, bytes, message) => {
        expect(() => decodeText(bytes, "x.txt")).toThrow(
            expect.objectContaining({ code: "FILE_UNREADABLE", message: expect.stringMatching(message) as unknown }),
        );
    });

    const MEMBERS = "members: { m: { model: m.gguf } }";
    it.each<[string, string, (file: string) => Promise<unknown>]>([
        ["a recipe", `eft: 1\nname: x\ndescription: Käse\n${MEMBERS}\ncombination: m\n`, loadRecipe],
        ["a conversation", '{ "eftChat": 1, "turns": [{ "user": "Käse", "answer": "" }] }', loadChat],
        ["a task", '{ "text": "a" }\n{ "text": "Käse" }\n', readItems],
        ["an experiment", `eval: 1\nname: x\ndescription: Käse\n${MEMBERS}\n`, readExperimentFile],
    ])("of %s is read in every encoding that tells itself, and in no other", async (_, text, read) => {
        const file = inFolder("x");
        writeFileSync(file, text);
        const expected = JSON.stringify(await read(file));
        expect(expected).toContain("Käse");
        for (const bytes of [
            Buffer.from(`\ufeff${text}`),
            Buffer.from(`\ufeff${text}`, "utf16le"),
            swapped(`\ufeff${text}`),
        ]) {
            writeFileSync(file, bytes);
            expect(JSON.stringify(await read(file))).toBe(expected);
        }
        for (const bytes of [Buffer.from(text, "latin1"), Buffer.from(text, "utf16le")]) {
            writeFileSync(file, bytes);
            await expect(read(file)).rejects.toMatchObject({
                code: "FILE_UNREADABLE",
                message: expect.stringContaining(`${file} cannot be read: `),
            });
        }
    });
});

it("~ is the home folder where a path begins with it, and nowhere else", () => {
    for (const rest of ["", "/", "/models/m.gguf"]) expect(expandHome(`~${rest}`)).toBe(homedir() + rest);
    for (const other of ["~tilde.gguf", "./~/x", "x~", "", "hf:a/~", "/~"]) expect(expandHome(other)).toBe(other);
});
