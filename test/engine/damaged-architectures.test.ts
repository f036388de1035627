/**
 * Promise 7 for models of all architectures. llama.cpp crashes on some of these files and hangs on others; a program that
 * loads them does not.
 *
 * EFT_FUZZ=10000 tries that many files instead of a few; EFT_FUZZ_SEED others.
 */

import { spawn } from "node:child_process";
import { closeSync, ftruncateSync, openSync, rmSync, writeSync } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "@jest/globals";
import { listArchitectures } from "../helpers/architectures.js";
import { readText, repository } from "../helpers/demo.js";
import { writeGguf } from "../helpers/gguf.js";
import { mutate } from "../helpers/mutants.js";
import { temporaryFolder } from "../helpers/temporary.js";

const COUNT = Number(process.env.EFT_FUZZ ?? 60);
const SEED = Number(process.env.EFT_FUZZ_SEED ?? 1);
const BATCH = 60;
/** A file takes some hundredths of a second. */
const SILENT_SECONDS = 30;
const PROGRAM = path.join(repository, "test", "engine", "programs", "load-all.mjs");

test(`${COUNT} files: none ends or hangs a program`, async () => {
    const models = [...listArchitectures()];
    const outcomes: Record<string, number> = {};
    const failures: string[] = [];
    for (let first = 0; first < COUNT; first += BATCH) {
        const { folder, remove } = temporaryFolder();
        try {
            for (let index = first; index < Math.min(COUNT, first + BATCH); index++) {
                const [name, build] = models[(index * 7919 + SEED) % models.length] as (typeof models)[number];
                // A few stay as they are.
                const number = String(index).padStart(6, "0");
                for (const { name: file, header, size } of mutate(
                    `${number}-${name}`,
                    build(),
                    SEED * 1_000_003 + index,
                ))
                    writeSparse(path.join(folder, file), header, size);
            }
            await tryFolder(folder, outcomes, failures);
        } finally {
            remove();
        }
        if (COUNT > BATCH) process.stderr.write(`${first + BATCH} ${JSON.stringify({ outcomes, failures })}\n`);
    }
    expect(failures).toEqual([]);
    expect(outcomes.works).toBeGreaterThan(0);
}, 1e9);

test("undamaged: as many work as docs/compatibility.md says", async () => {
    const { folder, remove } = temporaryFolder();
    try {
        const models = [...listArchitectures()];
        for (const [name, build] of models) writeGguf(path.join(folder, `${name}.gguf`), build());
        const outcomes: Record<string, number> = {};
        const failures: string[] = [];
        await tryFolder(folder, outcomes, failures);
        expect(failures).toEqual([]);
        const document = readText("docs/compatibility.md");
        const rows = [...document.matchAll(/^\| (works|.*`([A-Z_]+)`.*?) +\| (\d+) +\|$/gm)];
        const said = rows.map(([, works = "", code, count]) => [code ?? works, Number(count)]);
        const found = Object.entries(outcomes).filter(([outcome]) => !/untried/.test(outcome));
        expect(Object.fromEntries(said)).toEqual(
            Object.fromEntries(found.map(([outcome, count]) => [outcome.replace("tried: ", ""), count])),
        );
        expect(document).toContain(`Small models of ${models.length} kinds`);
    } finally {
        remove();
    }
}, 600_000);

/** The weights are zeros, which take no room on the disk. */
function writeSparse(file: string, header: Buffer, size: number): void {
    const descriptor = openSync(file, "w");
    writeSync(descriptor, header);
    ftruncateSync(descriptor, size);
    closeSync(descriptor);
}

/**
 * First without trials, all in one process, which is quick. The file that ends it, or on which it hangs or fails inside llama.cpp,
 * is loaded as by default.
 */
async function tryFolder(folder: string, outcomes: Record<string, number>, failures: string[]): Promise<void> {
    const count = (outcome: string): void => void (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1);
    const isFailure = (outcome: string): boolean => !/^(works|[A-Z_]+)$/.test(outcome) || outcome === "NATIVE_FAILURE";
    const tryAsByDefault = async (file: string): Promise<void> => {
        const single = temporaryFolder();
        try {
            const again = await loadAll(folder, {
                EFT_TEST_AFTER: previousName(file),
                EFT_TEST_ONLY: "1",
                XDG_CACHE_HOME: single.folder,
            });
            const outcome = again.files[0]?.outcome ?? "ends the program";
            count(`tried: ${outcome}`);
            if (isFailure(outcome)) failures.push(`${file}: ${outcome}`);
        } finally {
            rmSync(single.folder, { recursive: true, force: true });
        }
    };
    for (let after: string | undefined = ""; after !== undefined;) {
        const { files, unfinished }: Loaded = await loadAll(folder, { EFT_TEST_TRUST: "1", EFT_TEST_AFTER: after });
        for (const { file, outcome } of files) {
            count(isFailure(outcome) ? "fails untried" : outcome);
            if (isFailure(outcome)) await tryAsByDefault(file);
        }
        if (unfinished !== undefined) {
            count("crashes or hangs untried");
            await tryAsByDefault(unfinished);
        }
        after = unfinished;
    }
}

/** A name that comes before this one and behind all smaller ones. */
function previousName(file: string): string {
    return `${file.slice(0, -1)}${String.fromCharCode(file.charCodeAt(file.length - 1) - 1)}`;
}

interface Loaded {
    readonly files: readonly { readonly file: string; readonly outcome: string }[];
    /** The file at which the program ended or fell silent. */
    readonly unfinished?: string;
}

async function loadAll(folder: string, env: Readonly<Record<string, string>>): Promise<Loaded> {
    const child = spawn(process.execPath, [PROGRAM, folder], {
        env: { ...process.env, NODE_OPTIONS: "", GGML_NO_BACKTRACE: "1", ...env },
        stdio: ["ignore", "pipe", "ignore"],
    });
    const files: { file: string; outcome: string }[] = [];
    let unfinished: string | undefined;
    // With a trial, the program is silent as long as that may take.
    const patience = 1000 * (env.EFT_TEST_TRUST === undefined ? 4 : 1) * SILENT_SECONDS;
    let timer = setTimeout(() => child.kill("SIGKILL"), patience);
    for await (const line of createInterface({ input: child.stdout })) {
        clearTimeout(timer);
        timer = setTimeout(() => child.kill("SIGKILL"), patience);
        const { file, outcome } = JSON.parse(line) as { file: string; outcome?: string };
        unfinished = outcome === undefined ? file : undefined;
        if (outcome !== undefined) files.push({ file, outcome });
    }
    clearTimeout(timer);
    return { files, ...(unfinished !== undefined && { unfinished }) };
}
