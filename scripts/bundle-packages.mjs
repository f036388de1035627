// Which npm packages a package needs when it runs, and where they go in a folder that has no other.

import { cpSync, existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";

/** TypeScript and source maps, which nothing reads at run time. */
const DEVELOPMENT_FILE = /\.(map|[cm]?ts)$/;

/**
 * Copies a file or folder, links as what they point to, without what only development needs.
 *
 * @param isWanted - called with paths below `from`; what it refuses is left out, with all that is in it
 */
export function copyTree(from, to, isWanted = () => true) {
    cpSync(from, to, {
        recursive: true,
        dereference: true,
        filter: (file) => !DEVELOPMENT_FILE.test(file) && isWanted(path.relative(from, file)),
    });
}

/** Folder of the package that an import in `folder` means, found as Node finds it; undefined where there is none. */
export function findPackage(name, folder) {
    // With pnpm a package's dependencies are beside the folder that its link points to.
    for (let above = realpathSync(folder); ; above = path.dirname(above)) {
        const found = path.join(above, "node_modules", name);
        if (existsSync(path.join(found, "package.json"))) return realpathSync(found);
        if (path.dirname(above) === above) return undefined;
    }
}

/**
 * Where the packages that `root` depends on, and those that they depend on, go in a copy of it: into its own `node_modules`,
 * wherever npm, pnpm or another program has put them here. Of optional dependencies, those of
 * `root` itself that are installed are taken along, and so are peers that are named.
 *
 * @param omitted - names of packages that are left out, with what only they depend on
 * @param peers - names of packages that are taken along where they are installed
 * @returns their folders here by their folders in the copy, which are relative to it
 * @throws Error naming a package that is not installed, and who needs it
 */
export function placePackages(root, omitted, peers = []) {
    const placed = new Map([["", root]]);
    // Nearest first: what a package needs is in place before those that it needs are looked at, so that nothing comes
    // between them and what they have found. A Map is walked over while it grows.
    for (const [place, folder] of placed) {
        const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
            readFileSync(path.join(folder, "package.json"), "utf8"),
        );
        const optional = folder === root ? [...Object.keys(optionalDependencies), ...peers] : [];
        for (const name of [...Object.keys(dependencies), ...optional].sort()) {
            if (omitted.includes(name)) continue;
            const found = findPackage(name, folder);
            if (found === undefined && optional.includes(name)) continue;
            if (found === undefined) throw new Error(`the package ${name} is not installed, and ${folder} needs it.`);
            const visible = foldersAbove(place).map((above) => path.join(above, "node_modules", name));
            const taken = visible.find((candidate) => placed.has(candidate));
            if (taken === undefined) placed.set(visible.at(-1), found);
            else if (placed.get(taken) !== found) placed.set(visible[0], found);
        }
    }
    placed.delete("");
    return placed;
}

/** `node_modules/a/node_modules/b` -> itself, `node_modules/a`, "". */
function foldersAbove(place) {
    const above = [place];
    while (place !== "") {
        place = place.slice(0, Math.max(0, place.lastIndexOf("node_modules") - 1));
        above.push(place);
    }
    return above;
}
