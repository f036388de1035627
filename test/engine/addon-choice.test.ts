/** Which addon is loaded, of those that are there and of those that can be: a package in a folder of its own. */

import { execFileSync, spawnSync } from "node:child_process";
import {
    copyFileSync,
    cpSync,
    mkdirSync,
    readFileSync,
    readdirSync,
    rmSync,
    symlinkSync,
    truncateSync,
    writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { addonPlatform, usesMusl } from "../../src/native/addon-file.js";
import { loadAddon } from "../../src/native/load-binding.js";
import { repository } from "../helpers/demo.js";
import { permissions } from "../helpers/permissions.js";
import { temporaryFolder } from "../helpers/temporary.js";

const PREBUILT = path.join("prebuilds", `${addonPlatform()}.node`);
const COMPILED = path.join("build", "Release", "eft_llama.node");
const ADVICE = "Compile it with `node scripts/build-native.mjs` (needs CMake and a C++ compiler).";

let root = "";
let remove = (): void => {};

beforeEach(() => {
    ({ folder: root, remove } = temporaryFolder());
    for (const part of ["package.json", "dist"])
        cpSync(path.join(repository, part), path.join(root, part), { recursive: true });
    mkdirSync(path.join(root, "scripts"));
    symlinkSync(path.join(repository, "scripts/build-native.mjs"), path.join(root, "scripts/build-native.mjs"));
    symlinkSync(path.join(repository, "node_modules"), path.join(root, "node_modules"));
});
afterEach(() => {
    remove();
});

function place(file: string, source = loadAddon().file): string {
    const target = path.join(root, file);
    mkdirSync(path.dirname(target), { recursive: true });
    copyFileSync(source, target);
    return target;
}

/** An addon that says that it is loaded, and then ends its process, or has nothing. */
function compile(file: string, body: string): void {
    mkdirSync(path.dirname(path.join(root, file)), { recursive: true });
    const source = `
        #include <stdio.h>
        #include <stdlib.h>
        #include <unistd.h>
        void * napi_register_module_v1(void * env, void * exports) { fputs("opened\\n", stderr); ${body} return exports; }`;
    execFileSync("cc", ["-shared", "-fPIC", "-o", path.join(root, file), "-x", "c", "-"], { input: source });
}

interface Loading {
    readonly file?: string;
    readonly origin?: string;
    readonly code?: string;
    readonly message?: string;
    readonly stderr: string;
}

function load(setup = "", flags: readonly string[] = [], caches = path.join(root, "cache")): Loading {
    const program = `
        ${setup}
        const { loadAddon } = await import("./dist/native/load-binding.js");
        try {
            const { file, origin } = loadAddon();
            console.log(JSON.stringify({ file, origin }));
        } catch ({ code, message }) {
            console.log(JSON.stringify({ code, message }));
        }`;
    const { stdout, stderr } = spawnSync(process.execPath, [...flags, "--input-type=module", "-e", program], {
        cwd: root,
        env: {
            ...process.env,
            XDG_CACHE_HOME: caches,
            LOCALAPPDATA: caches,
            HOME: root,
        },
        encoding: "utf8",
    });
    return { ...(JSON.parse(stdout || "{}") as Omit<Loading, "stderr">), stderr };
}

const records = (): string[] =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => /eft-llama.tried./.test(file));

test("what was compiled on purpose is preferred, and the prebuilt one is enough", () => {
    const prebuilt = place(PREBUILT);
    expect(load()).toEqual({ file: prebuilt, origin: "prebuilt", stderr: "" });
    const compiled = place(COMPILED);
    expect(load()).toEqual({ file: compiled, origin: "compiled here", stderr: "" });
    writeFileSync(compiled, "not an addon");
    expect(load()).toEqual({ file: prebuilt, origin: "prebuilt", stderr: "" });
});

test("without any, all places are named, and what compiles one", () => {
    expect(load()).toMatchObject({
        code: "ADDON_NOT_FOUND",
        message: `The native addon is not at ${path.join(root, COMPILED)} nor at ${path.join(root, PREBUILT)}. ${ADVICE}`,
    });
});

/** Says when something is tried. */
const SPAWNED = `
    import child from "node:child_process";
    import { syncBuiltinESMExports } from "node:module";
    const { spawnSync } = child;
    child.spawnSync = (...all) => (console.error("tried"), spawnSync(...all));
    syncBuiltinESMExports();`;

test("a prebuilt one is tried once, and again when it or the package has changed", () => {
    const prebuilt = place(PREBUILT);
    expect(load(SPAWNED).stderr).toBe("tried\n");
    expect(records()).toHaveLength(1);
    expect(load(SPAWNED).stderr).toBe("");
    rmSync(prebuilt);
    place(PREBUILT);
    expect(load(SPAWNED)).toEqual({ file: prebuilt, origin: "prebuilt", stderr: "tried\n" });
    expect(records()).toHaveLength(2);
    const manifest = path.join(root, "package.json");
    writeFileSync(manifest, JSON.stringify({ ...JSON.parse(readFileSync(manifest, "utf8")), version: "9.9.9" }));
    expect(load(SPAWNED).stderr).toBe("tried\n");
    expect(records()).toHaveLength(3);
});

test("where that cannot be noted, it is tried every time", () => {
    const prebuilt = place(PREBUILT);
    const file = path.join(root, "package.json");
    for (const caches of [path.join(file, "caches"), ...(process.platform === "linux" ? ["/proc/none"] : [])])
        for (let time = 0; time < 2; time++)
            expect(load(SPAWNED, [], caches)).toEqual({ file: prebuilt, origin: "prebuilt", stderr: "tried\n" });
});

