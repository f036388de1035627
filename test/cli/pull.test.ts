/** `eft-llama pull`, and how other commands find what it has downloaded, with a hub on this machine. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { demoFile } from "../helpers/demo.js";
import { startHub, type Hub, type HubFile } from "../helpers/hub.js";
import { startProxy, startSocksProxy } from "../helpers/proxy.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { program, run, type Run } from "./run.js";
import { hasTmux, openScreen } from "./screen.js";

const large = readFileSync(demoFile("large-base"));
const chat = readFileSync(demoFile("small-chat"));
const small = readFileSync(demoFile("small-base"));

let hub: Hub;
beforeAll(async () => {
    hub = await startHub();
});
afterAll(() => hub.close());

let temporary: ReturnType<typeof temporaryFolder>;
let models: string;
beforeEach(() => {
    temporary = temporaryFolder();
    models = path.join(temporary.folder, "models");
    hub.files.clear();
    hub.tags.clear();
    hub.requests.length = 0;
    hub.files.set("someone/large-GGUF/large.f16.gguf", { content: large });
    hub.files.set("someone/small-GGUF/chat/chat.gguf", { content: chat });
    hub.files.set("someone/small-GGUF/base.gguf", { content: small });
    hub.tags.set("someone/large-GGUF:F16", "large.f16.gguf");
    hub.tags.set("someone/small-GGUF:latest", "base.gguf");
});
afterEach(() => temporary.remove());

function eft(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> {
    return run(args, {
        env: { HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: models, HF_TOKEN: "", ...env },
        cwd: temporary.folder,
    });
}

function writeRecipe(): string {
    writeFileSync(
        path.join(temporary.folder, "recipe.yaml"),
        `eft: 1
name: remote
members:
    large: { model: "hf:someone/large-GGUF:f16" }
    chat: { model: "hf:someone/small-GGUF/chat/chat.gguf" }
    small: { model: "hf:someone/small-GGUF" }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
prompt: { template: from chat }
sampling: { temperature: 0 }
`,
    );
    return "recipe.yaml";
}

const QUESTION = "What is the capital of Peru?";

/** Files below the folder of models, without those of downloads that have not ended. */
function listModels(): string[] {
    if (!existsSync(models)) return [];
    const files = readdirSync(models, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const names = files.map((entry) => path.relative(models, path.join(entry.parentPath, entry.name)));
    return names.filter((name) => !name.startsWith(".incomplete")).sort();
}

describe("what people type", () => {
    it.each([
        ["TheBloke/Llama-2-7B-GGUF", "hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M"],
        ["TheBloke/Llama-2-7B-GGUF:Q8_0", "hf:TheBloke/Llama-2-7B-GGUF:Q8_0"],
        ["https://huggingface.co/TheBloke/Llama-2-7B-GGUF", '"hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M"'],
        ["https://huggingface.co/TheBloke/Llama-2-7B-GGUF/tree/main", '"hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M"'],
        ["https://huggingface.co/a/b-GGUF/blob/main/x/m.gguf", '"hf:a/b-GGUF/x/m.gguf"'],
    ])("%s is answered with what to write", async (source, reference) => {
        const { stdout, stderr, code } = await eft(["pull", source]);
        expect({ stdout, code }).toEqual({ stdout: "", code: 1 });
        expect(stderr).toContain(reference);
        expect(hub.requests).toEqual([]);
    });
});

describe("a recipe", () => {
    it("is downloaded once, and found by the other commands", async () => {
        const recipe = writeRecipe();
        const before = await eft(["complete", "-r", recipe, QUESTION]);
        expect(before.code).toBe(1);
        expect(before.stderr).toMatch(/^eft-llama: The models of large, chat, small have not been downloaded/);
        expect(before.stderr).toContain("`eft-llama pull recipe.yaml`");

        const first = await eft(["pull", recipe]);
        expect(first).toMatchObject({ stderr: "", code: 0 });
        expect(first.stdout).toContain("To be downloaded: 8.63 MiB");
        expect(listModels()).toEqual([
            "hf/someone/large-GGUF/F16.gguf",
            "hf/someone/small-GGUF/latest.gguf",
            "hf/someone/small-GGUF/main/chat/chat.gguf",
        ]);
        expect(readFileSync(path.join(models, "hf/someone/large-GGUF/F16.gguf")).equals(large)).toBe(true);
        expect(readFileSync(path.join(models, "hf/someone/small-GGUF/main/chat/chat.gguf")).equals(chat)).toBe(true);
        expect(readFileSync(path.join(models, "hf/someone/small-GGUF/latest.gguf")).equals(small)).toBe(true);

        hub.requests.length = 0;
        const again = await eft(["pull", recipe]);
        expect(again).toMatchObject({ stderr: "", code: 0 });
        expect(again.stdout).toContain("Everything is here.");
        expect(hub.requests).toEqual([]);

        const { stdout: inspected } = await eft(["inspect", "hf:someone/small-GGUF", "--backend", "cpu"]);
        expect(inspected).toContain(path.join(models, "hf/someone/small-GGUF/latest.gguf"));
        expect(await eft(["inspect", "hf:someone/other"])).toMatchObject({
            stderr: expect.stringContaining("Download with `eft-llama pull hf:someone/other`."),
            code: 1,
        });
        expect((await eft(["complete", "-r", recipe, QUESTION])).stdout).toContain("Lima");
        expect(await eft(["recipe", "check", recipe])).toMatchObject({ code: 0 });
        const { missing, memory } = JSON.parse((await eft(["inspect", recipe, "--json"])).stdout) as {
            missing: unknown;
            memory: unknown;
        };
        expect(missing).toEqual([]);
        expect(memory).toBeDefined();
    });

    it("of files has nothing to download", async () => {
        expect(await eft(["pull", "demo"])).toEqual({
            stdout: "Nothing to download: demo names files only.\n",
            stderr: "",
            code: 0,
        });
    });
});

describe("a reference", () => {
    it("goes to another folder with --dir", async () => {
        const folder = path.join(temporary.folder, "elsewhere");
        const { stdout, code } = await eft(["pull", "hf:someone/small-GGUF/base.gguf", "--dir", "elsewhere"]);
        expect(code).toBe(0);
        expect(stdout).toContain(`Set EFT_LLAMA_MODELS=${folder} for the other commands`);
        expect(existsSync(path.join(folder, "hf/someone/small-GGUF/main/base.gguf"))).toBe(true);
        expect(listModels()).toEqual([]);
    });

    it("that needs a token is downloaded with it, and the token stays at the hub", async () => {
        hub.files.set("someone/gated/model.gguf", { content: small, token: "secret" });
        const { stderr, code } = await eft(["pull", "hf:someone/gated/model.gguf"], { HF_TOKEN: "secret" });
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(listModels()).toEqual(["hf/someone/gated/main/model.gguf"]);
        const told = (server: string) => hub.requests.filter((request) => request.server === server);
        expect(told("hub").map(({ authorization }) => authorization)).toContain("Bearer secret");
        expect(told("storage").length).toBeGreaterThan(0);
        expect(told("storage").filter(({ authorization }) => authorization !== undefined)).toEqual([]);
    });

    it("whose connection breaks is downloaded all the same", async () => {
        hub.files.set("someone/small-GGUF/base.gguf", { content: large, breaks: { after: 300_000, times: 2 } });
        const { stderr, code } = await eft(["pull", "hf:someone/small-GGUF/base.gguf"]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(readFileSync(path.join(models, "hf/someone/small-GGUF/main/base.gguf")).equals(large)).toBe(true);
    });
});

describe("Ctrl-C", () => {
    it("keeps what is there for the next time", async () => {
        const long = Buffer.concat([large, Buffer.alloc(25_000_000, "padding ")]);
        hub.files.set("someone/long/long.gguf", { content: long, stallAfter: 5_500_000 });
        const env = { ...process.env, HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: models, HF_TOKEN: "" };
        const child = spawn(process.execPath, [program, "pull", "hf:someone/long/long.gguf"], { env });
        const [ended, errors] = [once(child, "close"), text(child.stderr)];
        while (!hub.requests.some(({ server, method }) => server === "storage" && method === "GET")) await sleep(20);
        child.kill("SIGINT");
        const [[code], stderr] = [(await ended) as [number | null], await errors];
        expect(code).toBe(130);
        expect(stderr).toMatch(/^eft-llama: The download was aborted; the next one goes on from here\.\n$/);
        expect(listModels()).toEqual([]);
        hub.files.set("someone/long/long.gguf", { content: long });
        expect((await eft(["pull", "hf:someone/long/long.gguf"])).code).toBe(0);
        expect(readFileSync(path.join(models, "hf/someone/long/main/long.gguf")).equals(long)).toBe(true);
    });
});

it("a download that was killed does not keep the next one from going on", async () => {
    const name = "hf:someone/long/long.gguf";
    const long = Buffer.concat([large, Buffer.alloc(5_000_000, "padding ")]);
    hub.files.set("someone/long/long.gguf", { content: long, stallAfter: 5_500_000 });
    const env = { ...process.env, HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: models, HF_TOKEN: "" };
    const child = spawn(process.execPath, [program, "pull", name], { env });
    const unfinished = path.join(models, ".incomplete", createHash("sha256").update(name).digest("hex").slice(0, 16));
    const received = path.join(unfinished, "model.gguf");
    while (!existsSync(received) || statSync(received).size < 5_500_000) await sleep(20);
    child.kill("SIGKILL");
    await once(child, "close");
    expect(existsSync(`${unfinished}.lock`)).toBe(true);
    hub.files.set("someone/long/long.gguf", { content: long });
    hub.requests.length = 0;
    expect(await eft(["pull", name])).toMatchObject({ stderr: "", code: 0 });
    expect(hub.requests.map(({ range }) => range)).toContain("bytes=5500000-");
    expect(readFileSync(path.join(models, "hf/someone/long/main/long.gguf")).equals(long)).toBe(true);
});

it.each([
    ["TheBloke/Llama-2-7B-GGUF", "hf:TheBloke/Llama-2-7B-GGUF:Q4_K_M, or another of its quantizations."],
    ["TheBloke/Llama-2-7B-GGUF:Q5_0", "hf:TheBloke/Llama-2-7B-GGUF:Q5_0."],
])("a repository is told from a recipe: %s", async (source, reference) => {
    expect(await eft(["pull", source])).toEqual({
        stdout: "",
        stderr: expect.stringContaining(
            `models are written hf:user/repository or https://host/path/model.gguf; this one ${reference}\n`,
        ),
        code: 1,
    });
    expect(hub.requests).toEqual([]);
});

describe("HF_TOKEN", () => {
    const secret = "hf_SECRETsecret";
    beforeEach(() => {
        hub.files.set("someone/gated/model.gguf", { content: small, token: secret });
    });

    it.each([`${secret}\n`, `  ${secret}\r\n`])("may have blanks around it: %j", async (token) => {
        const { stderr, code } = await eft(["pull", "hf:someone/gated/model.gguf"], { HF_TOKEN: token });
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
    });

    it.each([`${secret}\nsecond-line`, `"${secret}"`, `\u201c${secret}\u201d`, `Bearer ${secret}`, `${secret}=x`])(
        "is not sent, and never shown, where it cannot be one: %j",
        async (token) => {
            const { stdout, stderr, code } = await eft(["pull", "--verbose", "hf:someone/gated/model.gguf"], {
                HF_TOKEN: token,
            });
            expect(code).toBe(1);
            expect(stderr).toContain("HF_TOKEN has characters in it that no token has");
            expect(stdout + stderr).not.toMatch(/SECRET|second-line/);
            expect(hub.requests).toEqual([]);
        },
    );

    it.each([
        ["HF_ENDPOINT", "http://me:SECRET@localhost:1"],
        ["HF_ENDPOINT", "me:SECRET@localhost"],
        // This machine needs no proxy.
        ["HTTP_PROXY", "http://me:SECRET@host:port", { HF_ENDPOINT: "http://hub.invalid" }],
    ])("is not the only one: %s=%s", async (name, value, more: Readonly<Record<string, string>> = {}) => {
        const { stdout, stderr, code } = await eft(["pull", "--verbose", "hf:someone/gated/model.gguf"], {
            ...more,
            [name]: value,
        });
        expect(code).toBe(1);
        expect(stderr).toContain(`${name} must be `);
        expect(stdout + stderr).not.toContain("SECRET");
    });
});

(hasTmux ? describe : describe.skip)("on a terminal", () => {
    const ask = (answer: string): Promise<string> => {
        const recipe = path.join(temporary.folder, writeRecipe());
        const env = { HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: models, HF_TOKEN: "" };
        const screen = openScreen([process.execPath, program, "complete", "-r", recipe, QUESTION], { env });
        const talk = async (): Promise<string> => {
            await screen.wait(/3 models of remote must be downloaded, 8\.63 MiB\. Do it now\? \[y\/N\]/);
            screen.type(answer);
            return screen.wait(/exit \d+/);
        };
        return talk().finally(() => screen.close());
    };

    it("missing models are offered", async () => {
        const screen = await ask("y\n");
        expect(screen).toContain("Downloaded hf:someone/large-GGUF:f16");
        expect(screen).toContain("Lima");
        expect(screen).toContain("exit 0");
        expect(listModels()).toHaveLength(3);
    });

    it.each([
        ["\n", "exit 1"],
        ["C-c", "exit 130"],
        ["C-d", "exit 1"],
    ])("and not downloaded after %j", async (answer, end) => {
        expect(await ask(answer)).toContain(end);
        expect(listModels()).toEqual([]);
    });
});

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;

(hasOpenssl ? describe : describe.skip)("an https: reference", () => {
    const secure = (name: string): string => path.join(temporary.folder, name);
    let server: Server;
    beforeEach(async () => {
        const request =
            "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,DNS:files.invalid";
        execFileSync("openssl", [...request.split(" "), "-keyout", secure("key"), "-out", secure("cert")], {
            stdio: "pipe",
        });
        server = createServer(
            { key: readFileSync(secure("key")), cert: readFileSync(secure("cert")) },
            (request, response) => {
                const { pathname } = new URL(request.url ?? "", "https://localhost");
                if (pathname === "/signed/model.gguf" && request.method === "HEAD") response.writeHead(403).end();
                else if (pathname === "/unprotected.gguf")
                    response.writeHead(302, { location: "http://localhost/m.gguf" }).end();
                else if (pathname === "/circle.gguf") response.writeHead(302, { location: pathname }).end();
                else if (pathname === "/signed/model.gguf") response.end(small);
                else if (pathname === "/password.gguf")
                    response.writeHead(302, { location: "https://me:SECRET@localhost/m.gguf" }).end();
                // Without a length, and whole whatever is asked for.
                else if (pathname === "/stream.gguf") response.writeHead(200).write(small, () => response.end());
                else if (pathname === "/gzip.gguf")
                    response.writeHead(200, { "content-encoding": "gzip", etag: '"x"' }).end(gzipSync(small));
                else response.writeHead(403).end();
            },
        );
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    });
    afterEach(() => {
        server.close();
        server.closeAllConnections();
    });
    const pull = (place: string): Promise<Run> => {
        const { port } = server.address() as AddressInfo;
        return eft(["pull", `https://localhost:${port}/${place}`], { NODE_EXTRA_CA_CERTS: secure("cert") });
    };

    it("may be a signed address, which answers GET alone", async () => {
        const { stderr, code } = await pull("signed/model.gguf?key=1");
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const { port } = server.address() as AddressInfo;
        const name = `https/localhost%3A${port}/signed/%3Fkey%3D1/model.gguf`;
        expect(listModels()).toEqual([name]);
        expect(readFileSync(path.join(models, name)).equals(small)).toBe(true);
    });

    it.each(["stream.gguf", "gzip.gguf"])("is downloaded from a server that says no size: %s", async (place) => {
        const { stdout, stderr, code } = await pull(place);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        expect(stdout).toContain("To be downloaded: of a size that the server does not say\n");
        const [name = ""] = listModels();
        expect(readFileSync(path.join(models, name)).equals(small)).toBe(true);
    });

    it.each([
        ["HTTP", "https_proxy", startProxy],
        ["SOCKS", "ALL_PROXY", startSocksProxy],
    ])("is downloaded through a proxy of %s", async (_, variable, start) => {
        const proxy = await start();
        const { port } = server.address() as AddressInfo;
        // A host that no one but the proxy knows.
        const address = `https://files.invalid:${port}/stream.gguf`;
        const env = { NODE_EXTRA_CA_CERTS: secure("cert"), [variable]: proxy.address };
        expect(await eft(["pull", address], env)).toMatchObject({ stderr: "", code: 0 });
        expect(proxy.requests.length).toBeGreaterThan(0);
        for (const request of proxy.requests)
            expect(request).toMatch(new RegExp(`^(CONNECT )?files\\.invalid:${port}$`));
        expect(listModels()).toHaveLength(1);
        await proxy.close();
    });

    it.each([
        ["password.gguf", /sends https:\S+ to .* one with a password in it/],
        ["unprotected.gguf", /sends https:\S+ to an unprotected address/],
        ["circle.gguf", /is redirected in circles/],
        ["secret.gguf", /does not give https:\S+ to everyone \(403\)\. Download it by other means/],
    ])("is refused where it leads nowhere: %s", async (place, message) => {
        const { stderr, code } = await pull(place);
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: [^\n]*\n$/);
        expect(stderr).toMatch(message);
        expect(listModels()).toEqual([]);
    });
});

/** `unshare` of util-linux gives a process mounts of its own, where the system allows that. */
const canMount =
    process.platform === "linux" && spawnSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

describe("what cannot be downloaded is said in one sentence, and nothing is left that could be loaded", () => {
    const gated = { status: 403, headers: { "x-error-code": "GatedRepo" } };
    const unknown = { status: 401, headers: { "x-error-code": "RepoNotFound" } };
    const page = Buffer.from("<html>This is no model, and long enough to be one.</html>".repeat(100));
    const file = (more: Partial<HubFile>): HubFile => ({ content: small, ...more });

    it.each<[string, string, HubFile | undefined, RegExp]>([
        [
            "a file that is not there",
            "hf:someone/x/no.gguf",
            undefined,
            /localhost:\d+ does not have hf:someone\/x\/no\.gguf \(404\)/,
        ],
        ["a tag that is not there", "hf:someone/x:Q4_K_M", undefined, /does not have hf:someone\/x:Q4_K_M \(404\)/],
        [
            "an unknown repository",
            "hf:someone/x/m.gguf",
            file({ refuse: unknown }),
            /has no repository for .* or it is private: .* HF_TOKEN/,
        ],
        [
            "a gated model",
            "hf:someone/x/m.gguf",
            file({ refuse: gated }),
            /does not give hf:\S+ to everyone \(403\)\. Ask for access .* HF_TOKEN/,
        ],
        [
            "a hub out of order",
            "hf:someone/x/m.gguf",
            file({ refuse: { status: 503 } }),
            /cannot be downloaded: localhost:\d+ answers 503 \(Service Unavailable\)/,
        ],
        [
            "a wrong checksum",
            "hf:someone/x/m.gguf",
            file({ says: { sha256: "0".repeat(64) } }),
            /its SHA-256 differs from the hub's/,
        ],
        [
            "a wrong size",
            "hf:someone/x/m.gguf",
            file({ says: { size: 1000 } }),
            /is 1000 bytes on the server, and \d+ have come/,
        ],
        [
            "too large a model",
            "hf:someone/x/m.gguf",
            file({ says: { size: 2 ** 52 } }),
            /: 4100 TiB are still to be downloaded, and the disk of \S+ has \S+ [GT]iB left/,
        ],
        [
            "a page",
            "hf:someone/x/m.gguf",
            file({ content: page }),
            /hf:\S+ could not be downloaded: what has come is not a usable GGUF/,
        ],
        ["too many parts", "hf:someone/x/m-00001-of-99999.gguf", undefined, /claims to have 99999 parts/],
        ["a piece of a file", "https://localhost/m.gguf.part1of2", undefined, /is a piece of a file/],
        ["no reference", "hf:someone", undefined, /"hf:someone" is incomplete/],
        [
            "a password",
            "https://me:secret@localhost/m.gguf",
            undefined,
            /"https:\/\/\*\*\*@localhost\/m\.gguf" has a name or password in it/,
        ],
        [
            "an address without encryption",
            "http://localhost/m.gguf",
            undefined,
            /models are written hf:user\/repository/,
        ],
        ["a reference without hf:", "TheBloke/Llama-2-7B-GGUF", undefined, /models are written hf:user\/repository/],
        ["a reference with HF:", "HF:a/b", undefined, /models are written hf:user\/repository/],
        ["a recipe in a folder", "recipes/dmo.yaml", undefined, /recipes\/dmo\.yaml"; did you mean "demo"/],
        ["no recipe", "no-such-recipe", undefined, /neither a file .* nor a built-in recipe/],
    ])("%s", async (_, reference, content, message) => {
        if (content !== undefined) hub.files.set("someone/x/m.gguf", content);
        const { stderr, code } = await eft(["pull", reference]);
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: [^\n]*\n$/);
        expect(stderr).toMatch(message);
        expect(listModels()).toEqual([]);
    });

    (canMount ? it : it.skip)("a folder that is there and cannot be written", async () => {
        // As an earlier download left it.
        const name = createHash("sha256").update("hf:someone/small-GGUF").digest("hex").slice(0, 16);
        mkdirSync(path.join(models, ".incomplete", name), { recursive: true });
        const readOnly = `mount --bind "${models}" "${models}" && mount -o remount,bind,ro "${models}"`;
        const command = `${readOnly} && exec "${process.execPath}" "${program}" pull hf:someone/small-GGUF`;
        const env = { ...process.env, HF_ENDPOINT: hub.endpoint, EFT_LLAMA_MODELS: models, HF_TOKEN: "" };
        const child = spawn("unshare", ["-rm", "sh", "-c", command], { env, cwd: temporary.folder });
        const [ended, errors] = [once(child, "close"), text(child.stderr)];
        expect([await errors, ((await ended) as [number])[0]]).toEqual([
            expect.stringMatching(
                /^eft-llama: hf:someone\/small-GGUF cannot be downloaded to \S+: EROFS: [^\n]*Choose another folder [^\n]*\n$/,
            ),
            1,
        ]);
    });

    it("a hub that is not there", async () => {
        const { stderr, code } = await eft(["pull", "hf:someone/x:Q8_0"], { HF_ENDPOINT: "http://localhost:9" });
        expect(code).toBe(1);
        expect(stderr).toMatch(
            /^eft-llama: hf:someone\/x:Q8_0 cannot be downloaded: localhost:9 does not answer \(.*\n$/,
        );
    });
});
