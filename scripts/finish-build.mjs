// What `npm run build` does after tsc: the command may be run, and nothing is left in dist/ of files that src/ has no longer. dist/ is
// never empty meanwhile, since other processes may be starting from it: npx builds a clone whenever it runs its command.
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = path.join(root, "dist");

/** Made by Vite, which overwrites its files. */
const page = path.join("server", "page") + path.sep;
const estimates = path.join("models", "estimates.js");

for (const file of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
    if (file.startsWith(page) || file === estimates) continue;
    const [, name] = /^(.*?)(?:\.d\.ts|\.js)(?:\.map)?$/.exec(file) ?? [];
    if (name !== undefined && !existsSync(path.join(root, "src", `${name}.ts`))) rmSync(path.join(dist, file));
}
chmodSync(path.join(dist, "cli", "main.js"), 0o755);
