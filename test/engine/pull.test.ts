/** Downloads of models: places, resuming, split models, and servers that misbehave. */

import { execFile, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import fc from "fast-check";
import {
    collect,
    complete,
    downloadModels,
    findModel,
    modelFolder,
    planDownload,
    type DownloadOptions,
    type EftErrorCode,
} from "../../src/index.js";
import { transferFile } from "../../src/ensemble/download-transfer.js";
import { locateModels, modelPath } from "../../src/ensemble/model-files.js";
import { demoFile, demoRecipe, repository, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, serializeGguf, splitGguf } from "../helpers/gguf.js";
import { startHub, type Hub } from "../helpers/hub.js";
import { temporaryFolder } from "../helpers/temporary.js";

const small = readFileSync(demoFile("small-base"));
/** A model that takes several ranges to download: padded at its end, where llama.cpp does not look. */
const long = Buffer.concat([readFileSync(demoFile("large-base")), Buffer.alloc(25_000_000, "padding ")]);

let hub: Hub;
const environment = { ...process.env };
beforeAll(async () => {
    hub = await startHub();
});
afterAll(() => hub.close());

let temporary: ReturnType<typeof temporaryFolder>;
let folder: string;
beforeEach(() => {
    temporary = temporaryFolder();
    folder = path.join(temporary.folder, "models");
    hub.files.clear();
    hub.requests.length = 0;
    process.env.HF_ENDPOINT = hub.endpoint;
    process.env.EFT_LLAMA_MODELS = folder;
    delete process.env.HF_TOKEN;
});
afterEach(() => {
    process.env = { ...environment };
    temporary.remove();
});

async function pull(reference: string, options: DownloadOptions = {}): Promise<void> {
    await downloadModels(await planDownload([reference]), options);
}

async function failure(promise: Promise<unknown>): Promise<{ code: EftErrorCode; message: string }> {
    const error = await promise.then(
        () => undefined,
        (reason: unknown) => reason as { code: EftErrorCode; message: string },
    );
    if (error === undefined) throw new Error("There was no error.");
    return { code: error.code, message: error.message };
}

describe("a place", () => {
    it("is in the folder whatever the reference is, and each has its own", () => {
        const word = fc.oneof(
            fc.constantFrom(".", "..", "a", "a_b", "-", "...", "con"),
            fc.stringMatching(/^[\w.-]{1,8}$/),
        );
        const part = fc.oneof(word, fc.constantFrom("%2e%2e", "%2F", "..%5c..", "%", "ü", "\ud800", "*", "a:b"));
        const file = fc.array(part, { maxLength: 4 }).map((parts) => [...parts, "m.gguf"].join("/"));
        const reference = fc.oneof(
            fc.tuple(word, word).map(([user, name]) => `hf:${user}/${name}`),
            fc.tuple(word, word, word).map(([user, name, tag]) => `hf:${user}/${name}:${tag}`),
            fc.tuple(word, word, file).map(([user, name, rest]) => `hf:${user}/${name}/${rest}`),
            fc
                .tuple(word, word, file, word)
                .map(([user, name, rest, branch]) => `hf:${user}/${name}/${rest}#${branch}`),
            fc
                .tuple(file, fc.constantFrom("", "?a=..", "?/../x"))
                .map(([rest, query]) => `https://host:1/${rest}${query}`),
        );
        fc.assert(
            fc.property(reference, reference, (one, other) => {
                const place = modelPath(one, "/models");
                expect(path.resolve(place)).toBe(place);
                expect(place).toMatch(/^\/models\/(hf|https)\/.+\.gguf$/);
                const same = [one, other].map((text) =>
                    text.startsWith("https:")
                        ? decodeURIComponent(new URL(text).href.replaceAll("%", "%25"))
                        : text.replace(/:([^/:]+)$/, (tag) => tag.toUpperCase()).replace(/#main$/, ""),
                );
                if (place === modelPath(other, "/models")) expect(normalise(same[0])).toBe(normalise(same[1]));
            }),
            { numRuns: 2000 },
        );
        // Spellings of one place: doubled slashes, percent signs or not, the tag that is the default.
        function normalise(text = ""): string {
            const plain = text.replace(/(?<!:)\/+/g, "/").replace(/(:LATEST)$/, "");
            try {
                return Buffer.from(decodeURIComponent(plain)).toString();
            } catch {
                return Buffer.from(plain).toString();
            }
        }
    });

    it("is where EFT_LLAMA_MODELS says, or in the user's cache", () => {
        expect(modelFolder()).toBe(folder);
        delete process.env.EFT_LLAMA_MODELS;
        process.env.XDG_CACHE_HOME = "/cache";
        const expected = process.platform === "linux" ? "/cache/eft-llama/models" : modelFolder();
        expect(modelFolder()).toBe(expected);
        expect(path.isAbsolute(modelFolder())).toBe(true);
    });

    it("of a path is the path", () => {
        expect(findModel(demoFile("small-base"))).toBe(demoFile("small-base"));
        expect(findModel("no-such.gguf")).toBeUndefined();
    });
});

describe("a download that is aborted in the middle", () => {
    const reference = "hf:someone/long/long.gguf";
    const place = (): string => path.join(folder, "hf/someone/long/main/long.gguf");

    it("goes on where it ended, and ends byte by byte the same", async () => {
        hub.files.set("someone/long/long.gguf", { content: long });
        const controller = new AbortController();
        const onProgress = (_: unknown, bytes: number): void => {
            if (bytes > long.length / 2) controller.abort();
        };
        const aborted = await failure(pull(reference, { onProgress, signal: controller.signal }));
        expect(aborted.code).toBe("ABORTED");
        expect(existsSync(place())).toBe(false);
        expect(findModel(reference)).toBeUndefined();

        const plan = await planDownload([reference]);
        expect(plan.missingBytes).toBeLessThan(long.length);
        const seen: number[] = [];
        await downloadModels(plan, { onProgress: (_, bytes) => seen.push(bytes) });
        expect(readFileSync(place()).equals(long)).toBe(true);
        expect(seen.at(-1)).toBe(long.length);
        // Whole ranges of five MiB are kept.
        expect(Math.min(...seen)).toBeGreaterThan(5_000_000);
        expect(readdirSync(path.join(folder, ".incomplete"))).toEqual([]);
    });

    it("and whose rest is then of another file, is thrown away", async () => {
        hub.files.set("someone/long/long.gguf", { content: long });
        const controller = new AbortController();
        const onProgress = (_: unknown, bytes: number): void => {
            if (bytes > long.length / 2) controller.abort();
        };
        await failure(pull(reference, { onProgress, signal: controller.signal }));
        const other = Buffer.from(long);
        for (let at = 1_000_000; at < other.length; at += 5_000_000) other.write("other weights", at);
        hub.files.set("someone/long/long.gguf", { content: other });
        expect((await failure(pull(reference))).code).toBe("CHECKSUM_MISMATCH");
        expect(findModel(reference)).toBeUndefined();
        await pull(reference);
        expect(readFileSync(place()).equals(other)).toBe(true);
    });

    it("before it begins does nothing", async () => {
        hub.files.set("someone/long/long.gguf", { content: long });
        const signal = AbortSignal.abort();
        expect((await failure(planDownload([reference], { signal }))).code).toBe("ABORTED");
        expect((await failure(pull(reference, { signal }))).code).toBe("ABORTED");
        expect(findModel(reference)).toBeUndefined();
    });
});

describe("the check of what has come", () => {
    const reference = "hf:someone/long/long.gguf";

    it("is told about, and can be aborted; the next download begins with it", async () => {
        hub.files.set("someone/long/long.gguf", { content: long });
        const controller = new AbortController();
        const onCheck = (): void => controller.abort();
        const { code } = await failure(pull(reference, { onCheck, signal: controller.signal }));
        expect(code).toBe("ABORTED");
        expect(findModel(reference)).toBeUndefined();

        hub.requests.length = 0;
        const fractions: number[] = [];
        await pull(reference, { onCheck: (_, fraction) => fractions.push(fraction) });
        expect(readFileSync(findModel(reference) ?? "").equals(long)).toBe(true);
        expect(hub.requests.filter(({ range }) => range !== undefined && range !== "bytes=0-0")).toEqual([]);
        expect(fractions.length).toBeGreaterThan(2);
        expect(fractions).toEqual(fractions.toSorted((a, b) => a - b));
        expect(fractions.at(-1)).toBe(1);
    });
});

describe("a server", () => {
    it("from which nothing more comes is given up, and what is there stays", async () => {
        hub.files.set("someone/long/long.gguf", { content: long, stallAfter: 1000 });
        const file = path.join(temporary.folder, "long.gguf");
        const transfer = {
            address: `${hub.endpoint}/someone/long/resolve/main/long.gguf`,
            reference: "hf:someone/long/long.gguf",
            file,
            onProgress: () => {},
            patience: 1,
        };
        const { code, message } = await failure(transferFile(transfer));
        expect({ code, message }).toEqual({
            code: "DOWNLOAD_FAILED",
            message: expect.stringContaining("Nothing of hf:someone/long/long.gguf has come for 1 seconds"),
        });
        expect(existsSync(file)).toBe(false);
    });

    it("that sends names and places of its own decides nothing", async () => {
        // Its storage says the name is ../../outside.gguf.
        hub.files.set("someone/x/../../evil.gguf", { content: small });
        hub.files.set("someone/x/m.gguf", { content: small });
        hub.tags.set("someone/x:Q8_0", "m.gguf");
        await pull("hf:someone/x:Q8_0");
        const files = readdirSync(temporary.folder, { recursive: true, encoding: "utf8" });
        expect(files.filter((file) => file.endsWith(".gguf"))).toEqual(["models/hf/someone/x/Q8_0.gguf"]);
        hub.tags.set("someone/x:Q8_0", "../../../m.txt");
        expect((await failure(pull("hf:someone/x:q8_0#"))).code).toBe("OPTION_INVALID");
        expect(await failure(pull("hf:someone/y:Q4"))).toMatchObject({ code: "MODEL_NOT_FOUND" });
    });

    it.each(["hf:../..:x", "hf:a/b:..", "hf:a/b/../x.gguf", "hf:a/b/x.gguf#..", "hf:a/b/x.gguf#a/../b"])(
        "is not asked to reach outside by %s",
        async (reference) => {
            expect((await failure(pull(reference))).code).toBe("OPTION_INVALID");
            expect(hub.requests).toEqual([]);
            expect(readdirSync(temporary.folder)).toEqual([]);
        },
    );
});

describe("a split model", () => {
    /** The weights of the small base in two files, as llama.cpp's llama-gguf-split writes them. */
    function split(): readonly [Buffer, Buffer] {
        const whole = readGguf(demoFile("small-base"));
        return splitGguf(whole, [Math.floor(whole.tensors.length / 2)]).map(serializeGguf) as [Buffer, Buffer];
    }

    it.each([
        "hf:someone/split:F16",
        "hf:someone/split/F16/m-00001-of-00002.gguf",
        "hf:someone/split/F16/m-00002-of-00002.gguf",
    ])("is one to all who use it: %s", async (reference) => {
        const parts = split();
        parts.forEach((content, index) =>
            hub.files.set(`someone/split/F16/m-0000${index + 1}-of-00002.gguf`, { content }),
        );
        hub.tags.set("someone/split:F16", "F16/m-00001-of-00002.gguf");
        const plan = await planDownload([reference]);
        expect(plan).toMatchObject({ missingBytes: parts[0].length + parts[1].length });
        await downloadModels(plan);
        expect(findModel(reference)).toMatch(/-00001-of-00002\.gguf$/);
        expect((await planDownload([reference])).models).toMatchObject([{ present: true, bytes: plan.missingBytes }]);
        const prompt = "What is the capital of Peru?";
        const answer = (model: string): Promise<string> =>
            withEnsemble(soloRecipe(model), {}, async (ensemble) => {
                const { text } = await collect(
                    complete(ensemble, { prompt, maxTokens: 8, sampling: { temperature: 0 } }),
                );
                return text;
            });
        expect(await answer(reference)).toBe(await answer(demoFile("small-base")));
    });

    it("is not taken for a file without parts", async () => {
        const parts = split();
        parts.forEach((content, index) => hub.files.set(`someone/split/m-0000${index + 1}-of-00002.gguf`, { content }));
        await pull("hf:someone/split/m-00002-of-00002.gguf");
        expect(findModel("hf:someone/split/m-00001-of-00002.gguf")).toBeDefined();
        expect(findModel("hf:someone/split/m.gguf")).toBeUndefined();
        hub.files.set("someone/split/m.gguf", { content: small });
        await pull("hf:someone/split/m.gguf");
        expect(readFileSync(findModel("hf:someone/split/m.gguf") ?? "").equals(small)).toBe(true);
    });

    it("is not there while a part is missing", async () => {
        const [first] = split();
        hub.files.set("someone/split/m-00001-of-00002.gguf", { content: first });
        const reference = "hf:someone/split/m-00001-of-00002.gguf";
        expect((await failure(pull(reference))).code).toBe("MODEL_NOT_FOUND");
        // Known only now, when the first part has arrived.
        hub.files.set("someone/split/m-00002-of-00002.gguf", { content: Buffer.from("no GGUF") });
        expect((await failure(pull(reference))).code).toBe("MODEL_INVALID");
        expect(findModel(reference)).toBeUndefined();
    });
});

describe("two downloads of one model", () => {
    it("do not write over each other; a lock of a process that has ended counts nothing", async () => {
        hub.files.set("someone/x/m.gguf", { content: long });
        const plan = await planDownload(["hf:someone/x/m.gguf"]);
        const [first, second] = await Promise.allSettled([downloadModels(plan), downloadModels(plan)]);
        const rejected = [first, second].filter(({ status }) => status === "rejected") as PromiseRejectedResult[];
        expect(rejected.map(({ reason }) => reason as unknown)).toMatchObject([
            { code: "DOWNLOAD_FAILED", message: expect.stringContaining(`by process ${process.pid}`) },
        ]);
        expect(readFileSync(findModel("hf:someone/x/m.gguf") ?? "").equals(long)).toBe(true);

        hub.files.set("someone/x/n.gguf", { content: small });
        const other = await planDownload(["hf:someone/x/n.gguf"]);
        const controller = new AbortController();
        controller.abort();
        await failure(downloadModels(other, { signal: controller.signal }));
        const [workshop = ""] = readdirSync(path.join(folder, ".incomplete"));
        writeFileSync(path.join(folder, ".incomplete", workshop, "process-id"), "999999999");
        await downloadModels(other);
        expect(findModel("hf:someone/x/n.gguf")).toBeDefined();
    });
});

/** `unshare` of util-linux gives a process mounts of its own, where the system allows that. */
const canMount =
    process.platform === "linux" && spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

(canMount ? it : it.skip)(
    "a disk that becomes full in the middle is an error, and not the end of the process",
    async () => {
        hub.files.set("someone/long/long.gguf", { content: long });
        const program = path.join(repository, "test", "engine", "programs", "full-disk.mjs");
        const address = `${hub.endpoint}/someone/long/resolve/main/long.gguf`;
        const mount = `mount -t tmpfs -o size=10m none "${temporary.folder}"`;
        const command = `${mount} && exec "${process.execPath}" "${program}" "${address}" "${temporary.folder}"`;
        const { stdout, stderr } = await promisify(execFile)("unshare", ["-rm", "sh", "-c", command]);
        expect({ stdout, stderr }).toEqual({
            stdout: "DISK_FULL The disk became full while hf:someone/x/m.gguf was downloaded.\n",
            stderr: "",
        });
    },
);

describe("a recipe", () => {
    it("gets the paths of its models, or the command that downloads them", async () => {
        hub.files.set("someone/x/m.gguf", { content: small });
        const recipe = demoRecipe(
            "members: { a: { model: small-base-f16.gguf }, b: { model: hf:someone/x/m.gguf } }\ncombination: a + b",
        );
        expect(await failure(locateModels(recipe))).toEqual({
            code: "MODEL_NOT_FOUND",
            message:
                `The model of member b (hf:someone/x/m.gguf) has not been downloaded to ${folder}. ` +
                "Download with `eft-llama pull hf:someone/x/m.gguf`.",
        });
        await pull("hf:someone/x/m.gguf");
        expect((await locateModels(recipe)).members.map(({ model }) => model)).toEqual([
            demoFile("small-base"),
            path.join(folder, "hf/someone/x/main/m.gguf"),
        ]);
    });

    it("whose folder cannot be written says so", async () => {
        hub.files.set("someone/x/m.gguf", { content: small });
        mkdirSync(folder);
        writeFileSync(path.join(folder, ".incomplete"), "a file where a folder should be");
        const { code, message } = await failure(pull("hf:someone/x/m.gguf"));
        expect({ code, message }).toEqual({
            code: "DOWNLOAD_FAILED",
            message: expect.stringMatching(/cannot be downloaded to \S+: .*Choose another folder/),
        });
    });
});
