/** The machine: its graphics processors, memory and folders, by what the system tells every program. */

import { accessSync, constants, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import path from "node:path";
import { cacheFolder, isThere } from "../files.js";
import { modelFolder } from "../models/model-files.js";
import { usesMusl } from "../native/addon-file.js";
import type { Diagnosis, FolderDiagnosis, Gpu } from "./types.js";

/** PCI's numbers of who makes graphics processors. */
const VENDORS: Readonly<Record<string, string>> = { "0x10de": "NVIDIA", "0x1002": "AMD", "0x8086": "Intel" };
const PCI = "/sys/bus/pci/devices";

/** @returns undefined where the system is not asked, or does not tell */
export function findGpus(): Gpu[] | undefined {
    if (process.platform === "darwin") return process.arch === "arm64" ? [{ vendor: "Apple" }] : undefined;
    if (process.platform === "win32") return findWindowsGpus();
    try {
        const found = readdirSync(PCI).flatMap((device) => describePciDevice(path.join(PCI, device)));
        if (found.length > 0 || !isThere("/proc/driver/nvidia/version")) return found;
        // As in a container that sees the driver alone.
        return [{ vendor: "NVIDIA", driver: "nvidia" }];
    } catch {
        return isThere("/proc/driver/nvidia/version") ? [{ vendor: "NVIDIA", driver: "nvidia" }] : undefined;
    }
}

function describePciDevice(folder: string): Gpu[] {
    const read = (name: string): string => readFileSync(path.join(folder, name), "utf8").trim();
    // Display controllers.
    if (!read("class").startsWith("0x03")) return [];
    const vendor = read("vendor");
    return [{ vendor: VENDORS[vendor] ?? vendor, ...driverOf(folder) }];
}

function driverOf(folder: string): { driver?: string } {
    try {
        return { driver: path.basename(readlinkSync(path.join(folder, "driver"))) };
    } catch {
        return {};
    }
}

/** By the libraries that drivers put beside those of the system; Intel's and newer ones of AMD lie elsewhere. */
function findWindowsGpus(): Gpu[] | undefined {
    const system = path.join(process.env.SystemRoot ?? "C:\\Windows", "System32");
    const found = [
        { vendor: "NVIDIA", file: "nvcuda.dll" },
        { vendor: "AMD", file: "amdvlk64.dll" },
    ].filter(({ file }) => isThere(path.join(system, file)));
    return found.length > 0 ? found.map(({ vendor }) => ({ vendor })) : undefined;
}

/** @param version - of glibc, as Node reports it */
export function describeLibc(version: string | undefined): string | undefined {
    if (process.platform !== "linux") return undefined;
    if (usesMusl(process.execPath)) return "musl";
    return version === undefined ? undefined : `glibc ${version}`;
}

export function describeMemory(): Diagnosis["memory"] {
    const total = totalmem();
    const limit = process.constrainedMemory();
    return { total, ...(limit > 0 && limit < total && { limit }), available: process.availableMemory() };
}

export function describeProcessors(physicalCores: number | undefined): Diagnosis["processors"] {
    const all = cpus();
    return {
        model: all[0]?.model.trim() ?? "",
        count: all.length,
        ...(physicalCores !== undefined && { physicalCores }),
    };
}

export function describeFolders(): FolderDiagnosis[] {
    const places = [
        ["models", modelFolder],
        ["caches", () => path.dirname(cacheFolder("models"))],
    ] as const;
    return places.map(([purpose, find]) => {
        try {
            const folder = find();
            return { purpose, folder, bytes: sizeOf(folder), writable: isWritable(folder) };
        } catch {
            return { purpose, bytes: 0, writable: false };
        }
    });
}

function sizeOf(folder: string): number {
    try {
        const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
        // Other processes may be deleting some.
        const sizes = entries.map((file) => statSync(path.join(file.parentPath, file.name), { throwIfNoEntry: false }));
        return sizes.reduce((sum, found) => sum + (found?.size ?? 0), 0);
    } catch {
        return 0;
    }
}

function isWritable(folder: string): boolean {
    let above = folder;
    while (!isThere(above) && path.dirname(above) !== above) above = path.dirname(above);
    try {
        accessSync(above, constants.W_OK);
        // What the system allows, Node's permissions may forbid.
        const { permission } = process as { permission?: typeof process.permission };
        return statSync(above).isDirectory() && permission?.has("fs.write", folder) !== false;
    } catch {
        return false;
    }
}
