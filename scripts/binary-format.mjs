// For which system and processor a program or library is, by what stands in it.

import { closeSync, openSync, readSync } from "node:fs";

/** The headers of all of ours are shorter. */
const HEADERS = 65_536;
const ELF_MACHINES = { 0x3e: "x64", 0xb7: "arm64", 0x28: "arm", 0xf3: "riscv64" };
const MACH_PROCESSORS = { 0x01000007: "x64", 0x0100000c: "arm64" };
const PE_MACHINES = { 0x8664: "x64", 0xaa64: "arm64" };
/** Mach-O's load commands that name the oldest system: the older one, the newer one; and where in them the version stands. */
const OLDEST_SYSTEM = { 0x24: 8, 0x32: 12 };

/**
 * Reads a program or library.
 *
 * @returns `platform` as Node names it, e.g. `darwin-arm64`, or undefined for what it is not known to be; `oldest` is the oldest
 * version of macOS that a file for macOS says it runs on, e.g. `14.0`
 */
export function readBinaryFormat(file) {
    const bytes = readBeginning(file);
    if (bytes.length < 64) return { platform: undefined };
    const named = (system, processor) => (processor === undefined ? undefined : `${system}-${processor}`);
    if (bytes.readUInt32BE(0) === 0x7f454c46) return { platform: named("linux", ELF_MACHINES[bytes.readUInt16LE(18)]) };
    if (bytes.readUInt32LE(0) === 0xfeedfacf) {
        return {
            platform: named("darwin", MACH_PROCESSORS[bytes.readUInt32LE(4)]),
            oldest: readOldestSystem(bytes),
        };
    }
    const portable = bytes.readUInt32LE(60);
    if (bytes.toString("latin1", 0, 2) === "MZ" && bytes.toString("latin1", portable, portable + 4) === "PE\0\0") {
        return { platform: named("win32", PE_MACHINES[bytes.readUInt16LE(portable + 4)]) };
    }
    return { platform: undefined };
}

function readBeginning(file) {
    const handle = openSync(file);
    try {
        const bytes = Buffer.alloc(HEADERS);
        return bytes.subarray(0, readSync(handle, bytes, 0, HEADERS, 0));
    } finally {
        closeSync(handle);
    }
}

function readOldestSystem(bytes) {
    let at = 32;
    for (let left = bytes.readUInt32LE(16); left > 0 && at + 16 <= bytes.length; left -= 1) {
        const version = OLDEST_SYSTEM[bytes.readUInt32LE(at)];
        if (version !== undefined) {
            const number = bytes.readUInt32LE(at + version);
            return `${number >>> 16}.${(number >>> 8) & 0xff}`;
        }
        at += bytes.readUInt32LE(at + 4);
    }
    return undefined;
}
