// Medians with their spread, tables for people, JSON for programs.

import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { cpus, loadavg, platform, release, totalmem } from "node:os";
import path from "node:path";
import Table from "cli-table3";
import { getModuleVersion } from "node-llama-cpp";
import { importNative, projectRoot } from "./families.mjs";
import { naming } from "./out.mjs";

/** Median and quartiles. */
export function summarize(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const at = (fraction) => {
        const place = fraction * (sorted.length - 1);
        const [low, high] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]];
        return low + (high - low) * (place - Math.floor(place));
    };
    return { median: at(0.5), q1: at(0.25), q3: at(0.75) };
}

/** "1.023 [1.011, 1.040]": median and quartiles. */
export function format({ median, q1, q3 }, digits = 3) {
    return `${median.toFixed(digits)} [${q1.toFixed(digits)}, ${q3.toFixed(digits)}]`;
}

/** Three digits of milliseconds, or more where they lie before the point: "0.0123", "12.3", "1234". */
export function digits(ms) {
    return ms >= 100 ? ms.toFixed(0) : ms.toPrecision(3);
}

/** What was measured on what: "demo: 3.6M + 2 x 0.4M, cpu, 1 thread". */
export function describeSetting({ family, shape, backend, threads }) {
    return `${family}: ${shape}, ${backend}, ${threads} ${threads === 1 ? "thread" : "threads"}`;
}

/** @param rows - cells; the first is a label */
export function printTable(title, head, rows) {
    const table = new Table({
        head,
        colAligns: head.map((_, i) => (i === 0 ? "left" : "right")),
        style: { head: [], border: [], compact: true },
    });
    table.push(...rows);
    console.log(`\n${title}\n${table.toString()}`);
}

/** Prints where, and writes everything to `options.out` if that is given. */
export async function writeReport(benchmark, options, results) {
    const report = { benchmark, ...(await describeEnvironment()), options, results };
    const { machine, versions } = report;
    console.log(
        `\n${machine.cpu}, ${machine.cores} cores, load ${machine.load.toFixed(1)}; Node ${versions.node}, ` +
            `llama.cpp ${versions.llamaCpp}, commit ${report.commit ?? "unknown"}`,
    );
    console.log("Medians [quartiles] of interleaved rounds.");
    if (options.out === undefined) return;
    const text = `${JSON.stringify(report, null, 2)}\n`;
    await naming(options.out, options.out, () => writeFile(options.out, text));
}

/** When, on what, and with which versions. */
export async function describeEnvironment() {
    const processors = cpus();
    const { version } = JSON.parse(await readFile(path.join(projectRoot, "package.json"), "utf8"));
    const { loadBinding } = await importNative();
    return {
        date: new Date().toISOString(),
        commit: describeCommit(),
        machine: {
            cpu: processors[0]?.model ?? "unknown processor",
            cores: processors.length,
            memoryBytes: totalmem(),
            system: `${platform()} ${release()}`,
            // Other work on the same cores distorts everything; one minute's average at the end of the run.
            load: loadavg()[0],
        },
        versions: {
            eftLlama: version,
            node: process.version,
            llamaCpp: loadBinding().llamaRelease,
            nodeLlamaCpp: await getModuleVersion(),
        },
    };
}

/** The commit that was measured, with a + if the working tree differs from it; undefined outside a repository. */
function describeCommit() {
    const options = { cwd: projectRoot, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] };
    const git = (...parameters) => execFileSync("git", parameters, options).trim();
    try {
        // A folder without a repository may lie in somebody else's.
        if (path.resolve(git("rev-parse", "--show-toplevel")) !== projectRoot) return undefined;
        const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
        return git("rev-parse", "--short", "HEAD") + (changed ? "+" : "");
    } catch {
        return undefined;
    }
}
