/** Promise 7 for GGUF files: whatever is in them, loading and using them ends in an error with a code or works. */

import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "@jest/globals";
import {
    addMetadata,
    damageBytes,
    damageMetadata,
    damageTensors,
    damageVocabulary,
    renameArchitecture,
    type DamagedFile,
} from "../helpers/damage.js";
import { demoFile } from "../helpers/demo.js";
import { readGguf } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { runProgram } from "../helpers/program.js";
import { temporaryFolder } from "../helpers/temporary.js";

/** An undamaged demo model takes 70. NATIVE_FAILURE is not among the outcomes. */
const MAX_MEBIBYTES = 300;
const OUTCOMES = [
    "works",
    "LORA_INVALID",
    "CONTEXT_FAILED",
    "MODEL_INVALID",
    "MODEL_LOAD_FAILED",
    "MODEL_UNSUPPORTED",
    "NON_FINITE_LOGITS",
];

const gguf = readGguf(demoFile("small-base"));
/** Dense, with experts, with other attention, with other tokens, with an encoder, recurrent, not text at all. */
const ARCHITECTURES = [
    ...["llama4", "falcon", "gpt2", "mpt", "bert", "qwen2", "qwen2vl", "qwen3", "gemma", "gemma3", "phi3", "mamba"],
    ...["rwkv7", "jamba", "deepseek2", "command-r", "t5", "gpt-oss", "paddleocr", "mistral3", "clip", "unheard of", ""],
];

const FILES: Record<string, DamagedFile[]> = {
    "bytes 1": damageBytes(gguf, 1, 150),
    "bytes 2": damageBytes(gguf, 2, 150),
    "bytes 3": damageBytes(gguf, 3, 150),
    metadata: damageMetadata(gguf),
    "unusual metadata": addMetadata(gguf),
    vocabulary: damageVocabulary(gguf),
    architecture: renameArchitecture(gguf, ARCHITECTURES),
    tensors: damageTensors(gguf),
};

const adapter = loraAdapter(gguf, { rank: 32 });
const ADAPTERS = [
    ...damageBytes(adapter, 5, 100),
    ...damageMetadata(adapter),
    ...damageTensors(adapter, ["blk.0.attn_q.weight.lora_a", "blk.1.attn_v.weight.lora_b"]),
];

describe("damaged files", () => {
    test.each(Object.keys(FILES))("%s", (kind) => loadAll(FILES[kind] ?? []));
    test("adapters", () => loadAll(ADAPTERS, demoFile("small-base")));

    async function loadAll(files: readonly DamagedFile[], base?: string): Promise<void> {
        const { folder, remove } = temporaryFolder();
        try {
            for (const file of files) writeSparse(path.join(folder, file.name), file);
            const { exit, stdout, stderr } = await runProgram("load-all.mjs", {
                args: [folder, ...(base ? [base] : [])],
            });
            const lines = stdout
                .split("\n")
                .filter((line) => line !== "")
                .map((line) => JSON.parse(line) as Line);
            // The file it was at shows when the process does not survive.
            expect({ exit, stderr, last: lines.at(-1) }).toMatchObject({
                exit: 0,
                stderr: "",
                last: { outcome: expect.anything() },
            });
            const outcomes = lines.filter(({ outcome }) => outcome !== undefined);
            expect(outcomes).toHaveLength(files.length);
            expect(outcomes.filter(({ outcome = "" }) => !OUTCOMES.includes(outcome))).toEqual([]);
            expect(outcomes.find(({ peak = Infinity }) => peak > MAX_MEBIBYTES)).toBeUndefined();
            // Damage is seen, not survived by luck.
            expect(outcomes.filter(({ outcome }) => outcome !== "works").length).toBeGreaterThan(files.length / 5);
        } finally {
            remove();
        }
    }
});

interface Line {
    readonly file: string;
    readonly outcome?: string;
    readonly peak?: number;
}

/** The header, and as many zeros behind it as the file was long; they take no room on the disk. */
function writeSparse(file: string, { header, size }: DamagedFile): void {
    const descriptor = openSync(file, "w");
    writeSync(descriptor, header);
    ftruncateSync(descriptor, size);
    closeSync(descriptor);
}
