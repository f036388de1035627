/** Where this package lies: recipes, experiments and native files are beside its code, and found from there alone. */

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { EftError } from "./errors.js";

const NAME = "eft-llama";

interface Manifest {
    readonly name: string;
    readonly version: string;
    readonly dependencies: Readonly<Record<string, string>>;
    readonly optionalDependencies: Readonly<Record<string, string>>;
}

/** Folder of package.json; this file is one folder below it, both in `src` and in `dist`. Elsewhere where a bundler has put it. */
export const packageRoot = findRoot(import.meta.url);

/** What the package says of itself. At once, so that a program that cannot work says so when it starts. */
export const manifest = readManifest();

/** @param own - address of this file; undefined in a bundle of CommonJS */
function findRoot(own: string | undefined): string {
    return own?.startsWith("file:") ? path.resolve(path.dirname(fileURLToPath(own)), "..") : "";
}

function readManifest(): Manifest {
    const file = path.join(packageRoot, "package.json");
    if (packageRoot !== "" && existsSync(file)) {
        const found = JSON.parse(readFileSync(file, "utf8")) as Manifest;
        if (found.name === NAME) return found;
    }
    throw incomplete("package.json");
}

/**
 * A file or folder that comes with the package, as an absolute path.
 *
 * @param name - relative to package.json. @throws EftError PACKAGE_INCOMPLETE
 */
export function packageFile(name: string): string {
    const file = path.join(packageRoot, name);
    if (existsSync(file)) return file;
    throw incomplete(name);
}

function incomplete(missing: string): EftError {
    const place = packageRoot === "" ? "beside it" : `in ${packageRoot}`;
    return new EftError(
        "PACKAGE_INCOMPLETE",
        `The code of ${NAME} runs without the files that belong to it: its ${missing} is not ${place}. A bundler has taken the ` +
            `code alone along, or only a part of the package was copied. Leave the package out of the bundle, with ` +
            `\`external: ["${NAME}"]\` (esbuild, Rollup), \`ssr: { external: ["${NAME}"] }\` (Vite), ` +
            `\`externals: { "${NAME}": "module ${NAME}" }\` (webpack) or \`serverExternalPackages: ["${NAME}"]\` (Next.js), ` +
            "and have all of it where the program runs. docs/bundlers.md, in the package, has whole configurations.",
    );
}
