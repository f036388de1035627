// A folder as an archive: a .tar.xz, for Windows a .zip. The same files give the same bytes, whoever owns them, whenever and in
// which order they were written, and however many processors there are.

import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, renameSync, rmSync, utimesSync } from "node:fs";
import path from "node:path";

/** 1985-10-26T08:15:00Z, the date of all files in npm's archives. */
const NPM_DATE = "499162500";
/** The blocks are compressed side by side; smaller ones would find less that repeats. */
const COMPRESSION = "--lzma2=preset=6,dict=64MiB --block-size=128MiB --threads=2";
/** Machine code becomes smaller when calls name where they go, and not how far that is. */
const FILTERS = { x64: "--x86" };

const isWindows = (platform) => platform.startsWith("win32");

/** Name of the archive for a platform, e.g. `win32-x64`. */
export function archiveOf(name, platform) {
    return `${name}${isWindows(platform) ? ".zip" : ".tar.xz"}`;
}

/** @throws Error that says what to install, where a program is missing */
export function requireArchivers(platform) {
    const describe = (program) => spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "";
    const missing = (programs, packages) =>
        new Error(
            `the archive needs ${programs}, and they were not found (Debian, Ubuntu: sudo apt-get install ${packages}). ` +
                "Install them, or say --folder-only.",
        );
    if (isWindows(platform)) {
        if (!describe("zip").includes("Info-ZIP")) throw missing("Info-ZIP's programs", "zip");
    } else if (!describe("tar").includes("GNU tar") || !describe("xz").includes("XZ Utils")) {
        throw missing("GNU tar and xz", "tar xz-utils");
    }
}

/**
 * @param folder - a .zip takes dates and permissions from its files, which are set
 * @param archive - written; what is there is lost
 * @param platform - for which it is
 * @throws Error with the programs' own words; there is no archive then
 */
export function pack(folder, archive, platform) {
    const date = process.env.SOURCE_DATE_EPOCH ?? NPM_DATE;
    const unfinished = `${archive}.partial`;
    rmSync(unfinished, { force: true });
    const { status, stderr } = (isWindows(platform) ? zip : tar)(folder, unfinished, date, platform);
    if (status === 0) return renameSync(unfinished, archive);
    rmSync(unfinished, { force: true });
    throw new Error(`${archive} cannot be written: ${stderr.trim()}`);
}

function tar(folder, archive, date, platform) {
    const xz = ["xz", FILTERS[platform.split("-")[1]] ?? "", COMPRESSION].join(" ");
    const parameters = [
        ...["--create", "--file", archive, "--use-compress-program", xz],
        ...["--sort=name", "--format=gnu", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"],
        ...[`--mtime=@${date}`, "--directory", path.dirname(folder), path.basename(folder)],
    ];
    return spawnSync("tar", parameters, { encoding: "utf8" });
}

function zip(folder, archive, date) {
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => path.join(entry.parentPath, entry.name));
    for (const file of files) {
        chmodSync(file, 0o644);
        utimesSync(file, Number(date), Number(date));
    }
    const above = path.dirname(folder);
    const names = files.map((file) => path.relative(above, file)).sort();
    return spawnSync("zip", ["-X", "-9", "--quiet", "-@", archive], {
        cwd: above,
        env: { ...process.env, TZ: "UTC" },
        input: `${names.join("\n")}\n`,
        encoding: "utf8",
    });
}
