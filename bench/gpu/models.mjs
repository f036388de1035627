// Families of random weights, written where the kit has its folder when somebody first needs them.

import { existsSync } from "node:fs";
import { readdir, rm, stat } from "node:fs/promises";
import path from "node:path";
import { benchModelBytes, namedModel, writeBenchModel } from "../../scripts/make-bench-models.mjs";
import { freeBytes, freeMemory, NotHere } from "./room.mjs";

const GIB = 2 ** 30;
/** Bytes per second of the last files, as soon as there were enough to tell. */
let writeRate = Infinity;
const ENOUGH = GIB / 4;

/**
 * A large model with two small ones. In Q4_0 the small ones are Q8_0, as people have them; in F16 all are.
 *
 * @param large - a shape, as are `small`
 */
export function randomFamily(large, small, type, vocabulary) {
    const smallType = type === "q4_0" ? "q8_0" : type;
    const title = (shape, format) => `${shape.toUpperCase()} ${format.toUpperCase()}`;
    return {
        name: `${large}-${type}-${vocabulary}`,
        shape: `${title(large, type)} + 2 x ${title(small, smallType)}, V = ${vocabulary.toLocaleString("en")}`,
        vocabulary,
        members: {
            large: `${large}-${type}-${vocabulary}`,
            chat: `${small}-${smallType}-${vocabulary}`,
            small: `${small}-${smallType}-${vocabulary}-2`,
        },
        combination: "large + chat - small",
        prompt: "the quick brown fox jumps over the lazy dog",
    };
}

/** Those of the kit, the most telling ones first. */
export function randomFamilies(quick) {
    if (quick) return [randomFamily("134m", "19m", "q4_0", 32_000), randomFamily("123m", "19m", "f16", 128_256)];
    const families = [];
    for (const vocabulary of [32_000, 128_256]) {
        for (const type of ["q4_0", "f16"]) {
            families.push(randomFamily("7b", "1.1b", type, vocabulary), randomFamily("1.1b", "134m", type, vocabulary));
        }
    }
    return families;
}

/**
 * Writes what is missing of a family, and removes the files of others if the disk has no room for both.
 *
 * @returns the family with paths of its members
 * @throws NotHere if disk, memory or device have no room for it, or if the disk is too slow for the time that is left
 */
export async function prepareFamily({ folder, library, backend, clock }, family) {
    const models = Object.values(family.members).map(namedModel);
    const bytes = models.reduce((sum, model) => sum + benchModelBytes(model), 0);
    checkMemory(library.chooseBackend(backend), bytes);
    const fileOf = (name) => path.join(folder, `${name}.gguf`);
    const missing = models.filter(({ name }) => !existsSync(fileOf(name)));
    const needed = missing.reduce((sum, model) => sum + benchModelBytes(model), 0);
    const free = await makeRoom(folder, needed, new Set(models.map(({ name }) => fileOf(name))));
    if (free < needed) throw new NotHere(`Its files need ${gib(needed)}, and ${folder} has room for ${gib(free)}.`);
    const seconds = needed / writeRate;
    if (seconds * 1000 > clock.left()) throw new NotHere(`Its files would take ${seconds.toFixed(0)} s to write.`);
    const start = performance.now();
    for (const model of missing) await writeBenchModel(fileOf(model.name), model);
    if (needed > ENOUGH) writeRate = (needed * 1000) / (performance.now() - start);
    return {
        ...family,
        members: Object.fromEntries(Object.entries(family.members).map(([member, name]) => [member, fileOf(name)])),
    };
}

function checkMemory({ devices }, bytes) {
    // Beside the weights: caches, buffers, and on the CPU a copy of what it wants in another order. Where a benchmark needs
    // more, it says how many layers had room.
    const needed = (devices.length > 0 ? 1.15 : 1.6) * bytes + GIB / 2;
    const free = devices.length > 0 ? devices.reduce((sum, { memoryFree }) => sum + memoryFree, 0) : freeMemory();
    if (needed > free) throw new NotHere(`It needs about ${gib(needed)} of memory, and ${gib(free)} are free.`);
}

/**
 * Removes files from the folder, the oldest first, until so many bytes are free or nothing is left but what is to be kept.
 *
 * @param keep - paths
 * @returns bytes that are free then
 */
export async function makeRoom(folder, needed, keep = new Set()) {
    const others = [];
    for (const name of await readdir(folder)) {
        const file = path.join(folder, name);
        if (!keep.has(file)) others.push({ file, ...(await stat(file)) });
    }
    others.sort((a, b) => a.mtimeMs - b.mtimeMs);
    while ((await freeBytes(folder)) < needed && others.length > 0) await rm(others.shift().file);
    return freeBytes(folder);
}

const gib = (bytes) => `${(bytes / GIB).toFixed(1)} GiB`;
