/** Where this package lies: recipes, experiments and native files are beside its code, and found from there alone. */

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { EftError } from "./errors.js";

const NAME = "eft-llama";
const MORE = "docs/bundlers.md, in the package, has whole configurations.";
/** What the file tracing of Next.js has to be told: it sees imports, and no files. */
const INCLUDES = `outputFileTracingIncludes: { "/*": ["./node_modules/${NAME}/**/*", "./node_modules/@node-llama-cpp/**/*"] }`;

interface Manifest {
    readonly name: string;
    readonly version: string;
    readonly engines: { readonly node: string };
    readonly optionalDependencies: Readonly<Record<string, string>>;
    readonly peerDependencies: Readonly<Record<string, string>>;
}

/** Folder of package.json; this file is one folder below it, both in `src` and in `dist`. Elsewhere where a bundler has put it. */
export const packageRoot = findRoot(import.meta.url);

/** What the package says of itself. At once, so that a program that cannot work says so when it starts. */
export const manifest = readManifest();

/** The one version of node-llama-cpp whose libraries of llama.cpp fit. */
export const nodeLlamaCppVersion = manifest.peerDependencies["node-llama-cpp"] ?? "";

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
    throw incomplete();
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

/**
 * A program of this package for a process of its own, where it can be run: this process is Node itself, and the package lies on the
 * disk. Elsewhere (Electron, programs in a single file) the same command would start the application once more.
 *
 * @param name - relative to `dist`
 */
export function findProgram(name: string): string | undefined {
    const isNode = /^node(js)?(\.exe)?$/i.test(path.basename(process.execPath));
    const program = path.join(packageRoot, "dist", name);
    return isNode && process.versions.electron === undefined && existsSync(program) ? program : undefined;
}

/**
 * The environment of such a process. A debugger at each failed assertion, and what preloads modules into Node, have no place there, but
 * for that which finds packages where Yarn has made no `node_modules`.
 */
export function programEnvironment(): NodeJS.ProcessEnv {
    const { NODE_OPTIONS: options } = process.env;
    return { ...process.env, NODE_OPTIONS: process.versions.pnp === undefined ? "" : options, GGML_NO_BACKTRACE: "1" };
}

/** @param missing - name of a file; undefined: there is no package at all */
function incomplete(missing?: string): EftError {
    return new EftError(
        "PACKAGE_INCOMPLETE",
        missing === undefined
            ? `A bundler has taken the code of ${NAME} out of its package, and its recipes, its addon and llama.cpp's libraries cannot ` +
                  `come along. Leave ${NAME} out of the bundle, with \`external: ["${NAME}"]\` (esbuild, Rollup), ` +
                  `\`ssr: { external: ["${NAME}"] }\` (Vite), \`externals: { "${NAME}": "import ${NAME}" }\` (webpack) or ` +
                  `\`serverExternalPackages: ["${NAME}"]\` (Next.js), and install it where the program runs. ${MORE}`
            : `There is only a part of ${NAME} in ${packageRoot}: ${missing} is missing. Install or copy the whole package; for ` +
                  `\`output: "standalone"\` of Next.js with \`${INCLUDES}\`. ${MORE}`,
    );
}
