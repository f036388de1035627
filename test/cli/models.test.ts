/** `eft-llama models`: what has been downloaded, by the names that recipes use, and nothing else is deleted. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import { downloadModels, listModels, planDownload, removeModels, type StoredModel } from "../../src/index.js";
import { tryLock } from "../../src/lock.js";
import { unfinishedFolder } from "../../src/models/download.js";
import { modelPath, partFiles } from "../../src/models/model-files.js";
import { demoFile } from "../helpers/demo.js";
import { startHub } from "../helpers/hub.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { run, type Run } from "./run.js";

let temporary: ReturnType<typeof temporaryFolder>;
let models: string;
beforeEach(() => {
    temporary = temporaryFolder();
    models = path.join(temporary.folder, "models");
});
afterEach(() => temporary.remove());

const eft = (...args: string[]): Promise<Run> =>
    run(["models", ...args], { env: { EFT_LLAMA_MODELS: models }, cwd: temporary.folder });

/** Puts a file where a reference has its place. @param parts - of how many, and which are there */
function put(reference: string, parts: readonly [count: number, ...numbers: number[]] = [1, 1]): void {
    const [count, ...numbers] = parts;
    const files = partFiles(modelPath(reference, models), count);
    for (const number of numbers) {
        const file = files[number - 1] ?? "";
        mkdirSync(path.dirname(file), { recursive: true });
        copyFileSync(demoFile("small-chat"), file);
    }
}

const NAMES = [
    "hf:some-one/small-GGUF",
    "hf:some-one/small-GGUF:Q4_K_M",
    "hf:some-one/small-GGUF/a+folder/m.gguf",
    "hf:some-one/small-GGUF/m.gguf#a/branch*",
    "https://models.example:8443/a/b%20c/m.gguf?version=2",
    "https://models.example/m.gguf",
];

