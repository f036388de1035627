/** Models of unfamiliar kinds are tried once, in a process of their own. */

import { cpSync, renameSync, rmSync, utimesSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { LoadOptions } from "../../src/index.js";
import { listArchitectures } from "../helpers/architectures.js";
import { demoFile, loadOnCpu, soloRecipe } from "../helpers/demo.js";
import { writeGguf } from "../helpers/gguf.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
const cache = process.env.XDG_CACHE_HOME;
beforeAll(() => {
    process.env.XDG_CACHE_HOME = folder;
});
afterAll(() => {
    if (cache === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cache;
    remove();
});

function write(architecture: string): string {
    const file = path.join(folder, `${architecture}.gguf`);
    const gguf = listArchitectures().get(architecture)?.();
    if (gguf === undefined) throw new Error(`There is no ${architecture}.`);
    writeGguf(file, gguf);
    return file;
}

/** Loads and disposes; returns the files that were tried on the way. */
async function load(file: string, options: LoadOptions = {}): Promise<string[]> {
    const tried: string[] = [];
    const settings = { contextSize: 64, sequences: 1, onTrial: (each: string) => void tried.push(each) };
    const ensemble = await loadOnCpu(soloRecipe(file), { ...settings, ...options });
    await ensemble.dispose();
    return tried;
}

describe("an unfamiliar model", () => {
    const file = write("qwen2-dense");

    it("is not tried for those who trust it", async () => {
        expect(await load(file, { trust: true })).toEqual([]);
    });

    it("is tried once, and once more when it is another file", async () => {
        expect(await load(file)).toEqual([file]);
        expect(await load(file)).toEqual([]);
        utimesSync(file, 1, 1);
        expect(await load(file)).toEqual([file]);
        const moved = path.join(folder, "moved.gguf");
        cpSync(file, moved);
        expect(await load(moved)).toEqual([moved]);
    });

    it("is tried each time where nothing can be remembered", async () => {
        renameSync(path.join(folder, "eft-llama"), path.join(folder, "elsewhere"));
        process.env.XDG_CACHE_HOME = path.join(file, "below a file");
        try {
            expect(await load(file)).toEqual([file]);
            expect(await load(file)).toEqual([file]);
        } finally {
            process.env.XDG_CACHE_HOME = folder;
            rmSync(path.join(folder, "eft-llama"), { recursive: true, force: true });
        }
    });

    it("leaves nothing behind when loading is aborted during its trial", async () => {
        const aborting = new AbortController();
        const loading = load(file, { signal: aborting.signal, onTrial: () => aborting.abort() });
        await expect(loading).rejects.toMatchObject({ code: "ABORTED" });
        expect(await load(file)).toEqual([file]);
    });
});

it("the demo family is familiar", async () => {
    expect(await load(demoFile("small-base"))).toEqual([]);
});

it("of Llama models, those with experts are tried", async () => {
    const [dense, experts] = ["llama-dense", "llama-moe"].map(write) as [string, string];
    expect(await load(dense)).toEqual([]);
    expect(await load(experts)).toEqual([experts]);
});

it("a model on which llama.cpp crashes is an error that names it, every time", async () => {
    const file = write("glm-dsa-moe");
    for (let times = 0; times < 2; times++) {
        const error: unknown = await load(file).catch((reason: unknown) => reason);
        expect(error).toMatchObject({ code: "MODEL_UNSAFE", message: expect.stringContaining(file) });
    }
});

it("trust is true or false", async () => {
    const options = { trust: "yes" } as unknown as LoadOptions;
    await expect(load(demoFile("small-base"), options)).rejects.toMatchObject({ code: "OPTION_INVALID" });
});
