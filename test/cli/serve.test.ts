/** `eft-llama serve` as a shell sees it. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect } from "node:net";
import path from "node:path";
import { afterAll, expect, it } from "@jest/globals";
import { repository } from "../helpers/demo.js";
import { post } from "../helpers/server.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { program, run } from "./run.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const FLAGS = ["--port", "0", "--backend", "cpu", "--threads", "1", "--context-size", "256"];
const messages = [{ role: "user", content: "What is the capital of Peru?" }];

/** Starts it, and waits until it says where it is. */
async function serve(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const child = spawn(process.execPath, [program, "serve", ...FLAGS, ...args], {
        ...{ cwd: repository, env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] },
    });
    const output = { stdout: "", stderr: "" };
    const closed = once(child, "close") as Promise<[number | null]>;
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output.stderr += text));
    const url = await new Promise<string>((resolve, reject) => {
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
            output.stdout += text;
            const [found] = /http:\/\/[\d.]+:\d+/.exec(output.stdout) ?? [];
            if (found !== undefined) resolve(found);
        });
        closed.then(
            () => reject(new Error(output.stderr)),
            () => undefined,
        );
    });
    async function end(signal: NodeJS.Signals = "SIGINT") {
        child.kill(signal);
        const [code] = await closed;
        return { ...output, code };
    }
    return { url, end };
}

const ask = async (server: { url: string }, headers: Readonly<Record<string, string>> = {}) =>
    post<{ choices: { message: { content: string } }[] }>(server, "/v1/chat/completions", { messages }, headers);

it("serves the demo, logs a line of each request, and ends at Ctrl-C", async () => {
    const server = await serve([]);
    const { status, body } = await ask(server);
    expect([status, body.choices[0]?.message.content]).toEqual([200, expect.stringContaining("Lima")]);
    const { stdout, stderr, code } = await server.end();
    expect(code).toBe(0);
    expect(stdout).toBe(
        `demo, demo-dial at ${server.url} for browsers and Anthropic's clients, at ${server.url}/v1 for OpenAI's. Ctrl-C ends it.\n` +
            "Ending; answers that are being written have 10 s. Ctrl-C again ends them at once.\n",
    );
    const lines = stderr.split("\n").filter((line) => line.includes('"path"'));
    expect(lines.map((line) => JSON.parse(line) as object)).toMatchObject([
        { method: "POST", path: "/v1/chat/completions", status: 200, model: "demo", finish: "stop" },
    ]);
    expect(stderr).not.toContain("Lima");
    expect(stderr).not.toContain("Warning");
});

it("logs texts where it is told to, nothing with --quiet, and ends at SIGTERM", async () => {
    const [loud, quiet] = await Promise.all([serve(["demo", "--log-texts"]), serve(["demo", "--quiet", "--lazy"])]);
    await Promise.all([ask(loud), ask(quiet)]);
    const said = await loud.end("SIGTERM");
    expect([said.code, said.stderr]).toEqual([0, expect.stringContaining("Lima")]);
    const silent = await quiet.end();
    expect([silent.code, silent.stderr]).toEqual([0, ""]);
});

it("warns of nothing where many requests are sent at once", async () => {
    const quiet = await serve(["demo", "--quiet"]);
    const body = JSON.stringify({ messages: [{ role: "user", content: "a" }], max_tokens: 1 });
    const head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    const rest = `content-length: ${body.length}\r\n\r\n${body}`;
    const socket = connect(Number(new URL(quiet.url).port), "127.0.0.1");
    socket.write(`${head}${rest}`.repeat(19) + `${head}connection: close\r\n${rest}`);
    let received = "";
    for await (const chunk of socket) received += String(chunk);
    expect(received.match(/HTTP\/1.1 200/g)).toHaveLength(20);
    expect((await quiet.end()).stderr).toBe("");
});

it("asks for the keys of a file, of the environment and of flags", async () => {
    const file = path.join(folder, "keys");
    writeFileSync(file, "first\r\n\n second \n");
    const server = await serve(["demo", "--api-key-file", file, "--api-key", "third"], { EFT_LLAMA_API_KEY: "fourth" });
    expect((await ask(server)).status).toBe(401);
    for (const key of ["first", "second", "third", "fourth"])
        expect((await ask(server, { authorization: `Bearer ${key}` })).status).toBe(200);
    expect((await ask(server, { authorization: "Bearer " })).status).toBe(401);
    await server.end();
});

it("says what is wrong", async () => {
    const server = await serve(["demo", "--lazy"]);
    const { port } = new URL(server.url);
    const failing: [string[], string][] = [
        [["demo", "--port", port], `port ${port}`],
        [["demo", "--port", "70000"], "65535"],
        [["demo", "--parallel", "0"], "parallel"],
        [["demo", "--loaded", "0"], "loaded"],
        [["demo", "demo"], "demo"],
        [["nix"], "nix"],
        [["demo", "--api-key-file", path.join(folder, "nowhere")], "nowhere"],
    ];
    for (const [args, message] of failing) {
        const { code, stderr, stdout } = await run(["serve", "--lazy", "--threads", "1", ...args]);
        expect([args, code, stderr, stdout]).toEqual([args, 1, expect.stringContaining(message), ""]);
        expect(stderr).not.toContain("    at ");
    }
    await server.end();
});

it("refuses a file of keys in another encoding, which no request could bring", async () => {
    const file = path.join(folder, "utf-16");
    writeFileSync(file, "\ufefffirst\r\n", "utf16le");
    await expect(serve(["demo", "--lazy", "--api-key-file", file])).rejects.toThrow(/files of them UTF-8/);
});

it.each([
    ["an empty key", ["--api-key", ""], {}],
    ["an empty variable", [], { EFT_LLAMA_API_KEY: " " }],
])("does not serve everybody because of %s", async (_, args, env) => {
    await expect(serve(args, env)).rejects.toThrow(/none has a key/);
});
