/** Reading from and writing to places that the user has named. */

import { execFileSync, spawn } from "node:child_process";
import {
    chmodSync,
    existsSync,
    lstatSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { once } from "node:events";
import { homedir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { loadChat } from "../../src/chat/document.js";
import { openHistory } from "../../src/cli/chat/history.js";
import { checkConfig, withConfig } from "../../src/cli/config.js";
import { readTextFile } from "../../src/cli/input.js";
import { openAnswers } from "../../src/eval/answers.js";
import { checksums } from "../../src/eval/checksums.js";
import { openReplyCache } from "../../src/eval/judge/cache.js";
import { readExperimentFile } from "../../src/eval/source.js";
import { readItems } from "../../src/eval/tasks.js";
import { EftError } from "../../src/errors.js";
import { decodeText, expandHome, makeFolder, readBytesSync, writeWhole } from "../../src/files.js";
import { loadRecipe } from "../../src/recipe/index.js";
import { fabricateExperiment, fabricateTask } from "../helpers/evaluation.js";
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

onUnix("a pipe is read at once in as much memory as its bytes take", () => {
    const [size, mebibyte] = [8 << 20, 1 << 20];
    execFileSync("mkfifo", [inFolder("pipe")]);
    const writer = spawn("sh", ["-c", `head -c ${size} /dev/zero | tr '\\0' x > ${inFolder("pipe")}`]);
    try {
        const before = process.memoryUsage().arrayBuffers;
        const bytes = readBytesSync(inFolder("pipe"), { limit: size });
        // A pipe holds 64 KiB at most: these are more than a hundred reads.
        expect((process.memoryUsage().arrayBuffers - before) / mebibyte).toBeLessThan(32);
        expect(bytes.equals(Buffer.alloc(size, "x"))).toBe(true);
    } finally {
        writer.kill();
    }
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
    await makeFolder(inFolder("a/b/c"), 0o700);
    await makeFolder(inFolder("a/b/c"));
    for (const folder of ["a", "a/b", "a/b/c"]) expect(statSync(inFolder(folder)).mode & 0o777).toBe(0o700);
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

describe("what has no end", () => {
    const config = (file: string): Promise<unknown> => {
        const before = process.env.EFT_LLAMA_CONFIG;
        process.env.EFT_LLAMA_CONFIG = file;
        try {
            withConfig({});
            return Promise.resolve(checkConfig());
        } finally {
            if (before === undefined) delete process.env.EFT_LLAMA_CONFIG;
            else process.env.EFT_LLAMA_CONFIG = before;
        }
    };
    const answers = (file: string): Promise<unknown> => {
        const experiment = fabricateExperiment([], fabricateTask("facts", 1));
        return openAnswers(path.dirname(file), experiment, { files: [], prompts: {}, templates: {} }, false);
    };
    /** Readers of texts, by what they take; the last argument: it is a name that they find in a folder. */
    const READERS: [string, "a pipe too" | "files alone", (file: string) => Promise<unknown>, string?][] = [
        ["a recipe", "a pipe too", loadRecipe],
        ["an experiment", "a pipe too", readExperimentFile],
        ["a task", "a pipe too", readItems],
        ["a prompt, a grammar or a schema", "a pipe too", readTextFile],
        ["the configuration", "a pipe too", config],
        ["a conversation", "files alone", loadChat],
        ["replies of a judge", "files alone", openReplyCache],
        ["answers", "files alone", answers, "answers.jsonl"],
    ];
    const TEXTS: Readonly<Record<string, string>> = {
        "a recipe": "eft: 1\nname: x\nmembers: { m: { model: m.gguf } }\ncombination: m\n",
        "an experiment": "eval: 1\nname: x\nmembers: { m: { model: m.gguf } }\n",
        "a task": '{ "text": "a" }\n',
        "the configuration": "threads: 3\n",
    };
    const code = async (promise: () => Promise<unknown>): Promise<unknown> => {
        try {
            return await promise().then(() => undefined);
        } catch (error) {
            return EftError.isInstance(error) ? error.code : error;
        }
    };

    onUnix.each(READERS)("is refused in the place of %s (%s)", async (_, kind, read, name = "x") => {
        for (const device of ["/dev/zero", "/dev/urandom"]) {
            rmSync(inFolder(name), { force: true });
            symlinkSync(device, inFolder(name));
            expect(await code(() => read(inFolder(name)))).toMatch(
                /^(?:FILE_UNREADABLE|[A-Z]+_INVALID|[A-Z]+_SYNTAX)$/,
            );
        }
        // Nobody writes to it.
        rmSync(inFolder(name));
        execFileSync("mkfifo", [inFolder(name)]);
        if (kind === "files alone") expect(await code(() => read(inFolder(name)))).toBe("FILE_UNREADABLE");
    });

    onUnix.each(READERS.filter(([, kind]) => kind === "a pipe too"))("is not a pipe: %s", async (what, _, read) => {
        execFileSync("mkfifo", [inFolder("x")]);
        const writer = spawn("sh", ["-c", `printf '%s' "$1" > "$2"`, "sh", TEXTS[what] ?? "Hello", inFolder("x")]);
        expect(await code(() => read(inFolder("x")))).toBeUndefined();
        if (writer.exitCode === null) await once(writer, "close");
    });

    onUnix("is refused line by line, too", async () => {
        execFileSync("mkfifo", [inFolder("x")]);
        const writer = spawn("sh", ["-c", 'yes "" > "$1"', "sh", inFolder("x")]);
        await expect(readItems(inFolder("x"))).rejects.toMatchObject({
            code: "TASK_INVALID",
            message: expect.stringContaining("at most 1000000 lines") as unknown,
        });
        if (writer.exitCode === null && writer.signalCode === null) await once(writer, "close");
    });

    onUnix("keeps no history, and knows no checksums", async () => {
        execFileSync("mkfifo", [inFolder("pipe")]);
        for (const place of ["/dev/null", "/dev/zero", inFolder("pipe")]) {
            const history = openHistory(place);
            history.add("a line");
            expect(history.lines).toEqual([]);
        }
        writeFileSync(inFolder("model"), "abc");
        symlinkSync("/dev/zero", inFolder("checksums.json"));
        // Were it believed to be a file, it would be replaced.
        await expect(checksums([inFolder("model")], temporary.folder, () => {})).rejects.toMatchObject({
            code: "FILE_UNWRITABLE",
        });
    });
});

it("~ is the home folder where a path begins with it, and nowhere else", () => {
    for (const rest of ["", "/", "/models/m.gguf"]) expect(expandHome(`~${rest}`)).toBe(homedir() + rest);
    for (const other of ["~tilde.gguf", "./~/x", "x~", "", "hf:a/~", "/~"]) expect(expandHome(other)).toBe(other);
});
