// A folder as a .tar.xz. The same files give the same bytes, whoever owns them, whenever and in which order they were
// written, and however many processors there are.

import { spawnSync } from "node:child_process";
import { renameSync, rmSync } from "node:fs";
import path from "node:path";

/** 1985-10-26T08:15:00Z, the date of all files in npm's archives. */
const NPM_DATE = "499162500";
/** The blocks are compressed side by side; smaller ones would find less that repeats. */
const COMPRESSION = "--lzma2=preset=6,dict=64MiB --block-size=128MiB --threads=2";
/** Machine code becomes smaller when calls name where they go, and not how far that is. */
const FILTERS = { x64: "--x86" };

/** @throws Error that says what to install, where a program is missing */
export function requireArchivers() {
    const describe = (program) => spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "";
    if (describe("tar").includes("GNU tar") && describe("xz").includes("XZ Utils")) return;
    throw new Error(
        "the archive needs GNU tar and xz, and they were not found (Debian, Ubuntu: sudo apt-get install tar xz-utils). " +
            "Install them, or say --folder-only.",
    );
}

/**
 * @param archive - written; what is there is lost
 * @param date - of all files, in seconds since 1970
 * @throws Error with the programs' own words; there is no archive then
 */
export function pack(folder, archive, date = process.env.SOURCE_DATE_EPOCH ?? NPM_DATE) {
    const xz = ["xz", FILTERS[process.arch] ?? "", COMPRESSION].join(" ");
    const unfinished = `${archive}.partial`;
    const parameters = [
        ...["--create", "--file", unfinished, "--use-compress-program", xz],
        ...["--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"],
        ...[`--mtime=@${date}`, "--directory", path.dirname(folder), path.basename(folder)],
    ];
    const { status, stderr } = spawnSync("tar", parameters, { encoding: "utf8" });
    if (status === 0) return renameSync(unfinished, archive);
    rmSync(unfinished, { force: true });
    throw new Error(`${archive} cannot be written: ${stderr.trim()}`);
}
