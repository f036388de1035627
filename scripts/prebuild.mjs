// Compiles the addon for every system, on Linux by zig: prebuilds/, which is committed and packed. The same sources give
// the same bytes, wherever and whenever.
//
//     node scripts/prebuild.mjs             all of them, and prebuilds/manifest.json
//     node scripts/prebuild.mjs win32-x64   some of them; the manifest is for all, so it stays as it is
//     node scripts/prebuild.mjs --check     fail unless they are those of the manifest, and it is of these sources
//     node scripts/prebuild.mjs --verify    compile all of them elsewhere, and fail unless they are the same

import { createHash } from "node:crypto";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { hashAddonSources } from "./addon-sources.mjs";
import { projectRoot } from "./llama-source.mjs";
import { exported, nodeApiStub, unwinderStub } from "./prebuild-stubs.mjs";
import { ZIG_VERSION, fetchZig, zig } from "./zig.mjs";

const require = createRequire(import.meta.url);

/** What zig calls them. */
const TARGETS = {
    "linux-x64": "x86_64-linux-gnu.2.28",
    "linux-arm64": "aarch64-linux-gnu.2.28",
    "linux-x64-musl": "x86_64-linux-musl",
    "linux-arm64-musl": "aarch64-linux-musl",
    "darwin-x64": "x86_64-macos.12.0",
    "darwin-arm64": "aarch64-macos.12.0",
    "win32-x64": "x86_64-windows-gnu",
    "win32-arm64": "aarch64-windows-gnu",
};

const { eft_folders, eft_arithmetic, eft_vectorise, eft_warnings, eft_defines } = JSON.parse(
    readFileSync(path.join(projectRoot, "native", "build.gypi"), "utf8"),
).variables;

const committed = path.join(projectRoot, "prebuilds");

/** From the project's root, as everything that the compiler is told. */
const scratch = "build/prebuild";

function write(file, text) {
    return writeFile(path.join(projectRoot, file), text);
}

function hashFile(file) {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
}

/** What a manifest says about the files in a folder. */
function describe(folder) {
    const files = Object.keys(TARGETS).map((target) => {
        const file = path.join(folder, `${target}.node`);
        return [`${target}.node`, { sha256: hashFile(file), size: readFileSync(file).length }];
    });
    return { sources: hashAddonSources(), compiler: `zig ${ZIG_VERSION}`, files: Object.fromEntries(files) };
}

/** Runs tasks, as many at once as there are processors. */
async function runAll(tasks) {
    const queue = [...tasks];
    await Promise.all(
        Array.from({ length: availableParallelism() }, async () => {
            for (let task = queue.shift(); task !== undefined; task = queue.shift()) await task();
        }),
    );
}

/** What all files of a target are compiled with. */
function compilerFlags(target) {
    const isWindows = target.startsWith("win32");
    return [
        ...["-target", TARGETS[target], "-O3", "-g0", "-std=c++17", "-DNDEBUG"],
        ...["-fvisibility=hidden", "-fvisibility-inlines-hidden", "-fno-sanitize=all", "-fno-stack-protector"],
        ...(isWindows ? [] : ["-fPIC"]),
        ...eft_warnings,
        ...eft_defines.map((define) => `-D${define}`),
        "-D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_NONE",
        ...(isWindows ? ["-DNAPI_EXTERN=__declspec(dllimport)"] : []),
        ...["-I.", "-Inative", "-isystem", "native/vendor/llama.cpp"],
        ...["node-api-headers", "node-addon-api"].flatMap((name) => [
            "-isystem",
            path.relative(projectRoot, require(name).include_dir ?? path.dirname(require.resolve(name))),
        ]),
    ];
}

/** How the objects of a target become its addon. */
async function linkerFlags(program, target, folder) {
    if (target.startsWith("darwin")) {
        return ["-Wl,-undefined,dynamic_lookup", "-Wl,-install_name,@rpath/eft_llama.node"];
    }
    const source = `${folder}/stub.c`;
    if (target.startsWith("win32")) {
        await write(source, nodeApiStub("v8"));
        return [source];
    }
    await write(source, unwinderStub());
    await write(`${folder}/exported`, exported);
    const library = `${folder}/libgcc_s.so.1`;
    const flags = ["-target", TARGETS[target], "-shared", "-fPIC", "-nostdlib", "-Wl,-soname,libgcc_s.so.1"];
    await zig(program, ["cc", ...flags, source, "-o", library]);
    const levels = target === "linux-x64" ? ["scripts/prebuild-levels.c"] : [];
    return [library, `-Wl,--version-script=${folder}/exported`, ...levels];
}

