// What decides how an addon behaves: its sources, its flags and the headers that it is compiled with.

import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { buildPackage } from "./build-packages.mjs";
import { projectRoot } from "./llama-source.mjs";

/** The packages whose headers the addon includes. Node's version is not part of it: Node-API is stable. */
const headerPackages = ["node-addon-api", "node-api-headers"];

/**
 * Hash of everything that an addon is made of.
 *
 * @param {RegExp} tests - which files of native/test/ belong to it, by their paths from the project's root; none by default
 * @returns {string} SHA-256, in hexadecimal digits
 */
export function hashAddonSources(tests = /^(?!)/) {
    const hash = createHash("sha256");
    const files = readdirSync(path.join(projectRoot, "native"), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && /\.(cpp|h)$/.test(entry.name))
        .map((entry) => path.relative(projectRoot, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, "/"))
        .filter((file) => !file.startsWith("native/test/") || tests.test(file));
    for (const name of ["CMakeLists.txt", "native/build.gypi", ...files.sort()]) {
        hash.update(`${name}\n`).update(readFileSync(path.join(projectRoot, name)));
    }
    for (const name of headerPackages) {
        const { version } = JSON.parse(readFileSync(path.join(buildPackage(name), "package.json"), "utf8"));
        hash.update(`${name} ${version}\n`);
    }
    return hash.digest("hex");
}
