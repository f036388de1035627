/** Copies of the compiled package, as npm makes them where two packages want different versions of it. */

import { cpSync, mkdtempSync, rmSync } from "node:fs";
import path from "node:path";
import { findLibraryFolder, loadAddon } from "../../src/native/load-binding.js";
import { repository } from "./demo.js";

export interface PackageCopies {
    /** Arguments for a program: `--copy a=<folder>`, and so on. */
    readonly args: readonly string[];
    readonly folder: (name: string) => string;
    readonly remove: () => void;
}

/**
 * Makes copies by name, inside the repository, so that they find the dependencies.
 *
 * @param libraries - of these copies: each has llama.cpp's libraries of its own
 */
export function copyPackage(names: readonly string[], libraries: readonly string[] = []): PackageCopies {
    const build = path.join(repository, "build");
    const folder = mkdtempSync(path.join(build, "copies-"));
    for (const name of names) {
        const copy = path.join(folder, name);
        for (const part of ["package.json", "dist", "recipes"])
            cpSync(path.join(repository, part), path.join(copy, part), { recursive: true });
        const addon = loadAddon().file;
        cpSync(addon, path.join(copy, path.relative(repository, addon)));
        if (!libraries.includes(name)) continue;
        cpSync(findLibraryFolder().directory, path.join(copy, "build", "llama"), { recursive: true });
    }
    return {
        folder: (name) => path.join(folder, name),
        args: names.flatMap((name) => ["--copy", `${name}=${path.join(folder, name)}`]),
        remove: () => rmSync(folder, { recursive: true, force: true }),
    };
}
