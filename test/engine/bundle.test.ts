/** scripts/bundle.mjs: a folder that runs by itself, and says why where there is none. `.ci/run` tries it in a bare system. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
    chmodSync,
    cpSync,
    existsSync,
    mkdirSync,
    readFileSync,
    readdirSync,
    statSync,
    symlinkSync,
    utimesSync,
    watch,
    writeFileSync,
} from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { pack } from "../../scripts/bundle-archive.mjs";
import { placePackages } from "../../scripts/bundle-packages.mjs";
import { llamaRelease } from "../../scripts/llama-source.mjs";
import { loadAddon } from "../../src/native/load-binding.js";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);

/** In this package, and in bundles of it. */
const ADDON = path.relative(repository, loadAddon().file);
const script = path.join(repository, "scripts", "bundle.mjs");
const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } };
const ofLinux = header.glibcVersionRuntime === undefined ? describe.skip : describe;
const QUESTION = "What is the capital of Peru?";
const ANSWER = "Its capital is Lima.";

interface Outcome {
    readonly status: number | null;
    readonly stdout: string;
    readonly stderr: string;
}

/** `env` is the whole environment. */
function run(
    program: string,
    args: readonly string[],
    { env = {}, input = "", cwd = folder }: { env?: NodeJS.ProcessEnv; input?: string; cwd?: string } = {},
): Outcome {
    return spawnSync(program, args, { cwd, env, input, encoding: "utf8", maxBuffer: 2 ** 26 });
}

function makeBundle(args: readonly string[], env: NodeJS.ProcessEnv = process.env, file = script): Outcome {
    return run(process.execPath, [file, ...args], { env });
}

