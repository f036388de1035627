// Where there is room for models, and how much.

import { statfs } from "node:fs/promises";
import { constrainedMemory } from "node:process";
import { freemem, tmpdir } from "node:os";

const GIB = 2 ** 30;
/** What is left free, on disks and in memory. */
const RESERVE = 2 * GIB;

/** Something that this machine has no room for, or that this backend does not have. */
export class NotHere extends Error {}

/** The folder for models: in memory if there is much of it, since disks of rented machines may be slow. */
export async function chooseFolder() {
    const shared = "/dev/shm";
    const room = await freeBytes(shared).catch(() => 0);
    return room > 48 * GIB && freeMemory() > 64 * GIB ? shared : tmpdir();
}

/** Bytes that files of this folder may still take. */
export async function freeBytes(folder) {
    const { bavail, bsize } = await statfs(folder);
    const onDisk = bavail * bsize;
    return Math.max(0, (folder.startsWith("/dev/shm") ? Math.min(onDisk, freeMemory()) : onDisk) - RESERVE);
}

/** Bytes of memory that this process may still take, in its container. */
export function freeMemory() {
    const limit = constrainedMemory() || Infinity;
    return Math.min(freemem(), process.availableMemory?.() ?? Infinity, limit);
}
