/** Which files can be the addon. */

import { closeSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../package.js";

/** How a file of ELF begins. */
const ELF = Buffer.from("\x7fELF");
/** PT_INTERP, the entry of its table that names the program's loader. */
const INTERPRETER = 3;

/** A file that may be there or not. */
export interface AddonFile {
    readonly file: string;
    readonly origin: "compiled here" | "prebuilt";
}

/** From the one that is preferred to the last: nobody compiles one where a prebuilt one fits, unless on purpose. */
export function addonFiles(): AddonFile[] {
    return [
        { file: packagePlace("build", "Release", "eft_llama.node"), origin: "compiled here" },
        { file: packagePlace("prebuilds", `${addonPlatform()}.node`), origin: "prebuilt" },
    ];
}

/** What prebuilt addons are named after, e.g. `linux-x64` or `linux-x64-musl`. */
export function addonPlatform(): string {
    const musl = process.platform === "linux" && usesMusl(process.execPath);
    return `${process.platform}-${process.arch}${musl ? "-musl" : ""}`;
}

/**
 * Whether a program of Linux, of 64 bits and little-endian, runs on musl, by the loader that it asks for. Node's own report of
 * glibc's version takes fifty times as long.
 */
export function usesMusl(program: string): boolean {
    let file: number | undefined;
    try {
        file = openSync(program, "r");
        return loaderOf(file).includes("/ld-musl-");
    } catch {
        return false;
    } finally {
        if (file !== undefined) closeSync(file);
    }
}

/** Programs that were changed after they were linked have it anywhere. */
function loaderOf(file: number): Buffer {
    const read = (position: number, length: number): Buffer => {
        const bytes = Buffer.alloc(length);
        readSync(file, bytes, 0, length, position);
        return bytes;
    };
    const header = read(0, 64);
    if (!header.subarray(0, ELF.length).equals(ELF)) return header.subarray(0, 0);
    const size = header.readUInt16LE(54);
    const table = read(Number(header.readBigUInt64LE(32)), size * header.readUInt16LE(56));
    for (let at = 0; at < table.length; at += size) {
        if (table.readUInt32LE(at) !== INTERPRETER) continue;
        return read(Number(table.readBigUInt64LE(at + 8)), Number(table.readBigUInt64LE(at + 32)));
    }
    return table.subarray(0, 0);
}

/** A native file or folder of this package, as the system's loader finds it. */
export function packagePlace(...names: string[]): string {
    return unpacked(path.join(packageRoot, ...names));
}

/** Electron can read files inside app.asar, but the operating system's loader cannot. */
export function unpacked(file: string): string {
    return file.replace(/\bapp\.asar(?=[\\/])/, "app.asar.unpacked");
}