test("where Node's permissions keep the caches from it, it is loaded all the same", () => {
    const prebuilt = place(PREBUILT);
    const caches = path.join(path.dirname(root), "caches-of-others");
    for (const more of [[], ["--allow-child-process"]])
        expect(load("", [...permissions(root, repository), "--allow-addons", ...more], caches)).toEqual({
            file: prebuilt,
            origin: "prebuilt",
            stderr: "",
        });
});

test("where Node loads no addons, nothing is to be compiled", () => {
    const prebuilt = place(PREBUILT);
    const expected = (file: string) => ({
        code: "ADDON_LOAD_FAILED",
        message:
            `${file} cannot be loaded into Node ${process.version} on ${addonPlatform()}: Error: Cannot load native addon because ` +
            "loading addons is disabled. Start Node without --no-addons, and where its permissions are restricted, with --allow-addons.",
        stderr: "",
    });
    expect(load("", ["--no-addons"])).toEqual(expected(prebuilt));
    const compiled = place(COMPILED);
    expect(load("", ["--no-addons"])).toEqual(expected(compiled));
});

test("a missing library is said, with what to do about it", () => {
    place(PREBUILT);
    const folder = path.join(root, "build", "llama");
    mkdirSync(folder, { recursive: true });
    expect(load()).toEqual({
        code: "ADDON_LOAD_FAILED",
        message: `There is no llama library in ${folder}. Delete this folder, or build llama.cpp again.`,
        stderr: "",
    });
});

test("in an installed package, what compiles an addon and is missing is named in a way that installs it for good", () => {
    for (const part of ["native", "CMakeLists.txt"])
        cpSync(path.join(repository, part), path.join(root, part), {
            recursive: true,
            filter: (file) => !file.startsWith(path.join(repository, "native", "test")),
        });
    rmSync(path.join(root, "scripts"), { recursive: true });
    cpSync(path.join(repository, "scripts"), path.join(root, "scripts"), { recursive: true });
    rmSync(path.join(root, "node_modules"));
    const build = [path.join(root, "scripts", "build-native.mjs"), "--if-needed"];
    const { status, stderr } = spawnSync(process.execPath, build, { cwd: root, encoding: "utf8" });
    expect({ status, stderr }).toEqual({
        status: 1,
        stderr: expect.stringContaining(
            " Run `npm install --save-dev cmake-js@8 node-addon-api@8 node-api-headers@1` in your project, in a clone `npm ci`,",
        ),
    });
});

test("where no process can be started, it is loaded without a trial", () => {
    const prebuilt = place(PREBUILT);
    const asElectron = `Object.defineProperty(process.versions, "electron", { value: "40.0.0" });`;
    expect(load(asElectron)).toEqual({ file: prebuilt, origin: "prebuilt", stderr: "" });
    expect(records()).toEqual([]);
});

test("what was cut off is refused before it can end the process", () => {
    truncateSync(place(PREBUILT), 300_000);
    const { code, message, stderr } = load();
    expect({ code, stderr }).toEqual({ code: "ADDON_LOAD_FAILED", stderr: "" });
    expect(message).toContain(`${path.join(root, PREBUILT)} cannot be loaded into Node`);
    expect(message).toContain(`. ${ADVICE}`);
    expect(records()).toEqual([]);
});

const hasCompiler = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0;

(hasCompiler ? describe : describe.skip)("an addon that", () => {
    test.each([
        ["crashes", "abort();", "ended with SIGABRT (opened)"],
        ["ends the process", "_exit(3);", "ended with code 3 (opened)"],
    ])("%s does so in a process of its own", (_, body, end) => {
        compile(PREBUILT, body);
        const { code, message, stderr } = load();
        expect({ code, stderr }).toEqual({ code: "ADDON_LOAD_FAILED", stderr: "" });
        expect(message).toContain(`: a trial in a process of its own ${end}. ${ADVICE}`);
        expect(records()).toEqual([]);
        writeFileSync(place(COMPILED), "not an addon");
        const both = load().message ?? "";
        expect(both.match(/cannot be loaded/g)).toHaveLength(2);
        expect(both.split(ADVICE)).toEqual([expect.stringContaining(end), ""]);
    });

    test("is of another version is refused by what it lacks", () => {
        compile(PREBUILT, "");
        const { code, message } = load();
        expect(code).toBe("ADDON_LOAD_FAILED");
        expect(message).toMatch(
            /: it is of another version of this package, without setErrorClass, .*createGrammar\. Compile/,
        );
    });
});

/** The head of a program for Linux that asks for a loader, and far behind it the loader's name. */
function programWith(loader: string): Buffer {
    const [table, place, name] = [64, 9000, Buffer.from(`${loader}\0`)];
    const bytes = Buffer.alloc(place);
    bytes.write("\x7fELF", "latin1");
    bytes.writeBigUInt64LE(BigInt(table), 32);
    bytes.writeUInt16LE(56, 54);
    bytes.writeUInt16LE(2, 56);
    const interpreter = table + 56;
    bytes.writeUInt32LE(3, interpreter);
    bytes.writeBigUInt64LE(BigInt(place), interpreter + 8);
    bytes.writeBigUInt64LE(BigInt(name.length), interpreter + 32);
    return Buffer.concat([bytes, name]);
}

test("musl is told by the loader that a program asks for", () => {
    const program = path.join(root, "program");
    for (const [loader, expected] of [
        ["/lib/ld-musl-x86_64.so.1", true],
        ["/lib64/ld-linux-x86-64.so.2", false],
    ] as const) {
        writeFileSync(program, programWith(loader));
        expect([loader, usesMusl(program)]).toEqual([loader, expected]);
    }
    expect(usesMusl(path.join(root, "missing"))).toBe(false);
});