it("names models as recipes do, with size, parts and time", async () => {
    for (const name of NAMES) put(name);
    put("hf:some-one/large-GGUF:Q8_0", [3, 1, 2, 3]);
    put("hf:some-one/large-GGUF/m-00001-of-00002.gguf", [2, 2]);
    writeFileSync(path.join(models, "notes.txt"), "no model");
    copyFileSync(demoFile("small-chat"), path.join(models, "own.gguf"));
    const { stdout, stderr, code } = await eft("list", "--json");
    expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    const listed = JSON.parse(stdout) as (StoredModel & { parts: number })[];
    expect(listed.map(({ name, parts, state }) => [name, parts, state])).toEqual(
        [
            ...NAMES.map((name) => [name, 1, "complete"] as const),
            ["hf:some-one/large-GGUF:Q8_0", 3, "complete"] as const,
            ["hf:some-one/large-GGUF/m-00001-of-00002.gguf", 1, "incomplete"] as const,
            ["own.gguf", 1, "complete"] as const,
        ].sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    expect(new Set(listed.map(({ bytes, parts }) => bytes / parts)).size).toBe(1);
    for (const { time } of listed) expect(Math.abs(Date.parse(`${String(time)}`) - Date.now())).toBeLessThan(3_600_000);
    const table = (await eft("list")).stdout;
    expect(table).toMatch(/│ hf:some-one\/large-GGUF:Q8_0 +│ +2\.5\d MiB │ +3 │ +\d{4}-\d\d-\d\d +│ +│/);
    expect(table).toMatch(/m-00001-of-00002\.gguf +│.*│ incomplete +│/);
    expect(table).toContain(`9 models, `);
});

it("is empty where nothing was downloaded", async () => {
    expect(await eft("list")).toEqual({ stdout: `No models in ${models}.\n`, stderr: "", code: 0 });
    expect((await eft("list", "--json")).stdout).toBe("[]\n");
});

describe("rm", () => {
    it("deletes what is named, all of its parts, and empty folders", async () => {
        for (const name of NAMES) put(name);
        put("hf:some-one/large-GGUF:Q8_0", [3, 1, 2, 3]);
        const asked = await eft("rm", "hf:some-one/large-GGUF:Q8_0");
        expect(asked).toMatchObject({ stdout: "", code: 1, stderr: expect.stringContaining("write --yes") });
        const { stdout, code } = await eft("rm", "--yes", "hf:some-one/large-GGUF:q8_0", NAMES[4] ?? "");
        expect({ stdout, code }).toEqual({ stdout: expect.stringMatching(/^Deleted hf:.*Q8_0, https:.*: /), code: 0 });
        expect((await listModels(models)).map(({ name }) => name)).toEqual(NAMES.filter((_, i) => i !== 4).sort());
        expect(existsSync(path.join(models, "hf", "some-one", "large-GGUF"))).toBe(false);
        expect((await eft("rm", "-y", ...NAMES.filter((_, i) => i !== 4))).code).toBe(0);
        expect(readdirSync(models)).toEqual([]);
    });

    it("deletes nothing that is outside of the folder, or in none of its places", async () => {
        put("hf:some-one/small-GGUF");
        const outside = path.join(temporary.folder, "outside");
        mkdirSync(outside);
        copyFileSync(demoFile("small-chat"), path.join(outside, "m.gguf"));
        if (process.platform !== "win32") symlinkSync(outside, path.join(models, "hf", "linked"));
        const names = [
            "../outside/m.gguf",
            path.join(outside, "m.gguf"),
            "hf:../../outside/m.gguf",
            "hf:linked/m.gguf",
            path.join("hf", "linked", "m.gguf"),
            "hf:some-one",
            "hf",
            "",
        ];
        for (const name of names) {
            await expect(removeModels(["hf:some-one/small-GGUF", name], models)).rejects.toMatchObject({
                code: "MODEL_NOT_FOUND",
            });
        }
        expect(await eft("rm", "--yes", "../outside/m.gguf")).toMatchObject({ stdout: "", code: 1 });
        expect(existsSync(path.join(outside, "m.gguf"))).toBe(true);
        expect(await listModels(models)).toHaveLength(1);
    });

    it("takes no file for a part of a model because its name looks like one", async () => {
        mkdirSync(models);
        const names = [
            ...["x-00001-of-00002.gguf", "x-00002-of-00002.gguf", "x-00003-of-00002.gguf", "x-00002.gguf", "x.gguf"],
            ...["x-00000-of-00000.gguf", "x-00001-of-00001.gguf", "x-00002-of-00001.gguf", "x-00001-of-00003.gguf"],
        ];
        for (const name of names) copyFileSync(demoFile("small-chat"), path.join(models, name));
        expect((await listModels(models)).map(({ name, files, state }) => [name, files.length, state])).toEqual(
            names
                .filter((name) => name !== "x-00002-of-00002.gguf")
                .sort()
                .map((name) =>
                    name === "x-00001-of-00002.gguf"
                        ? [name, 2, "complete"]
                        : [name, 1, name === "x-00001-of-00003.gguf" ? "incomplete" : "complete"],
                ),
        );
        const removed = await removeModels(["x-00001-of-00002.gguf"], models);
        expect(removed.flatMap(({ files }) => files)).toEqual(names.slice(0, 2).map((name) => path.join(models, name)));
        expect(readdirSync(models).sort()).toEqual(names.slice(2).sort());
        for (const name of names.slice(2)) expect(await removeModels([name], models)).toHaveLength(1);
        expect(readdirSync(models)).toEqual([]);
    });

    const asAnybody = process.platform === "win32" ? it.skip : it;
    asAnybody("says what could not be deleted and what was, and leaves no lock", async () => {
        const [first = ""] = NAMES;
        put(first);
        put("hf:some-one/large-GGUF/m-00001-of-00002.gguf", [2, 1, 2]);
        put("hf:some-one/large-GGUF/locked/m.gguf");
        const large = path.dirname(modelPath("hf:some-one/large-GGUF/locked/m.gguf", models));
        // The tests may run as somebody who may do everything.
        const isRoot = process.geteuid?.() === 0;
        chmodSync(temporary.folder, 0o755);
        for (const entry of [".", ...readdirSync(models, { recursive: true, encoding: "utf8" })])
            chmodSync(path.join(models, entry), 0o777);
        chmodSync(large, 0o555);
        const names = [first, "hf:some-one/large-GGUF/m-00001-of-00002.gguf", "hf:some-one/large-GGUF/locked/m.gguf"];
        await expect(removeModels(["hf:nobody/nothing"], models)).rejects.toMatchObject({ code: "MODEL_NOT_FOUND" });
        if (isRoot) process.seteuid?.(65534);
        try {
            await expect(removeModels(names, models)).rejects.toMatchObject({
                code: "FILE_UNWRITABLE",
                message:
                    `${names[2]} cannot be deleted: EACCES: permission denied. Look who may write to its folder. ` +
                    `Deleted before that: ${names[0]}, ${names[1]}.`,
            });
        } finally {
            if (isRoot) process.seteuid?.(0);
            chmodSync(large, 0o755);
        }
        expect(await listModels(models)).toMatchObject([{ name: names[2], state: "complete" }]);
        expect(readdirSync(models)).toEqual(["hf"]);
        expect(await removeModels(names.slice(2), models)).toHaveLength(1);
    });

    it("leaves alone what somebody else has locked, also where nothing is unfinished", async () => {
        const [first = "", second = ""] = NAMES;
        put(first);
        put(second);
        const place = unfinishedFolder(models, second);
        mkdirSync(path.dirname(place));
        const lock = await tryLock(place);
        await expect(removeModels([first, second], models)).rejects.toMatchObject({
            message: `${second} is being downloaded, and stays; end the download first. Deleted before that: ${first}.`,
        });
        await lock?.release();
        expect(await removeModels([second], models)).toHaveLength(1);
        expect(readdirSync(models)).toEqual([]);
    });

    it("leaves alone what is being downloaded", async () => {
        const hub = await startHub();
        const before = process.env.HF_ENDPOINT;
        process.env.HF_ENDPOINT = hub.endpoint;
        try {
            const reference = "hf:some-one/small-GGUF/m.gguf";
            const content = Buffer.alloc(1 << 20, "GGUF");
            hub.files.set("some-one/small-GGUF/m.gguf", { content, stallAfter: 1 << 16 });
            const plan = await planDownload([reference], { folder: models });
            const controller = new AbortController();
            let begun: () => void;
            const running = new Promise<void>((resolve) => (begun = resolve));
            const download = downloadModels(plan, { signal: controller.signal, onProgress: () => begun() });
            const ended = expect(download).rejects.toMatchObject({ code: "ABORTED" });
            await running;
            expect(await listModels(models)).toMatchObject([{ name: reference, state: "downloading" }]);
            await expect(removeModels([reference], models)).rejects.toMatchObject({
                code: "FILE_UNWRITABLE",
                message: expect.stringContaining("is being downloaded") as unknown,
            });
            controller.abort();
            await ended;
            const [left] = await listModels(models);
            expect(left).toMatchObject({ name: reference, state: "incomplete" });
            expect(left?.bytes).toBeGreaterThan(0);
            expect(await removeModels([reference], models)).toEqual([left]);
            expect(readdirSync(models)).toEqual([]);
        } finally {
            if (before === undefined) delete process.env.HF_ENDPOINT;
            else process.env.HF_ENDPOINT = before;
            await hub.close();
        }
    });
});

it("says what there is to do", async () => {
    expect(await eft()).toMatchObject({ code: 2, stderr: expect.stringContaining("Name what to do: list, rm.") });
    expect((await eft("remove")).stderr).toContain('There is no command "models remove"');
});