ofLinux("a bundle", () => {
    let bundle: string;
    const eft = (args: readonly string[], input = ""): Outcome => run(path.join(bundle, "eft-llama"), args, { input });

    beforeAll(() => {
        // Left by one that was ended.
        const { version } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as {
            version: string;
        };
        const name = `eft-llama-${version}-linux-${process.arch === "arm" ? "armv7l" : process.arch}`;
        const left = path.join(folder, "new", `${name}.partial`, name, "left");
        mkdirSync(left, { recursive: true });
        const { status, stdout, stderr } = makeBundle(["--folder-only", "--out", path.join(folder, "new")]);
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        bundle = stdout.trim().split("\n").at(-1) ?? "";
        expect(readdirSync(path.join(folder, "new"))).toEqual([path.basename(bundle)]);
        expect(existsSync(path.join(bundle, "left"))).toBe(false);
    });

    test.each([
        ["complete", ["-r", "demo", "--temperature", "0", QUESTION], ANSWER],
        ["chat", ["-r", "demo", "--temperature", "0"], ANSWER],
        ["score", ["-r", "demo", "--json"], "logprob"],
        ["inspect", ["demo"], "weights"],
        ["recipe", ["check", "demo"], "3 members"],
        ["recipe", ["list"], "llama-2-13b-upscaled"],
        ["demo", [], "Kathmandu"],
    ])("runs %s without any environment", (command, args, expected) => {
        // What the memory plan, templates and plots import only when they are needed is tried here, too.
        const { status, stdout, stderr } = eft([command, ...args], QUESTION);
        expect({ status, stderr }).toMatchObject({ status: 0 });
        expect(stdout).toContain(expected);
    });

    test("evaluates, with plots", () => {
        const experiment = path.join(repository, "test", "fixtures", "choices-experiment.yaml");
        const out = path.join(folder, "results");
        const { status, stderr } = eft(["eval", experiment, "--family", "demo", "--limit", "2", "--out", out]);
        expect({ status, stderr }).toMatchObject({ status: 0 });
        expect(readFileSync(path.join(out, "report.html"), "utf8")).toContain("<svg");
    });

    test("runs the benchmarks, node-llama-cpp's own addon included", () => {
        const args = ["step", "--family", "demo", "--rounds", "1", "--tokens", "3"];
        const { status, stdout, stderr } = run(path.join(bundle, "eft-llama-bench"), args);
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(stdout).toContain("by hand with node-llama-cpp");
    });

    test("holds the models that its recipes, experiments and benchmarks name", () => {
        const named = ["recipes", "experiments/families", "bench"].flatMap((place) =>
            readdirSync(path.join(bundle, place))
                .map((file) => path.join(bundle, place, file))
                .filter((file) => statSync(file).isFile())
                .flatMap((file) => readFileSync(file, "utf8").match(/models\/demo\/[\w-]+\.gguf/g) ?? []),
        );
        expect(named.length).toBeGreaterThan(10);
        for (const model of named) expect(existsSync(path.join(bundle, model))).toBe(true);
    });

    test("is started through links from anywhere", () => {
        mkdirSync(path.join(folder, "a b"));
        symlinkSync(path.join(bundle, "eft-llama"), path.join(folder, "a b", "absolute"));
        symlinkSync(path.join("a b", "absolute"), path.join(folder, "relative"));
        const { PATH } = process.env;
        for (const [program, cwd] of [
            ["./relative", folder],
            ["sh relative", folder],
            ["./absolute", path.join(folder, "a b")],
            ["sh eft-llama", bundle],
        ] as const) {
            const { stdout, stderr } = run("sh", ["-c", `${program} --version`], { cwd, env: { PATH, CDPATH: "/" } });
            expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
        }
    });

    test("says what it is and needs, and brings documents and the licences of what is in it", async () => {
        const text = readFileSync(path.join(bundle, "README.txt"), "utf8");
        expect(text).toMatch(/needs glibc 2\.\d+ and a libstdc\+\+ with GLIBCXX_3\.4\.\d+[.;]/);
        expect(text).toContain(`and llama.cpp ${await llamaRelease()}, the release`);
        // What the CPU needs is named apart from what only a GPU needs, and no file needs more than what is named.
        const named = [...text.matchAll(/GLIBCXX_([\d.]+\d)/g)].map(([, version]) => version);
        const addon = readFileSync(path.join(bundle, ADDON), "latin1");
        expect(addon).toContain(`GLIBC_`);
        for (const [, version = ""] of addon.matchAll(/\0GLIBCXX_([\d.]+)(?=\0)/g))
            expect(version.localeCompare(named[0] ?? "", "en", { numeric: true })).toBeLessThanOrEqual(0);
        const hasSource = existsSync(path.join(bundle, "build", "cuda-source", "release.txt"));
        expect(text.includes("bin/node scripts/build-cuda.mjs")).toBe(hasSource);
        for (const document of readdirSync(path.join(repository, "docs")).filter((file) => file.endsWith(".md")))
            expect(existsSync(path.join(bundle, "docs", document))).toBe(true);
        expect(readFileSync(path.join(bundle, "bin", "LICENSE-node"), "utf8")).toContain("Node.js");
        for (const place of ["LICENSE", "NOTICE", "node_modules/node-llama-cpp/LICENSE", "node_modules/vega/LICENSE"])
            expect(existsSync(path.join(bundle, place))).toBe(true);
    });

    test("has nothing that only building needs", () => {
        const files = readdirSync(bundle, { recursive: true, encoding: "utf8" });
        expect(files.filter((file) => /\.ts$|\.map$|gitRelease\.bundle|cmake-js|train-demo-family/.test(file))).toEqual(
            [],
        );
        expect(files.filter((file) => /libggml-base\.so$/.test(file))).toHaveLength(1);
    });

    test("is not written over", () => {
        const before = statSync(bundle).mtimeMs;
        const { status, stderr } = makeBundle(["--folder-only", "--out", path.dirname(bundle)]);
        expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining(`${bundle} exists.`) });
        expect(statSync(bundle).mtimeMs).toBe(before);
    });
});

