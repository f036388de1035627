// From nothing to a loaded recipe, in a process of its own each time: one member, three members, and a check of the three.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { namedModel, writeBenchModel } from "../scripts/make-bench-models.mjs";
import { projectRoot } from "./families.mjs";
import { format, printTable, summarize } from "./report.mjs";
import { runRounds } from "./rounds.mjs";

const run = promisify(execFile);
const PROGRAM = fileURLToPath(new URL("startup-load.mjs", import.meta.url));
const MEMBERS = ["large", "chat", "small"];
const WORK = {
    "one member": ["load", "one"],
    "three members": ["load", "three"],
    "check of three": ["check", "three"],
};
/** Until files that were just written are taken for what they will stay, in milliseconds. */
const SETTLING = 3000;

/** @param options - `rounds`; `against`: the folder of another built copy of the package, or undefined */
export async function benchStartup(vocabularySize, folder, { rounds, against }) {
    const models = {};
    for (const [index, member] of MEMBERS.entries()) {
        models[member] = path.join(folder, `${vocabularySize}-${member}.gguf`);
        await writeBenchModel(models[member], namedModel(`tiny-f16-${vocabularySize}-${index + 1}`));
    }
    const recipes = {
        one: await writeRecipe(folder, { chat: models.chat }, "chat"),
        three: await writeRecipe(folder, models, "large + chat - small"),
    };
    await new Promise((resolve) => setTimeout(resolve, SETTLING));
    const packages = { ...(against !== undefined && { before: path.resolve(against) }), now: projectRoot };
    const contenders = Object.keys(packages).flatMap((version) => Object.keys(WORK).map((work) => [version, work]));
    const all = await runRounds({ rounds }, contenders, async (_, order) => {
        const results = [];
        for (const [version, work] of order) {
            const [what, recipe] = WORK[work];
            const { stdout } = await run(process.execPath, [PROGRAM, packages[version], what, recipes[recipe]]);
            results.push({ version, work, ...JSON.parse(stdout) });
        }
        return results;
    });
    const results = all.flat();
    const median = (version, work, field) =>
        summarize(results.filter((each) => each.version === version && each.work === work).map((each) => each[field]));
    return {
        vocabularySize,
        rows: contenders.map(([version, work]) => ({
            ...{ version, work },
            cpuMs: median(version, work, "cpuMs"),
            wallMs: median(version, work, "wallMs"),
            peakMiB: median(version, work, "peakMiB"),
        })),
        rounds: all,
    };
}

async function writeRecipe(folder, models, combination) {
    const file = path.join(folder, `${Object.keys(models).length}.json`);
    const members = Object.fromEntries(Object.entries(models).map(([name, model]) => [name, { model }]));
    await writeFile(
        file,
        JSON.stringify({ eft: 1, name: "startup", members, combination, prompt: { template: "plain" } }),
    );
    return file;
}

export function printStartup({ vocabularySize, rows }) {
    printTable(
        `Start with a vocabulary of ${vocabularySize}`,
        ["", "processor time, ms", "clock, ms", "peak, MiB"],
        rows.map(({ version, work, cpuMs, wallMs, peakMiB }) => [
            ...[`${version}: ${work}`, format(cpuMs, 0), format(wallMs, 0), format(peakMiB, 0)],
        ]),
    );
}
