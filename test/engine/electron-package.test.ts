/** The example app packed into an archive: what its configuration leaves outside is what the host needs outside. */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import path from "node:path";
import { createPackageWithOptions, extractAll, listPackage } from "@electron/asar";
import { afterAll, describe, expect, it } from "@jest/globals";
import { parse } from "yaml";
import { collect } from "../../src/index.js";
import { loadAddon } from "../../src/native/load-binding.js";
import { readText, repository } from "../helpers/demo.js";
import { startTestHost } from "../helpers/electron.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

interface Configuration {
    readonly asarUnpack: readonly string[];
    readonly extraResources: readonly { readonly from: string; readonly to: string }[];
}
const configuration = parse(readText("examples/electron/electron-builder.yml")) as Configuration;

const readManifest = (
    directory: string,
): { readonly version: string; readonly dependencies?: Record<string, string> } =>
    JSON.parse(readFileSync(path.join(directory, "package.json"), "utf8")) as ReturnType<typeof readManifest>;

/** The packages that the host imports, with what they depend on; not all of node-llama-cpp, which nothing of this imports. */
function copyDependencies(target: string): void {
    const copied = new Set<string>();
    const copy = (name: string): void => {
        const from = path.join(repository, "node_modules", name);
        if (copied.has(name) || !existsSync(from)) return;
        copied.add(name);
        cpSync(from, path.join(target, name), { recursive: true });
        for (const dependency of Object.keys(readManifest(from).dependencies ?? {})) copy(dependency);
    };
    ["@huggingface/jinja", "ajv", "fastest-levenshtein", "p-limit", "yaml"].forEach(copy);
    const system = { linux: "linux", darwin: "mac", win32: "win" }[process.platform as string];
    for (const name of readdirSync(path.join(repository, "node_modules", "@node-llama-cpp"))) {
        if (name === `${system}-${process.arch}` || name === `${system}-${process.arch}-metal`) {
            copy(`@node-llama-cpp/${name}`);
        }
    }
    for (const file of ["package.json", "dist/index.js"]) {
        cpSync(path.join(repository, "node_modules/node-llama-cpp", file), path.join(target, "node-llama-cpp", file));
    }
}

/**
 * Packs the app and lays it out as Electron's file system shows it: a folder `app.asar`, where JavaScript finds all files, but the
 * system's loader none of the native ones, which are in `app.asar.unpacked`.
 */
async function packApp(): Promise<string> {
    const app = path.join(folder, "app");
    cpSync(path.join(repository, "examples", "electron"), app, {
        recursive: true,
        filter: (file) => path.basename(file) !== "node_modules",
    });
    const packageFolder = path.join(app, "node_modules", "eft-llama");
    for (const entry of ["package.json", "dist", "recipes", path.relative(repository, loadAddon().file)]) {
        cpSync(path.join(repository, entry), path.join(packageFolder, entry), { recursive: true });
    }
    copyDependencies(path.join(app, "node_modules"));

    const packed = path.join(folder, "packed", "app.asar");
    mkdirSync(path.dirname(packed));
    const unpack = `{${configuration.asarUnpack.map((pattern) => path.join(app, pattern)).join(",")}}`;
    await createPackageWithOptions(app, packed, { unpack });
    rmSync(app, { recursive: true });

    const resources = path.join(folder, "resources");
    mkdirSync(resources);
    extractAll(packed, path.join(resources, "app.asar"));
    cpSync(`${packed}.unpacked`, path.join(resources, "app.asar.unpacked"), { recursive: true });
    for (const file of listPackage(`${packed}`, { isPack: false })) {
        const inside = path.join(resources, "app.asar", file);
        if (/\.(node|so|dylib|dll)$/.test(file)) rmSync(inside);
    }
    for (const { from, to } of configuration.extraResources) {
        const source = path.join(repository, from.replace("node_modules/eft-llama/", ""));
        cpSync(source, path.join(resources, to), { recursive: true });
    }
    return resources;
}

describe("the packaged example", () => {
    it("finds its native files beside the archive, and models beside the app", async () => {
        const resources = await packApp();
        expect(readdirSync(path.join(resources, "app.asar.unpacked", "node_modules")).sort()).toEqual([
            "@node-llama-cpp",
            "eft-llama",
        ]);
        const host = startTestHost(path.join(resources, "app.asar"));
        try {
            const recipe = path.join(resources, "recipes", "demo-dial.yaml");
            await host.control.load(recipe, { backend: "cpu", threads: 1 });
            const renderer = host.connect();
            const prompt = "What is the capital of Peru?";
            expect((await collect(renderer.complete({ prompt, parameters: { lambda: 0 } }))).text).toContain("Lima");
            if (process.platform === "linux") {
                const mapped = readFileSync(`/proc/${host.utility.process.pid}/maps`, "utf8");
                const native = [...new Set(mapped.match(/\/\S+(?:\.node|lib(?:llama|ggml)\S*)/g))];
                expect(native.length).toBeGreaterThan(2);
                expect(native.filter((file) => !file.includes("/app.asar.unpacked/"))).toEqual([]);
            }
            renderer.close();
        } finally {
            await host.utility.kill();
        }
    });

    it("asks for the version of the package that it belongs to", () => {
        const { version } = readManifest(repository);
        expect(readManifest(path.join(repository, "examples", "electron")).dependencies).toEqual({
            "eft-llama": version,
        });
    });
});
