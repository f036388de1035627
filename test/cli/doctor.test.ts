/** `eft-llama doctor` where everything is there, and where parts are missing or do not fit: a package in a folder of its own. */

import { execFile, spawnSync } from "node:child_process";
import {
    cpSync,
    mkdirSync,
    readFileSync,
    readdirSync,
    realpathSync,
    renameSync,
    rmSync,
    symlinkSync,
    writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { diagnose, type Diagnosis } from "../../src/index.js";
import { installCommand } from "../../src/doctor/packages.js";
import { advise } from "../../src/doctor/advice.js";
import { findLibraryFolder, loadAddon, loadBinding } from "../../src/native/load-binding.js";
import { repository } from "../helpers/demo.js";
import { permissions } from "../helpers/permissions.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { program, run } from "./run.js";

/** Whole, as the tests' own package is. */
const { llamaRelease } = loadBinding();

describe("in a whole installation", () => {
    it("says what runs, and that models can be run", async () => {
        const { stdout, stderr, code } = await run(["doctor"]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toMatch(/^eft-llama +\d+\.\d+\.\d+\nNode +v\d/);
        expect(stdout).toMatch(/^addon +(compiled here|prebuilt): .*\.node$/m);
        expect(stdout).toMatch(/^llama\.cpp +v[\d.]+, (prebuilt|built from source): /m);
        expect(stdout).toMatch(/^cpu +yes/m);
        expect(stdout).toMatch(/\nModels can be run here\.\n$/);
    });

    it("says the same as one object, which the library gives too", async () => {
        const { stdout, code } = await run(["doctor", "--json"]);
        expect(code).toBe(0);
        const found = JSON.parse(stdout) as Diagnosis;
        const own = diagnose();
        const same = ({ version, node, platform, addon, llamaCpp, processors, packages }: Diagnosis) => ({
            ...{ version, node, platform, addon, llamaCpp, processors, packages },
        });
        expect(same(found)).toEqual(same(own));
        expect(found).toMatchObject({
            runs: true,
            node: { version: process.version, supported: true },
            llamaCpp: { release: llamaRelease },
            backends: expect.arrayContaining([
                { name: "cpu", runs: true, variant: expect.any(String), devices: [expect.anything()] },
            ]),
            folders: [{ purpose: "models" }, { purpose: "caches", writable: true }],
        });
        for (const { runs, reason } of found.backends) expect(runs).toBe(reason === undefined);
        const { total, available, limit = total } = found.memory;
        expect(available).toBeLessThanOrEqual(total);
        expect(limit).toBeLessThanOrEqual(total);
        expect(found.packages.map(({ name }) => name)).toEqual(expect.arrayContaining(["vega", "node-llama-cpp"]));
    });

    it("names no home folder", async () => {
        const { stdout } = await run(["doctor", "--json"], {
            env: { HOME: path.dirname(repository), XDG_CACHE_HOME: "" },
        });
        expect(stdout).not.toContain(`${path.dirname(repository)}/`);
        const { addon, folders } = JSON.parse(stdout) as Diagnosis;
        expect(addon).toMatchObject({ file: expect.stringMatching(/^~\//) });
        expect(folders).toMatchObject([{ folder: "~/.cache/eft-llama/models" }, { folder: "~/.cache/eft-llama" }]);
    });
});

it("does its work where Node's permissions leave it nothing but its own files", () => {
    const args = [...permissions(repository), "--allow-addons", program, "doctor", "--json"];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: tmpdir(), encoding: "utf8" });
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    const { runs, folders } = JSON.parse(stdout) as Diagnosis;
    expect(runs).toBe(true);
    expect(folders).toMatchObject([{ folder: expect.any(String) }, { folder: expect.any(String), writable: false }]);
});

it("asks no name servers about whom this process is connected to", () => {
    const program = `
        const { report } = process;
        const { getReport } = report;
        report.getReport = () => (console.log(report.excludeNetwork), getReport.call(report));
        (await import("./dist/index.js")).diagnose();
        console.log(report.excludeNetwork);`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program], {
        cwd: repository,
        encoding: "utf8",
    });
    expect(stdout).toBe("true\nfalse\n");
});

const isLinuxX64 = process.platform === "linux" && process.arch === "x64";

(isLinuxX64 ? describe : describe.skip)("in an installation that is not whole", () => {
    let root = "";
    let remove = (): void => {};
    const at = (...names: string[]): string => path.join(root, ...names);
    beforeEach(() => {
        const temporary = temporaryFolder();
        root = realpathSync(temporary.folder);
        remove = temporary.remove;
        for (const name of ["package.json", "dist", "scripts/build-native.mjs"])
            cpSync(path.join(repository, name), at(name), { recursive: true });
        for (const name of ["recipes", "experiments", "models"]) symlinkSync(path.join(repository, name), at(name));
        mkdirSync(at("node_modules"));
        for (const name of readdirSync(path.join(repository, "node_modules")))
            if (name !== "@node-llama-cpp")
                symlinkSync(path.join(repository, "node_modules", name), at("node_modules", name));
        const addon = path.join("build", "Release", "eft_llama.node");
        mkdirSync(at("build", "Release"), { recursive: true });
        cpSync(loadAddon().file, at(addon));
        cpSync(findLibraryFolder().directory, at("build", "llama"), { recursive: true });
    });
    afterEach(() => remove());

    const doctor = async (...args: string[]): Promise<{ readonly code: number; readonly stdout: string }> => {
        const program = [at("dist", "cli", "main.js"), "doctor", ...args];
        return new Promise((resolve) => {
            execFile(process.execPath, program, { cwd: root }, (error, stdout, stderr) => {
                expect(stderr).toBe("");
                resolve({ code: Number(error?.code ?? 0), stdout });
            });
        });
    };
    const diagnosis = async (code: number): Promise<Diagnosis> => {
        const result = await doctor("--json");
        expect(result.code).toBe(code);
        return JSON.parse(result.stdout) as Diagnosis;
    };

    it("libraries that were built from source are named as such", async () => {
        expect(await diagnosis(0)).toMatchObject({
            runs: true,
            llamaCpp: { origin: "built from source" },
            packages: expect.anything(),
        });
    });

    it("a missing addon is said, beside the libraries that are there", async () => {
        rmSync(at("build", "Release"), { recursive: true });
        const { runs, addon, llamaCpp, backends, advice } = await diagnosis(1);
        expect({ runs, addon }).toMatchObject({ runs: false, addon: { code: "ADDON_NOT_FOUND" } });
        expect(llamaCpp).toEqual({ folder: at("build", "llama"), origin: "built from source" });
        expect(backends.map(({ runs, reason }) => [runs, reason])).toEqual(
            backends.map(() => [false, "ADDON_NOT_FOUND"]),
        );
        expect(advice).toEqual(["message" in addon ? addon.message : ""]);
        const { code, stdout } = await doctor();
        expect(code).toBe(1);
        expect(stdout).toMatch(/\nModels cannot be run here\.\n$/);
        expect(stdout).toMatch(/^addon +no: ADDON_NOT_FOUND$/m);
        expect(stdout.split("Compile it with").length - 1).toBe(1);
    });

    it("missing libraries are said, with the command that installs them", async () => {
        rmSync(at("build", "llama"), { recursive: true });
        const { addon, llamaCpp, packages, advice } = await diagnosis(1);
        expect([addon, llamaCpp]).toMatchObject([{ code: "ADDON_LOAD_FAILED" }, { code: "ADDON_LOAD_FAILED" }]);
        expect(advice).toEqual([expect.stringMatching(/`npm install --save-exact @node-llama-cpp\/linux-x64@[\d.]+`/)]);
        expect(packages.find(({ name }) => name === "@node-llama-cpp/linux-x64")).not.toHaveProperty("installed");
        const { stdout } = await doctor();
        expect(stdout).toMatch(/^addon +no: ADDON_LOAD_FAILED\nllama\.cpp +no: ADDON_LOAD_FAILED$/m);
        expect(stdout.split("npm install --save-exact @node-llama-cpp/linux-x64@").length - 1).toBe(1);
    });

    it("commands lead through the home folder from everywhere, and do not name it", () => {
        rmSync(at("build", "llama"), { recursive: true });
        const home = at("home", "somebody");
        const own = path.join(home, "package");
        mkdirSync(own, { recursive: true });
        for (const name of readdirSync(root).filter((name) => name !== "home"))
            renameSync(at(name), path.join(own, name));
        symlinkSync(home, at("link"));
        const program = [path.join(own, "dist", "cli", "main.js"), "doctor"];
        mkdirSync(at("elsewhere"));
        for (const cwd of ["/", root, at("home"), at("elsewhere")])
            for (const HOME of [home, at("link")]) {
                const env = { ...process.env, HOME, XDG_CACHE_HOME: "" };
                const { stdout } = spawnSync(process.execPath, program, { cwd, env, encoding: "utf8" });
                expect(stdout).toContain("`node ~/package/scripts/build-native.mjs --from-source`");
                expect(stdout).not.toContain("somebody");
            }
        const env = { ...process.env, HOME: home };
        const { stdout } = spawnSync(process.execPath, program, { cwd: home, env, encoding: "utf8" });
        expect(stdout).toContain("`node package/scripts/build-native.mjs --from-source`");
    });

    it("a damaged addon is said", async () => {
        writeFileSync(at("build", "Release", "eft_llama.node"), "no library");
        expect(await diagnosis(1)).toMatchObject({ addon: { code: "ADDON_LOAD_FAILED" } });
    });

    it("libraries of another release are said", async () => {
        const file = at(
            "build",
            "llama",
            readdirSync(at("build", "llama")).find((name) => /^libllama\.[^-]*so$/.test(name)) ?? "",
        );
        const bytes = readFileSync(file);
        const version = bytes.indexOf(loadBinding().compiledFor, 0, "latin1");
        expect(version).toBeGreaterThan(0);
        bytes.write("9", version, "latin1");
        writeFileSync(file, bytes);
        expect(await diagnosis(1)).toMatchObject({
            addon: { code: "LLAMA_VERSION_MISMATCH" },
            llamaCpp: { origin: "built from source" },
        });
    });
});

describe("advice", () => {
    const facts = diagnose();
    const gpu = (vendor: string) => ({ ...facts, gpus: [{ vendor }] });
    const without = (name: string) =>
        facts.packages.map((each) => (each.name.endsWith(name) ? { name: each.name, wanted: each.wanted } : each));

    (isLinuxX64 ? it : it.skip)("names the package that a GPU needs", () => {
        const none = facts.backends.filter(({ name }) => name === "cpu");
        const of = (vendor: string, packages = facts.packages) =>
            advise({ ...gpu(vendor), backends: none, packages }).join(" ");
        expect(of("NVIDIA", without("-cuda"))).toMatch(
            /`npm install --save-exact @node-llama-cpp\/linux-x64-cuda@[\d.]+`/,
        );
        for (const vendor of ["AMD", "Intel"]) {
            expect(of(vendor, without("-vulkan"))).toMatch(
                /`npm install --save-exact @node-llama-cpp\/linux-x64-vulkan@[\d.]+`/,
            );
            expect(of(vendor)).toContain("apt-get install libvulkan1 mesa-vulkan-drivers");
        }
        expect(of("0x1234")).toBe("");
    });

    it("says packages of other versions, an old Node, and folders that cannot be written to", () => {
        const packages = [{ name: "vega", wanted: "6.4.0", installed: "5.0.0" }];
        const node = { version: "v18.0.0", supported: false, wanted: ">=20.19.0" };
        const folders = [{ purpose: "models", folder: "/nowhere", bytes: 0, writable: false }] as const;
        expect(advise({ ...facts, gpus: [], packages, node, folders })).toEqual([
            "Node v18.0.0 is not supported: install 20.19.0 or newer.",
            "vega 5.0.0 does not fit: `npm install --save-exact vega@6.4.0`.",
            "Nothing can be written to /nowhere: change its rights, or name another folder in EFT_LLAMA_MODELS.",
        ]);
    });

    it("has the command of the package manager that is in use", () => {
        const before = process.env.npm_config_user_agent;
        try {
            const commands = ["npm/11.0.0 node/v22", "pnpm/10.0.0 npm/? node/v22", "yarn/4.0.0 npm/? node/v22"].map(
                (agent) => {
                    process.env.npm_config_user_agent = agent;
                    return installCommand("a@1");
                },
            );
            expect(commands).toEqual([
                "npm install --save-exact a@1",
                "pnpm add --save-exact a@1",
                "yarn add --exact a@1",
            ]);
        } finally {
            if (before === undefined) delete process.env.npm_config_user_agent;
            else process.env.npm_config_user_agent = before;
        }
    });
});