/**
 * Files that include what is compiled with the same flags, a folder each: most of the time goes into headers, which are
 * read once so.
 */
async function writeUnits() {
    const all = eft_folders.map((name) => {
        const files = readdirSync(path.join(projectRoot, "native", name)).filter((file) => file.endsWith(".cpp"));
        const sources = files.sort().map((file) => `native/${name}/${file}`);
        return { name, sources: sources.filter((source) => !eft_arithmetic.includes(source)), flags: [] };
    });
    all.push({ name: "arithmetic", sources: eft_arithmetic, flags: eft_vectorise });
    return Promise.all(
        all.map(async ({ name, sources, flags }) => {
            const file = `${scratch}/${name}.cpp`;
            await write(file, sources.map((source) => `#include "${source}"\n`).join(""));
            return { name, file, flags };
        }),
    );
}

/** Compiles the addon for some targets into a folder. */
async function build(targets, folder) {
    const program = await fetchZig();
    for (const target of targets) await mkdir(path.join(projectRoot, scratch, target), { recursive: true });
    const units = await writeUnits();
    const placeOf = (target) => `${scratch}/${target}`;
    const objectOf = (target, name) => `${placeOf(target)}/${name}.o`;
    const compile =
        (target, { name, file, flags }) =>
        () =>
            zig(program, ["c++", "-c", ...compilerFlags(target), ...flags, file, "-o", objectOf(target, name)]);
    await runAll(targets.flatMap((target) => units.map((unit) => compile(target, unit))));
    const link = (target) => async () => {
        const objects = units.map(({ name }) => objectOf(target, name));
        const flags = ["-target", TARGETS[target], "-O3", "-g0", "-shared", "-Wl,-s"];
        const more = await linkerFlags(program, target, placeOf(target));
        const addon = `${placeOf(target)}/eft_llama.node`;
        await zig(program, ["c++", ...flags, ...objects, ...more, "-o", addon]);
        await copyFile(path.join(projectRoot, addon), path.join(folder, `${target}.node`));
    };
    await runAll(targets.map(link));
}

const manifestFile = path.join(committed, "manifest.json");

/** @returns {string[]} what differs between the manifest and the files in a folder */
function differences(folder) {
    if (!existsSync(manifestFile)) return ["manifest.json is missing"];
    const manifest = JSON.parse(readFileSync(manifestFile, "utf8"));
    const names = Object.keys(TARGETS).map((target) => `${target}.node`);
    const missing = names.filter((name) => !existsSync(path.join(folder, name)));
    if (missing.length > 0) return missing.map((name) => `${name} is missing`);
    const found = describe(folder);
    const known = [...names, path.basename(manifestFile)];
    return [
        ...readdirSync(folder)
            .filter((name) => !known.includes(name))
            .map((name) => `${name} is none of them`),
        ...(found.sources === manifest.sources ? [] : ["manifest.json is of other sources"]),
        ...(found.compiler === manifest.compiler ? [] : ["manifest.json is of another compiler"]),
        ...Object.entries(found.files)
            .filter(([name, { sha256, size }]) => {
                const said = manifest.files[name];
                return said?.sha256 !== sha256 || said.size !== size;
            })
            .map(([name]) => `${name} is another one`),
    ];
}

const flag = { type: "boolean", default: false };
const { values: flags, positionals } = parseArgs({ options: { check: flag, verify: flag }, allowPositionals: true });
const unknown = positionals.filter((target) => !(target in TARGETS));
if (unknown.length > 0)
    throw new Error(`There is no target ${unknown[0]}; there are ${Object.keys(TARGETS).join(", ")}.`);

if (flags.check || flags.verify) {
    const wrong = new Set(differences(committed));
    if (flags.verify) {
        const anew = await mkdtemp(path.join(tmpdir(), "eft-llama-prebuilds-"));
        try {
            await build(Object.keys(TARGETS), anew);
            for (const each of differences(anew)) wrong.add(each);
        } finally {
            await rm(anew, { recursive: true });
        }
    }
    for (const each of wrong) console.error(`prebuilds/${each}`);
    if (wrong.size > 0) {
        console.error("Run `node scripts/prebuild.mjs` and commit what it writes.");
        process.exitCode = 1;
    }
} else {
    await mkdir(committed, { recursive: true });
    await build(positionals.length > 0 ? positionals : Object.keys(TARGETS), committed);
    if (positionals.length === 0) await writeFile(manifestFile, `${JSON.stringify(describe(committed), null, 4)}\n`);
}
