/** Downloads of models: places, resuming, split models, and servers that misbehave. */

import { execFile, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
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
import { transferFile, type Transfer } from "../../src/models/download-transfer.js";
import { locateModels, modelPath } from "../../src/models/model-files.js";
import { demoFile, demoRecipe, repository, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, serializeGguf, splitGguf } from "../helpers/gguf.js";
import { startHub, type Hub, type StorageManners } from "../helpers/hub.js";
import { startProxy, startSocksProxy, type Proxy } from "../helpers/proxy.js";
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
        // Not a byte is asked for twice.
        expect(Math.min(...seen)).toBeGreaterThan(long.length / 2);
        expect(seen).toEqual(seen.toSorted((a, b) => a - b));
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
        expect(hub.requests.filter(({ method }) => method !== "HEAD")).toEqual([]);
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
        // Beside a load, nothing at all may have come within a second.
        const there = existsSync(file) ? readFileSync(file) : Buffer.alloc(0);
        expect(there.length).toBeLessThanOrEqual(1000);
        expect(there.equals(long.subarray(0, there.length))).toBe(true);
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

describe("a server that is busy", () => {
    const reference = "hf:someone/x/m.gguf";
    const asked = (): number => hub.requests.filter(({ server }) => server === "hub").length;
    const refuse = (status: number, headers: Readonly<Record<string, string>> = {}): void => {
        hub.files.set("someone/x/m.gguf", { content: small, refuse: { status, headers } });
    };

    it.each([
        [503, "503 (Service Unavailable)"],
        [429, "429 (Too Many Requests)"],
    ])("is asked again, and its answer is quoted: %d", async (status, state) => {
        refuse(status, { "retry-after": "0" });
        const { code, message } = await failure(planDownload([reference]));
        const host = new URL(hub.endpoint).host;
        expect({ code, message }).toEqual({
            code: "DOWNLOAD_FAILED",
            message: `${reference} cannot be downloaded: ${host} answers ${state}. Try again later.`,
        });
        expect(asked()).toBe(3);
    });

    it("is waited for as long as it asks to be", async () => {
        refuse(503, { "retry-after": "0.3" });
        const start = performance.now();
        await failure(planDownload([reference]));
        expect(performance.now() - start).toBeGreaterThan(600);
        expect(asked()).toBe(3);
    });

    it("but not for hours", async () => {
        refuse(429, { "retry-after": "7200" });
        const { code, message } = await failure(planDownload([reference]));
        expect(code).toBe("DOWNLOAD_FAILED");
        expect(message).toMatch(/answers 429 \(.+\) and asks to wait for 7200 s\. Try again after that\.$/);
        expect(asked()).toBe(1);
    });

    it("is waited for only until the download is aborted", async () => {
        refuse(503, { "retry-after": "50" });
        const controller = new AbortController();
        const waiting = failure(planDownload([reference], { signal: controller.signal }));
        while (asked() === 0) await new Promise(setImmediate);
        controller.abort();
        expect((await waiting).code).toBe("ABORTED");
    });
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

describe("a transfer", () => {
    const A = Buffer.from(long.subarray(0, 9_000_000));
    const B = Buffer.from(A.map((byte) => byte ^ 1));
    const name = "someone/x/m.gguf";
    const file = (): string => path.join(temporary.folder, "m.gguf");
    const transfer = (more: Partial<Transfer> = {}): Promise<void> =>
        transferFile({
            address: `${hub.storage}/${encodeURIComponent(name)}`,
            reference: "https://host/m.gguf",
            file: file(),
            onProgress: () => {},
            ...more,
        });
    const half = async (): Promise<void> => {
        const controller = new AbortController();
        const onProgress = (bytes: number): void => void (bytes > 4_000_000 && controller.abort());
        expect((await failure(transfer({ onProgress, signal: controller.signal }))).code).toBe("ABORTED");
    };

    const ETAGS: readonly [string, string] = ['"a"', '"b"'];
    const DATES = ["Sun, 09 Sep 2001 01:46:40 GMT", "Mon, 10 Sep 2001 01:46:40 GMT"] as const;
    const manners: [string, boolean, (isB: boolean) => StorageManners][] = [
        ["compares etags", true, (isB) => ({ etag: ETAGS[Number(isB)] })],
        ["compares dates", true, (isB) => ({ modified: DATES[Number(isB)] })],
        ["has etags and compares nothing", true, (isB) => ({ etag: ETAGS[Number(isB)], ifRange: false })],
        ["has dates and compares nothing", true, (isB) => ({ modified: DATES[Number(isB)], ifRange: false })],
        ["has weak etags alone", false, (isB) => ({ etag: `W/${ETAGS[Number(isB)]}` })],
        ["says nothing about files", false, () => ({})],
        ["sends files only whole", false, (isB) => ({ etag: ETAGS[Number(isB)], ranges: false })],
        ["says no sizes", true, (isB) => ({ etag: ETAGS[Number(isB)], length: false })],
        ["sends files only whole and says no sizes", false, () => ({ ranges: false, length: false })],
        ["answers no questions either", false, () => ({ ranges: false, length: false, head: false })],
    ];
    describe.each(manners)("from a server that %s", (_, goesOn, storage) => {
        it("goes on where it ended, if it can be sure of the file, and else begins again", async () => {
            hub.files.set(name, { content: A, storage: storage(false) });
            await half();
            const before = statSync(file()).size;
            expect(before).toBeGreaterThan(4_000_000);
            const seen: number[] = [];
            await transfer({ onProgress: (bytes) => seen.push(bytes) });
            expect(readFileSync(file()).equals(A)).toBe(true);
            expect((seen[0] as number) > before).toBe(goesOn);
            // And again, when everything is there.
            await transfer();
            expect(readFileSync(file()).equals(A)).toBe(true);
        });

        it("never joins two files of the same size", async () => {
            hub.files.set(name, { content: A, storage: storage(false) });
            await half();
            hub.files.set(name, { content: B, storage: storage(true) });
            await transfer();
            expect(readFileSync(file()).equals(B)).toBe(true);
            // Nor takes one that is complete for the other.
            hub.files.set(name, { content: A, storage: storage(false) });
            await transfer();
            expect(readFileSync(file()).equals(A)).toBe(true);
        });

        it("comes to its end when the connection is cut, without a byte twice where that is possible", async () => {
            hub.files.set(name, {
                content: A,
                storage: storage(false),
                breaks: { after: 1_500_000, times: goesOn ? 99 : 2 },
            });
            const seen: number[] = [];
            await transfer({ onProgress: (bytes) => seen.push(bytes) });
            expect(readFileSync(file()).equals(A)).toBe(true);
            const steps = seen.map((bytes, index) => bytes - (seen[index - 1] ?? 0));
            if (goesOn) expect(Math.min(...steps)).toBeGreaterThan(0);
        });
    });

    it.each([
        ["at the same place", { etag: '"a"', ranges: false }, 1_500_000],
        ["before anything has come", { etag: '"a"' }, 0],
    ])("that is cut %s again and again is given up", async (_, storage, after) => {
        hub.files.set(name, { content: A, storage, breaks: { after, times: 99 } });
        const { code, message } = await failure(transfer({ patience: 1 }));
        expect({ code, message }).toEqual({
            code: "DOWNLOAD_FAILED",
            message: expect.stringMatching(
                /^(?:https:\/\/host\/m\.gguf could not be downloaded to its end: |Nothing of https:\/\/host\/m\.gguf has come).* Run the same again/,
            ),
        });
    });

    it("of a file that the server shortens in between begins again", async () => {
        hub.files.set(name, { content: A, storage: { etag: '"a"', ifRange: false } });
        await half();
        const content = A.subarray(0, 1000);
        hub.files.set(name, { content, storage: { etag: '"b"', ifRange: false } });
        await transfer();
        expect(readFileSync(file()).equals(content)).toBe(true);
    });

    it.each([
        ["damaged", () => writeFileSync(`${file()}.json`, "{")],
        ["missing", () => rmSync(`${file()}.json`)],
    ])("begins again where what describes the beginning is %s", async (_, damage) => {
        hub.files.set(name, { content: B, storage: { etag: '"a"' } });
        await half();
        damage();
        hub.files.set(name, { content: A, storage: { etag: '"a"' } });
        await transfer();
        expect(readFileSync(file()).equals(A)).toBe(true);
    });
});

describe("two downloads of one model", () => {
    const reference = "hf:someone/x/m.gguf";
    const bodies = (): number =>
        hub.requests.filter(({ server, method }) => server === "storage" && method === "GET").length;
    const lockOf = (): string =>
        path.join(folder, ".incomplete", `${createHash("sha256").update(reference).digest("hex").slice(0, 16)}.lock`);
    beforeEach(() => void hub.files.set("someone/x/m.gguf", { content: long }));

    it("do not write over each other: the second one waits a while, and finds the model", async () => {
        const plan = await planDownload([reference]);
        await Promise.all([downloadModels(plan), downloadModels(plan)]);
        expect(readFileSync(findModel(reference) ?? "").equals(long)).toBe(true);
        expect(bodies()).toBe(1);
        expect(readdirSync(path.join(folder, ".incomplete"))).toEqual([]);
    });

    it("do not go on for ever: a lock that nobody renews counts nothing, whatever else is there", async () => {
        mkdirSync(lockOf(), { recursive: true });
        utimesSync(lockOf(), 1e9, 1e9);
        // What earlier versions left there, with a number of a process that is alive.
        mkdirSync(lockOf().replace(/\.lock$/, ""));
        writeFileSync(path.join(lockOf().replace(/\.lock$/, ""), "process-id"), `${process.pid}`);
        await pull(reference);
        expect(findModel(reference)).toBeDefined();
        expect(readdirSync(path.join(folder, ".incomplete"))).toEqual([]);
    });

    it("can be aborted while they wait", async () => {
        mkdirSync(lockOf(), { recursive: true });
        const controller = new AbortController();
        const waiting = failure(pull(reference, { signal: controller.signal }));
        setTimeout(() => controller.abort(), 100);
        expect((await waiting).code).toBe("ABORTED");
        expect(bodies()).toBe(0);
    });
});

describe("a proxy", () => {
    const content = small;
    const reference = "hf:someone/x/m.gguf";
    let proxy: Proxy;
    beforeEach(async () => {
        proxy = await startProxy();
        hub.files.set("someone/x/m.gguf", { content });
        // A host that no one but the proxy knows.
        process.env.HF_ENDPOINT = hub.endpoint.replace("localhost", "hub.invalid");
    });
    afterEach(() => proxy.close());

    it.each(["HTTP_PROXY", "http_proxy", "ALL_PROXY"])("in %s is used, but not for this machine", async (name) => {
        process.env[name] = proxy.address.replace("http://", name === "ALL_PROXY" ? "" : "http://me:secret@");
        await pull(reference);
        expect(readFileSync(findModel(reference) ?? "").equals(content)).toBe(true);
        expect(new Set(proxy.requests)).toEqual(
            new Set(
                ["HEAD", "GET"].map((method) => `${method} ${process.env.HF_ENDPOINT}/someone/x/resolve/main/m.gguf`),
            ),
        );
        const secret = `Basic ${Buffer.from("me:secret").toString("base64")}`;
        expect(proxy.authorizations[0]).toBe(name === "ALL_PROXY" ? undefined : secret);
        expect(hub.requests.some(({ server }) => server === "storage")).toBe(true);
    });

    it.each([
        ["HTTP_PROXY", "example.org, .invalid"],
        ["HTTP_PROXY", "hub.invalid:PORT"],
        ["HTTP_PROXY", "*"],
        ["ALL_PROXY", "INVALID"],
        ["HTTPS_PROXY", ""],
    ])("in %s with NO_PROXY=%s is neither used nor named", async (name, none) => {
        const { port } = new URL(hub.endpoint);
        process.env[name] = proxy.address;
        process.env.NO_PROXY = none.replace("PORT", port);
        const { message } = await failure(planDownload([reference]));
        expect(message).toMatch(/hub\.invalid:\d+ does not answer \(getaddrinfo [^,]*\)\. Try again later\.$/);
        expect(proxy.requests).toEqual([]);
    });

    it("is used although NO_PROXY has another port, or another host that ends alike", async () => {
        process.env.HTTP_PROXY = proxy.address;
        process.env.NO_PROXY = "hub.invalid:1,b.invalid";
        await pull(reference);
        expect(proxy.requests.length).toBeGreaterThan(0);
    });

    it("of an absurd address does not matter to requests that do not go through it", async () => {
        process.env.HF_ENDPOINT = hub.endpoint;
        process.env.ALL_PROXY = "socks4://localhost";
        await pull(reference);
        expect(findModel(reference)).toBeDefined();
    });

    it("may be one of SOCKS 5, which looks up names", async () => {
        const socks = await startSocksProxy();
        process.env.ALL_PROXY = socks.address;
        await pull(reference).finally(() => socks.close());
        expect(readFileSync(findModel(reference) ?? "").equals(content)).toBe(true);
        expect(new Set(socks.requests)).toEqual(new Set([`hub.invalid:${new URL(hub.endpoint).port}`]));
    });

    it("that does not answer is named, without what is secret", async () => {
        process.env.HTTP_PROXY = "http://me:secret@127.0.0.1:9";
        const { code, message } = await failure(planDownload([reference]));
        expect(code).toBe("DOWNLOAD_FAILED");
        expect(message).toMatch(/does not answer \(.*, by way of the proxy in HTTP_PROXY\)/);
        expect(message).not.toContain("secret");
    });

    it("that refuses is quoted", async () => {
        process.env.HTTPS_PROXY = proxy.address;
        process.env.HF_ENDPOINT = "https://hub.invalid:65535";
        // The proxy reaches nobody there.
        const { message } = await failure(planDownload([reference]));
        expect(message).toMatch(/does not answer \(.+, by way of the proxy in HTTPS_PROXY\)/);
        expect(message).not.toMatch(/cancelled|fetch failed/);
        expect(proxy.requests[0]).toBe("CONNECT hub.invalid:65535");
    });

    it.each(["ftp://me:secret@host", "http://me:secret@:x"])("must have an address: %s", async (address) => {
        process.env.HTTP_PROXY = address;
        expect(await failure(planDownload([reference]))).toEqual({
            code: "OPTION_INVALID",
            message:
                "HTTP_PROXY must be the address of a proxy, such as http://host:3128 or socks5://host:1080; " +
                "correct it or remove it.",
        });
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

(canMount ? it : it.skip)("what cannot be cleared away after a download does not make it a failure", async () => {
    const reference = "hf:someone/x/m.gguf";
    hub.files.set("someone/x/m.gguf", { content: small });
    const unfinished = createHash("sha256").update(reference).digest("hex").slice(0, 16);
    // Nobody can remove a folder that a disk is mounted on.
    const mount = `mkdir -p "$1" && mount -t tmpfs none "$1" && exec "$2" "$3" pull "$4"`;
    const kept = path.join(folder, ".incomplete", unfinished, "kept");
    const main = path.join(repository, "dist", "cli", "main.js");
    const command = ["-rm", "sh", "-c", mount, "sh", kept, process.execPath, main, reference];
    const { stdout, stderr } = await promisify(execFile)("unshare", command, { env: process.env });
    expect(stderr).toBe("");
    expect(stdout).toContain(findModel(reference));
    expect(existsSync(kept)).toBe(true);
});

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
