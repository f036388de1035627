/** `scripts/prebuild.mjs --check`: whether prebuilt addons are those of the manifest, and it is of the present sources. */

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
    appendFileSync,
    cpSync,
    mkdirSync,
    mkdtempSync,
    readdirSync,
    rmSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeEach, expect, test } from "@jest/globals";
import { repository } from "../helpers/demo.js";

const FILES = [
    ...["darwin-arm64.node", "darwin-x64.node", "linux-arm64-musl.node", "linux-arm64.node"],
    ...["linux-x64-musl.node", "linux-x64.node", "win32-arm64.node", "win32-x64.node"],
];

const clone = mkdtempSync(path.join(tmpdir(), "eft-llama-prebuild-"));
const prebuilds = path.join(clone, "prebuilds");
afterAll(() => {
    rmSync(clone, { recursive: true });
});

cpSync(path.join(repository, "native"), path.join(clone, "native"), { recursive: true });
cpSync(path.join(repository, "CMakeLists.txt"), path.join(clone, "CMakeLists.txt"));
mkdirSync(path.join(clone, "scripts"));
for (const name of readdirSync(path.join(repository, "scripts"))) {
    if (name.endsWith(".mjs")) cpSync(path.join(repository, "scripts", name), path.join(clone, "scripts", name));
}
symlinkSync(path.join(repository, "node_modules"), path.join(clone, "node_modules"), "junction");

const module = (name: string): Promise<unknown> =>
    import(pathToFileURL(path.join(repository, "scripts", name)).href) as Promise<unknown>;
const { hashAddonSources } = (await module("addon-sources.mjs")) as { hashAddonSources: () => string };
const { ZIG_VERSION } = (await module("zig.mjs")) as { ZIG_VERSION: string };

beforeEach(() => {
    rmSync(prebuilds, { recursive: true, force: true });
    mkdirSync(prebuilds);
    for (const name of FILES) writeFileSync(path.join(prebuilds, name), name);
    writeManifest({});
});

function writeManifest(other: object): void {
    const files = FILES.map((name) => [
        name,
        { sha256: createHash("sha256").update(name).digest("hex"), size: name.length },
    ]);
    const manifest = {
        sources: hashAddonSources(),
        compiler: `zig ${ZIG_VERSION}`,
        files: Object.fromEntries(files) as object,
    };
    writeFileSync(path.join(prebuilds, "manifest.json"), JSON.stringify({ ...manifest, ...other }));
}

function check(): string {
    const parameters = [path.join(clone, "scripts", "prebuild.mjs"), "--check"];
    const { status, stderr } = spawnSync(process.execPath, parameters, { encoding: "utf8" });
    expect(status).toBe(stderr === "" ? 0 : 1);
    return stderr;
}

test("those of the manifest are taken", () => {
    expect(check()).toBe("");
});

test("what is changed, missing or too much is named", () => {
    appendFileSync(path.join(prebuilds, "win32-arm64.node"), "!");
    writeFileSync(path.join(prebuilds, "darwin-x64.node"), "darwin-y64.node");
    const changed = check();
    expect(FILES.filter((name) => changed.includes(name))).toEqual(["darwin-x64.node", "win32-arm64.node"]);

    writeFileSync(path.join(prebuilds, "sunos-x64.node"), "");
    expect(check()).toContain("sunos-x64.node is none of them");

    rmSync(path.join(prebuilds, "linux-x64.node"));
    expect(check()).toContain("linux-x64.node is missing");

    rmSync(path.join(prebuilds, "manifest.json"));
    expect(check()).toContain("manifest.json is missing");
});

test("so is a manifest of other sources or of another compiler", () => {
    writeManifest({ sources: "0".repeat(64) });
    expect(check()).toContain("manifest.json is of other sources");
    writeManifest({ compiler: "zig 0.0.1" });
    expect(check()).toContain("manifest.json is of another compiler");
});