ofLinux("a bundle that is ended before it is whole", () => {
    test("has not got its name", async () => {
        const out = path.join(folder, "ended");
        mkdirSync(out);
        const child = spawn(process.execPath, [script, "--folder-only", "--out", out], { stdio: "ignore" });
        const watcher = watch(out);
        await once(watcher, "change");
        child.kill("SIGKILL");
        expect(await once(child, "close")).toEqual([null, "SIGKILL"]);
        watcher.close();
        expect(readdirSync(out)).toEqual([expect.stringMatching(/\.partial$/)]);
    });
});

ofLinux("no bundle is made", () => {
    /** The scripts in a project of their own. */
    function project(name: string, ...entries: readonly string[]): string {
        const root = path.join(folder, name);
        for (const entry of ["scripts", "package.json", ...entries])
            cpSync(path.join(repository, entry), path.join(root, entry), { recursive: true });
        return path.join(root, "scripts", "bundle.mjs");
    }

    test.each<[string, () => Outcome, RegExp]>([
        [
            "of a library that is not built",
            () => makeBundle(["--folder-only"], {}, project("bare")),
            /not built.*npm run/,
        ],
        [
            "without the addon",
            () => makeBundle(["--folder-only"], {}, project("no-addon", "dist")),
            /addon is not at .*build-native\.mjs/,
        ],
        [
            "without llama.cpp's libraries",
            () => makeBundle(["--folder-only"], {}, project("no-libraries", "dist", path.dirname(ADDON))),
            /libraries for this platform are not installed/,
        ],
        ["without tar and xz", () => makeBundle([], { PATH: "" }), /GNU tar and xz.*--folder-only/],
        ["without zip", () => makeBundle(["--platform", "win32-x64"], { PATH: "" }), /Info-ZIP.*--folder-only/],
        ["for flags that there are not", () => makeBundle(["--folder"]), /--folder/],
        [
            "where nothing can be written",
            () => makeBundle(["--folder-only", "--out", script]),
            /--out .*bundle\.mjs: the bundle cannot be written there: ENOTDIR/,
        ],
        [
            "where there can be no folder",
            () => makeBundle(["--folder-only", "--out", "/proc/nope/x"]),
            /--out \/proc\/nope\/x: the bundle cannot be written there: ENOENT/,
        ],
        ["without a place", () => makeBundle(["--folder-only", "--out="]), /--out takes the name of a folder/],
    ])("%s", (_, attempt, message) => {
        const { status, stdout, stderr } = attempt();
        expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
        expect(stderr).toMatch(message);
        expect(stderr).not.toContain("    at ");
    });
});

ofLinux.each([
    ["linux-x64", ".tar.xz"],
    ["win32-x64", ".zip"],
])("an archive for %s", (platform, extension) => {
    const write = (place: string, files: readonly string[], mode: number, date: number): string => {
        const root = path.join(folder, platform, place, "kit");
        mkdirSync(path.join(root, "sub"), { recursive: true });
        for (const file of files) {
            writeFileSync(path.join(root, file), `content of ${file}`);
            chmodSync(path.join(root, file), mode);
            utimesSync(path.join(root, file), date, date);
        }
        pack(root, `${root}${extension}`, platform);
        return `${root}${extension}`;
    };

    test("depends on the files alone", () => {
        const one = write("one", ["b", "sub/c", "a"], 0o600, 1e9);
        const two = write("two", ["a", "b", "sub/c"], 0o664, 1.5e9);
        expect(readFileSync(one).equals(readFileSync(two))).toBe(true);
        const list =
            platform === "linux-x64"
                ? execFileSync("tar", ["--list", "--verbose", "--file", one], { encoding: "utf8" })
                : execFileSync("unzip", ["-Z", "-T", one], { encoding: "utf8" });
        expect(list).toMatch(
            platform === "linux-x64"
                ? /^-rw-r--r-- 0\/0 .* 1985-10-26 .* kit\/a$/m
                : /^-rw-r--r-- .* 19851026\.081500 kit\/a$/m,
        );
    });

    test("is not there when it could not be written to its end", () => {
        const archive = path.join(folder, `half${extension}`);
        expect(() => pack(path.join(folder, "nowhere", "kit"), archive, platform)).toThrow(
            /half.* cannot be written|ENOENT/,
        );
        expect(readdirSync(folder).filter((file) => file.startsWith("half"))).toEqual([]);
    });
});

