// Packages that compile the addon: in a clone its own, in a project those of its own or that node-llama-cpp brings.

import { createRequire } from "node:module";
import path from "node:path";

const require = createRequire(import.meta.url);

/**
 * Folder of `cmake-js`, `node-addon-api` or `node-api-headers`.
 *
 * @param {string} name
 */
export function buildPackage(name) {
    const manifest = `${name}/package.json`;
    // Strict package managers show a package only to those that depend on it.
    const through = (finder, dependency) => createRequire(finder.resolve(dependency));
    const ways = [
        () => require,
        () => through(require, "node-llama-cpp"),
        () => through(through(require, "node-llama-cpp"), "cmake-js/package.json"),
    ];
    for (const way of ways) {
        try {
            return path.dirname(way().resolve(manifest));
        } catch {
            // The next one may know it.
        }
    }
    throw new Error(
        `${name} is needed to compile the native addon and is not installed. Run \`npm install --save-dev cmake-js@8 ` +
            "node-addon-api@8 node-api-headers@1` in your project, in a clone `npm ci`, and try again.",
    );
}
