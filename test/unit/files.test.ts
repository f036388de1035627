/** Writing to places that the user has named. */

import { execFileSync } from "node:child_process";
import {
    chmodSync,
    lstatSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    readlinkSync,
    statSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "@jest/globals";
import { makeFolder, writeWhole } from "../../src/files.js";
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
