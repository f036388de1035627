/** Which files can be the addon. */

import { closeSync, openSync, readSync } from "node:fs";
import path from "node:path";
import { packageRoot } from "../package.js";

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
 * Whether a program of Linux runs on musl, by the name of the loader that it asks for, near its beginning. Node's own report of
 * glibc's version takes fifty times as long.
 */
export function usesMusl(program: string): boolean {
    const bytes = Buffer.alloc(4096);
    let file;
    try {
        file = openSync(program, "r");
        readSync(file, bytes, 0, bytes.length, 0);
    } catch {
        return false;
    } finally {
        if (file !== undefined) closeSync(file);
    }
    return bytes.includes("/ld-musl-");
}

/** A native file or folder of this package, as the system's loader finds it. */
export function packagePlace(...names: string[]): string {
    return unpacked(path.join(packageRoot, ...names));
}

/** Electron can read files inside app.asar, but the operating system's loader cannot. */
export function unpacked(file: string): string {
    return file.replace(/\bapp\.asar(?=[\\/])/, "app.asar.unpacked");
}
