/** Packages that an installation may lack, and how they are installed in the current project. */

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { isThere } from "../files.js";
import { manifest, packageRoot } from "../package.js";
import type { Diagnosis } from "./types.js";

/** Those for this platform, and those for every one. */
export function findPackages(): Diagnosis["packages"] {
    const system = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string] ?? process.platform;
    const own = `@node-llama-cpp/${system}-${process.arch === "arm" ? "armv7l" : process.arch}`;
    const isMeant = (name: string): boolean =>
        name === own || name.startsWith(`${own}-`) || name === "node-llama-cpp" || name.startsWith("vega");
    return Object.entries({ ...manifest.optionalDependencies, ...manifest.peerDependencies })
        .filter(([name]) => isMeant(name))
        .map(([name, wanted]) => {
            const installed = installedVersion(name);
            return { name, wanted, ...(installed !== undefined && { installed }) };
        });
}

function installedVersion(name: string): string | undefined {
    try {
        // Its manifest is not among what a package exports.
        let folder = createRequire(path.join(packageRoot, "package.json")).resolve(name);
        while (path.dirname(folder) !== folder) {
            folder = path.dirname(folder);
            const file = path.join(folder, "package.json");
            if (!existsSync(file)) continue;
            const found = JSON.parse(readFileSync(file, "utf8")) as { name?: unknown; version?: unknown };
            if (found.name === name) return String(found.version);
        }
    } catch {
        // It is not installed, or what is there is damaged.
    }
    return undefined;
}

/**
 * The command that adds packages in exactly these versions: that of the program which has started this one, else of the one whose
 * lockfile is in the current folder.
 *
 * @param packages - with their versions, e.g. `vega@6.4.0`
 */
export function installCommand(...packages: readonly string[]): string {
    const [started = ""] = (process.env.npm_config_user_agent ?? "").split("/");
    const byLockfile = { "package-lock.json": "npm", "pnpm-lock.yaml": "pnpm", "yarn.lock": "yarn" };
    const [, locked] = Object.entries(byLockfile).find(([file]) => isThere(file)) ?? [];
    const commands: Readonly<Record<string, string>> = { pnpm: "pnpm add --save-exact", yarn: "yarn add --exact" };
    // npx too says that it is npm, and may be run in a project of another one.
    const command = commands[started] ?? commands[locked ?? ""] ?? "npm install --save-exact";
    return `${command} ${packages.join(" ")}`;
}
