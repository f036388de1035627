// The official tests of JSON Schema, of the draft that schemas are checked against, in build/json-schema-suite. They come with
// Python's package `jsonschema`, whose release is pinned. Needs pip.
//
//     node scripts/json-schema-suite.mjs

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

const RELEASE = "jsonschema-4.26.0";
const SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326";

const target = path.join(projectRoot, "build", "json-schema-suite", RELEASE);
if (!existsSync(target)) {
    await mkdir(path.dirname(target), { recursive: true });
    const folder = await mkdtemp(path.join(path.dirname(target), "new-"));
    try {
        const pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "jsonschema"];
        await run("python3", [...pip, "--dest", folder, RELEASE.replace("-", "==")]);
        const archive = path.join(folder, `${RELEASE}.tar.gz`);
        const hash = createHash("sha256")
            .update(await readFile(archive))
            .digest("hex");
        if (hash !== SHA256) throw new Error(`${RELEASE} is another one than that of the checks: ${hash}`);
        const inside = `${RELEASE}/json/tests/draft2020-12`;
        await run("tar", ["--extract", "--gzip", "--file", archive, "--directory", folder, inside]);
        await rename(path.join(folder, inside), target);
    } finally {
        await rm(folder, { recursive: true, force: true });
    }
}
