// Builds and runs what docs/bundlers.md shows, in a folder that has eft-llama and the bundlers installed:
// node bundlers.mjs <folder>. Each has to answer the question; after the builds, without the bundlers' own files beside it.
import { spawn, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { once } from "node:events";
import { createRequire } from "node:module";

const folder = path.resolve(process.argv[2]);
const ANSWER = "Its capital is Lima.";
const require = createRequire(path.join(folder, "package.json"));
const document = readFileSync(new URL("../../../docs/bundlers.md", import.meta.url), "utf8");

for (const [, name, text] of document.matchAll(/^```js\n\/\/ (\S+)\n([^]*?)^```/gm)) {
    mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
    writeFileSync(path.join(folder, name), text);
}
// What Next.js wants besides.
writeFileSync(
    path.join(folder, "app", "layout.js"),
    "export default function Layout({ children }) { return <html><body>{children}</body></html>; }\n",
);

/** @param file - in the package, as its manifest names the program */
function program(name, bin = name) {
    const manifest = require.resolve(`${name}/package.json`);
    const { bin: bins, version } = JSON.parse(readFileSync(manifest, "utf8"));
    return { file: path.join(path.dirname(manifest), typeof bins === "string" ? bins : bins[bin]), version };
}

function run(args, cwd = folder) {
    const env = { ...process.env, NEXT_TELEMETRY_DISABLED: "1" };
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd, env, encoding: "utf8" });
    if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
    return stdout.trim();
}

function expectAnswer(who, answer) {
    if (answer !== ANSWER) throw new Error(`${who} answers ${JSON.stringify(answer)}`);
    console.log(`${who}: ${answer}`);
}

const [vite, webpack, next] = [program("vite"), program("webpack-cli", "webpack-cli"), program("next")];
run(["build.mjs"]);
expectAnswer("esbuild", run(["out/esbuild.mjs"]));
run([vite.file, "build"]);
expectAnswer(`Vite ${vite.version}`, run(["out/vite/main.mjs"]));
run([webpack.file, "--config", "webpack.config.mjs"]);
expectAnswer("webpack", run(["out/webpack.cjs"]));

run([next.file, "build"]);
// Somewhere else, so that nothing is found in the project.
const alone = `${folder}-standalone`;
cpSync(path.join(folder, ".next", "standalone"), alone, { recursive: true, verbatimSymlinks: true });
expectAnswer(`Next.js ${next.version}`, await ask(alone));

/** The answer of a standalone server. */
async function ask(place) {
    const { port, close } = await freePort();
    await close();
    const env = { ...process.env, PORT: String(port), HOSTNAME: "127.0.0.1", NEXT_TELEMETRY_DISABLED: "1" };
    const server = spawn(process.execPath, ["server.js"], { cwd: place, env, stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(server, "exit").then(([status]) => {
        throw new Error(`The server ended with ${status}.`);
    });
    try {
        const ready = (async () => {
            for await (const text of server.stdout.setEncoding("utf8")) if (text.includes("Ready")) return;
        })();
        await Promise.race([ready, ended]);
        const url = `http://127.0.0.1:${port}/api/answer?prompt=What+is+the+capital+of+Peru%3F`;
        return (await (await fetch(url)).text()).trim();
    } finally {
        ended.catch(() => undefined);
        server.kill();
    }
}

async function freePort() {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return { port: server.address().port, close: () => new Promise((resolve) => server.close(resolve)) };
}
