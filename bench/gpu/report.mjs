// What the parts have found, on the screen and in two files that are whole after every measurement: JSON for programs, and
// Markdown whose sections can be pasted into a document, since each of them says on what and when it was measured.

import { existsSync, renameSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { checkOut } from "../out.mjs";
import { printTable } from "../report.mjs";
import { PARTS } from "./parts.mjs";

/**
 * @param options - as of `measureParts`
 * @throws Error that names `--out`
 */
export async function createReport(options) {
    const prefix = outPrefix(options.out);
    const files = { json: `${prefix}.json`, markdown: `${prefix}.md` };
    await checkOut(options.out, Object.values(files));
    /** Why the files are not those of the last measurement. */
    let lost;
    const parts = [];
    const start = performance.now();
    let date = new Date().toISOString();

    function write() {
        const environment = parts[0]?.data.environment;
        date = environment?.date ?? date;
        const json = { benchmark: "gpu", date, ...environment, options, parts };
        try {
            replace(files.json, `${JSON.stringify(json, null, 2)}\n`);
            replace(files.markdown, toMarkdown(parts, date));
            lost = undefined;
        } catch (error) {
            // What is measured is printed, too, and a disk may have room again.
            if (lost === undefined) console.error(`--out ${options.out}: not written: ${error.message}`);
            lost = error;
        }
    }

    return {
        begin(letter, seconds) {
            const { title } = PARTS[letter];
            const begun = performance.now();
            /** The measurement that was begun last. */
            let current;
            const part = {
                ...{ letter, title, limitSeconds: round(seconds), seconds: 0, state: "running" },
                ...{ tables: [], checks: [], goals: [], remarks: [], skipped: [], failures: [], data: {} },
                update({ progress, result }) {
                    if (progress !== undefined) {
                        current = progress;
                        console.log(`  ${round((performance.now() - start) / 1000)} s  ${progress}`);
                    }
                    if (result !== undefined) Object.assign(part, result);
                    part.seconds = round((performance.now() - begun) / 1000);
                    write();
                },
                finish(state, reason) {
                    part.state = part.failures.length > 0 && state === "complete" ? "failed" : state;
                    if (state === "out of time") part.skipped.push(current ?? title);
                    if (reason !== undefined) part[state === "failed" ? "failures" : "remarks"].push(reason);
                    part.update({});
                },
            };
            parts.push(part);
            console.log(`\n${heading(part)} (up to ${round(seconds)} s)`);
            write();
            return part;
        },
        end: print,
        conclude() {
            const bad = parts.flatMap(({ checks }) => checks).filter(({ isGood }) => !isGood);
            const failed = parts.filter(hasFailed).map(({ letter }) => letter);
            const skipped = parts.reduce((sum, part) => sum + part.skipped.length, 0);
            // Nobody knows what an ended part would have gone on with.
            const atLeast = parts.some(({ state }) => state === "out of time") ? "at least " : "";
            const seconds = round((performance.now() - start) / 1000);
            console.log(`\n${seconds} s; written to ${files.json} and ${files.markdown}.`);
            if (lost !== undefined) console.log(`FAILED: not all of it. ${lost.message}`);
            if (skipped > 0) console.log(`Not measured: ${atLeast}${skipped}, for reasons given above.`);
            for (const { what } of bad) console.log(`FAILED check: ${what}`);
            if (failed.length > 0) console.log(`FAILED parts: ${failed.join(", ")}`);
        },
        isGood: () =>
            lost === undefined && parts.every((part) => !hasFailed(part) && part.checks.every(({ isGood }) => isGood)),
    };
}

/** Also when its time was up afterwards. One that had to be ended may have hung, and says nothing. */
const hasFailed = ({ failures, state }) => failures.length > 0 || state === "out of time";

function outPrefix(out) {
    const isFolder = /[\\/]$/.test(out) || (existsSync(out) && statSync(out).isDirectory());
    return path.resolve(isFolder ? path.join(out, "gpu") : out.replace(/(?<=[^\\/])\.(json|md)$/, ""));
}

/** Whole or not at all: whoever is killed while writing keeps the file from before. */
function replace(file, text) {
    writeFileSync(`${file}.part`, text);
    renameSync(`${file}.part`, file);
}

function print({ tables, goals, remarks, failures }) {
    for (const { title, head, rows } of tables) printTable(title, head, rows);
    for (const line of [...describeGoals(goals), ...remarks, ...failures.map((text) => `FAILED: ${text}`)])
        console.log(line);
}

function toMarkdown(parts, date) {
    const { name = "unknown device", versions = "" } = parts[0]?.data ?? {};
    const on = `${name}, ${date.slice(0, 10)}${versions && `; ${versions}`}.`;
    const sections = parts.map(({ tables, goals, remarks, failures, state, ...part }) =>
        [
            `## ${heading(part)}`,
            `Measured on ${on}${state === "complete" ? "" : ` State: ${state}.`}`,
            ...tables.map(({ title, head, rows }) => `**${title}**\n\n${toTable(head, rows)}`),
            toList([...describeGoals(goals), ...remarks, ...failures.map((text) => `FAILED: ${text}`)]),
        ]
            .filter((text) => text !== "")
            .join("\n\n"),
    );
    return `# ${name}\n\n${sections.join("\n\n")}\n`;
}

const heading = ({ letter, title }) =>
    letter === "device" ? "The device" : `${letter}. ${title[0].toUpperCase()}${title.slice(1)}`;

function toTable(head, rows) {
    const line = (cells) => `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
    return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "---:"))), ...rows.map(line)].join("\n");
}

const toList = (lines) => lines.map((line) => `- ${line.replaceAll("\n", " ")}`).join("\n");

const describeGoals = (goals) =>
    goals.map(({ goal, measured, isMet }) => `Goal: ${goal}. Measured: ${measured}${isMet ? ", met." : ", missed."}`);

const round = (seconds) => Math.round(seconds * 10) / 10;
