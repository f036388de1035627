/** The package as npm packs it: what a stranger finds in it, and nothing of the machine that it was made on. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { repository } from "../helpers/demo.js";

let files: readonly string[] = [];
beforeAll(() => {
    // What is built is as it is: tests begin with a build.
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const { stdout } = spawnSync("npm", args, {
        cwd: repository,
        encoding: "utf8",
        shell: process.platform === "win32",
    });
    const [packed] = JSON.parse(stdout) as [{ files: readonly { path: string }[] }];
    files = packed.files.map((file) => file.path);
});

const read = (file: string): Buffer => readFileSync(path.join(repository, file));

test("has what its documents, programs and settings name", () => {
    for (const name of ["README.md", "ARCHITECTURE.md", "docs/install.md", "docs/bundlers.md", "examples/complete.ts"])
        expect(files).toContain(name);
    for (const name of [
        "recipes/demo.yaml",
        "models/demo/large-base-f16.gguf",
        "scripts/build-native.mjs",
        "binding.gyp",
    ])
        expect(files).toContain(name);
    const manifest = JSON.parse(read("package.json").toString()) as { exports: object; bin: object };
    const named = JSON.stringify([manifest.exports, manifest.bin]).match(/\.\/[\w./-]+\.\w+/g) ?? [];
    expect(named.length).toBeGreaterThan(6);
    expect(named.filter((name) => !files.includes(name.slice(2)))).toEqual([]);
});

test("links in its documents lead to what is in it", () => {
    const folders = new Set(
        files.flatMap((file) => file.split("/").map((_, depth, all) => all.slice(0, depth).join("/"))),
    );
    const broken = files
        .filter((file) => file.endsWith(".md"))
        .flatMap((file) => {
            const text = read(file)
                .toString()
                .replaceAll(/```[^]*?```|`[^`\n]*`/g, "");
            const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = ""]) => link);
            return links
                .filter((link) => !/^(https?:|mailto:|#)/.test(link))
                .map((link) => path.posix.join(path.posix.dirname(file), link.replace(/#.*$/, "")).replace(/\/$/, ""))
                .filter((target) => !files.includes(target) && !folders.has(target))
                .map((target) => `${file}: ${target}`);
        });
    expect(broken).toEqual([]);
});

describe("nothing of the machine that made it", () => {
    test("no path of it", () => {
        const places = [repository.replace(/[/\\]$/, ""), homedir(), tmpdir() + path.sep].filter(
            (place) => place.length > 4 && place !== "/root",
        );
        expect(places).not.toEqual([]);
        const found = files.filter((file) => places.some((place) => read(file).includes(place)));
        expect(found).toEqual([]);
    });

    test("nothing that was compiled, and no notes about it", () => {
        expect(files.filter((file) => /\.(node|o|so|dylib|dll|stamp|tsbuildinfo|log)$|^build\//.test(file))).toEqual(
            [],
        );
    });

    test("no code of an earlier build", () => {
        const isOrphan = (file: string): boolean =>
            !existsSync(
                path.join(repository, file.replace(/^dist\//, "src/").replace(/(\.d)?\.(ts|js)(\.map)?$/, ".ts")),
            );
        expect(files.filter((file) => file.startsWith("dist/")).length).toBeGreaterThan(500);
        expect(files.filter((file) => file.startsWith("dist/") && isOrphan(file))).toEqual([]);
    });

    test("the maps of its code lead to its sources", () => {
        const maps = files.filter((file) => file.endsWith(".js.map"));
        const lost = maps.filter((file) => {
            const { sources } = JSON.parse(read(file).toString()) as { sources: readonly string[] };
            return sources.some((source) => !files.includes(path.posix.join(path.posix.dirname(file), source)));
        });
        expect(lost).toEqual([]);
    });
});
