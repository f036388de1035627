/** The package as npm packs it: what a stranger finds in it, and nothing of the machine that it was made on. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { HEAD, INSTALLATIONS, measure } from "../../scripts/install-sizes.mjs";
import { repository } from "../helpers/demo.js";

/** What Vite makes of the server's page. */
const PAGE = ["favicon.svg", "index.html", "licenses.md", "page.css", "page.js"];

/** What Vite takes out of node-llama-cpp. */
const ESTIMATES = ["dist/models/estimates.js", "dist/models/estimates.licenses.md"];

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

/** As GitHub and editors name headings. */
const anchorsOf = (file: string): string[] =>
    [
        ...read(file)
            .toString()
            .replaceAll(/^```[^]*?^```/gm, "")
            .matchAll(/^#+ (.*)$/gm),
    ].map(([, heading = ""]) =>
        heading
            .replaceAll(/\]\([^)]*\)/g, "]")
            .toLowerCase()
            .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
            .replaceAll(" ", "-"),
    );

test("links in its documents lead to headings that are there", () => {
    const broken = files
        .filter((file) => file.endsWith(".md"))
        .flatMap((file) => {
            const text = read(file)
                .toString()
                .replaceAll(/```[^]*?```|`[^`\n]*`/g, "");
            return [...text.matchAll(/\]\(([^)\s:#]*\.md)?#([^)\s]+)\)/g)]
                .map(([, to, anchor = ""]) => ({
                    target: to === undefined ? file : path.posix.join(path.posix.dirname(file), to),
                    anchor,
                }))
                .filter(({ target, anchor }) => !anchorsOf(target).includes(anchor))
                .map(({ target, anchor }) => `${file}: ${target}#${anchor}`);
        });
    expect(broken).toEqual([]);
});

test("its documents ask for the version of Node.js that its manifest asks for", () => {
    const { engines } = JSON.parse(read("package.json").toString()) as { engines: { node: string } };
    const asked = /^>=(\d+\.\d+)\.0$/.exec(engines.node)?.[1];
    expect(asked).toBeDefined();
    const told = files
        .filter((file) => file.endsWith(".md"))
        .flatMap((file) =>
            [
                ...read(file)
                    .toString()
                    .matchAll(/Node(?:\.js)?\s+(\d+\.\d+)\s+or\s+newer/g),
            ].map(([, version]) => ({ file, version })),
        );
    expect(told.filter(({ version }) => version !== asked)).toEqual([]);
    expect(told.map(({ file }) => file)).toEqual(expect.arrayContaining(["README.md", "docs/install.md"]));
    const { packages } = JSON.parse(readFileSync(path.join(repository, "package-lock.json"), "utf8")) as {
        packages: Record<string, { engines?: { node: string } }>;
    };
    expect(packages[""]?.engines?.node).toBe(engines.node);
});

test("what was taken out of other packages has their licences beside it", () => {
    const [code = "", licences = ""] = ESTIMATES;
    expect(files).toEqual(expect.arrayContaining([code, licences]));
    const text = read(licences).toString();
    for (const name of ["node-llama-cpp", "lifecycle-utils", "bytes"])
        expect(text).toMatch(new RegExp(`^## ${name} - .*\\(MIT\\)$`, "m"));
    const notice = read("NOTICE").toString();
    for (const name of ["node-addon-api", "node-api-headers", "zig", "libc++", "mingw-w64"])
        expect(notice).toContain(name);
    expect(text.match(/Permission is hereby granted/g)).toHaveLength(text.match(/^## /gm)?.length ?? 0);
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

    test("nothing that was compiled here, and no notes about it", () => {
        const compiled = files.filter((file) => /\.(node|o|so|dylib|dll|stamp|tsbuildinfo|log)$|^build\//.test(file));
        expect(compiled.filter((file) => !/^prebuilds\/[^/]+\.node$/.test(file))).toEqual([]);
    });

    test("no code of an earlier build", () => {
        const isOrphan = (file: string): boolean =>
            !existsSync(
                path.join(repository, file.replace(/^dist\//, "src/").replace(/(\.d)?\.(ts|js)(\.map)?$/, ".ts")),
            );
        expect(files.filter((file) => file.startsWith("dist/")).length).toBeGreaterThan(500);
        const page = files.filter((file) => file.startsWith("dist/server/page/"));
        expect(page.map((file) => path.basename(file)).sort()).toEqual(PAGE);
        expect(
            files.filter(
                (file) => file.startsWith("dist/") && ![...page, ...ESTIMATES].includes(file) && isOrphan(file),
            ),
        ).toEqual([]);
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

describe("what an installation weighs", () => {
    const document = read("docs/install.md").toString();
    const cellsOf = (line: string): string[] =>
        line
            .split("|")
            .slice(1, -1)
            .map((cell) => cell.trim());
    const lines = document.split("\n");
    const [head, , ...rows] = lines
        .slice(lines.findIndex((line) => line.startsWith("| installation ")))
        .slice(0, 2 + Object.keys(INSTALLATIONS).length)
        .map(cellsOf);
    const table = new Map(rows.map(([name = "", ...sizes]) => [name, sizes.map((size) => parseFloat(size) || 0)]));

    test("is the table that scripts/install-sizes.mjs prints", () => {
        expect(head).toEqual(cellsOf(HEAD));
        expect([...table.keys()]).toEqual(Object.keys(INSTALLATIONS));
        for (const [total = NaN, ...parts] of table.values())
            expect(parts.reduce((sum, part) => sum + part)).toBe(total);
    });

    test("is said once: what the text repeats of it is the same", () => {
        const totals = [...table.values()].map(([total]) => total);
        expect(document).toContain(` instead of ${totals[0]} MB:`);
    });

    const here = path.join(repository, "node_modules");
    const isWhole = process.platform === "linux" && existsSync(path.join(here, "@node-llama-cpp", "linux-x64-cuda"));
    (isWhole ? test : test.skip)("is what the clone weighs, but for a tenth", () => {
        const [documented = []] = table.values();
        const { total, cuda, vulkan, cpu, rest } = measure(here);
        for (const [index, size] of [total, cuda, vulkan, cpu, rest].entries())
            expect(Math.abs(size / (documented[index] ?? NaN) - 1)).toBeLessThan(0.1);
    });
});

test("all parts of node-llama-cpp are wanted in one version, which is the one that is developed with", () => {
    const manifest = JSON.parse(read("package.json").toString()) as Record<string, Readonly<Record<string, string>>>;
    const { optionalDependencies, peerDependencies, devDependencies } = manifest;
    const versions = Object.entries({ ...optionalDependencies, ...peerDependencies })
        .filter(([name]) => name.includes("node-llama-cpp"))
        .map(([, version]) => version);
    expect(versions.length).toBeGreaterThan(10);
    expect(new Set(versions)).toEqual(new Set([devDependencies?.["node-llama-cpp"]]));
    const document = read("docs/install.md").toString();
    for (const [, version] of document.matchAll(/node-llama-cpp(?:\/[\w-]+)?@([\d.]+\d)/g))
        expect(versions).toContain(version);
});