describe("packages", () => {
    const add = (place: string, dependencies: readonly string[] = [], optional: readonly string[] = []): void => {
        mkdirSync(path.join(folder, place), { recursive: true });
        const list = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, "*"]));
        const manifest = { dependencies: list(dependencies), optionalDependencies: list(optional) };
        writeFileSync(path.join(folder, place, "package.json"), JSON.stringify(manifest));
    };
    const place = (root: string, omitted: readonly string[] = []): Record<string, string> =>
        Object.fromEntries(
            [...placePackages(path.join(folder, root), omitted)].map(([to, from]) => [to, path.relative(folder, from)]),
        );

    test("of a clone stay where they are", () => {
        add("clone", ["a", "@s/b", "tool"]);
        add("clone/node_modules/a", ["c"]);
        add("clone/node_modules/a/node_modules/c", ["a"]);
        add("clone/node_modules/@s/b", ["c"]);
        add("clone/node_modules/c");
        add("clone/node_modules/tool", ["only-the-tool-needs-it"]);
        expect(place("clone", ["tool"])).toEqual({
            "node_modules/a": "clone/node_modules/a",
            "node_modules/@s/b": "clone/node_modules/@s/b",
            "node_modules/c": "clone/node_modules/c",
            "node_modules/a/node_modules/c": "clone/node_modules/a/node_modules/c",
        });
    });

    test("that are optional come along where they are installed, and the bundled package itself names them", () => {
        add("some", ["a"], ["b", "not-installed"]);
        add("some/node_modules/a", [], ["c"]);
        add("some/node_modules/b", ["d"]);
        for (const name of ["c", "d"]) add(`some/node_modules/${name}`);
        expect(Object.keys(place("some")).sort()).toEqual(["a", "b", "d"].map((name) => `node_modules/${name}`));
    });

    test("beside an installed package come into it, where its own ones may be of other versions", () => {
        add("app/node_modules/eft-llama", ["a", "b"]);
        add("app/node_modules/eft-llama/node_modules/a");
        add("app/node_modules/a");
        add("app/node_modules/b", ["a", "c"]);
        add("app/node_modules/c", ["a"]);
        expect(place("app/node_modules/eft-llama")).toEqual({
            "node_modules/a": "app/node_modules/eft-llama/node_modules/a",
            "node_modules/b": "app/node_modules/b",
            "node_modules/b/node_modules/a": "app/node_modules/a",
            "node_modules/c": "app/node_modules/c",
            "node_modules/c/node_modules/a": "app/node_modules/a",
        });
    });

    test("are found through the links of pnpm", () => {
        const store = "pnpm/node_modules/.pnpm";
        add(`${store}/eft-llama@1/node_modules/eft-llama`, ["a"]);
        add(`${store}/a@1/node_modules/a`, ["b"]);
        add(`${store}/b@1/node_modules/b`);
        const link = (to: string, from: string): void => symlinkSync(path.join(folder, to), path.join(folder, from));
        link(`${store}/eft-llama@1/node_modules/eft-llama`, "pnpm/node_modules/eft-llama");
        link(`${store}/a@1/node_modules/a`, `${store}/eft-llama@1/node_modules/a`);
        link(`${store}/b@1/node_modules/b`, `${store}/a@1/node_modules/b`);
        expect(place("pnpm/node_modules/eft-llama")).toEqual({
            "node_modules/a": `${store}/a@1/node_modules/a`,
            "node_modules/b": `${store}/b@1/node_modules/b`,
        });
    });

    test("that are missing are named, with who needs them", () => {
        add("broken", ["a"]);
        add("broken/node_modules/a", ["not-to-be-found"]);
        expect(() => place("broken")).toThrow(
            /not-to-be-found is not installed, and .*broken\/node_modules\/a needs it/,
        );
    });
});
