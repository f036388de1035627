// What the parts have found, on the screen and in two files that are whole after every measurement: JSON for programs, and
// Markdown whose sections can be pasted into a document, since each of them says on what and when it was measured.

import { mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { printTable } from "../report.mjs";
import { PARTS } from "./parts.mjs";

/** @param options - as of `measureParts` */
export async function createReport(options) {
    const prefix = outPrefix(options.out);
    const parts = [];
    const start = performance.now();
    let date = new Date().toISOString();

    function write() {
        const environment = parts[0]?.data.environment;
        date = environment?.date ?? date;
        const json = { benchmark: "gpu", date, ...environment, options, parts };
        replace(`${prefix}.json`, `${JSON.stringify(json, null, 2)}\n`);
        replace(`${prefix}.md`, toMarkdown(parts, date));
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
            console.log(
                `\n${round((performance.now() - start) / 1000)} s; written to ${prefix}.json and ${prefix}.md.`,
            );
            if (skipped > 0) console.log(`Not measured: ${atLeast}${skipped}, for reasons given above.`);
            for (const { what } of bad) console.log(`FAILED check: ${what}`);
            if (failed.length > 0) console.log(`FAILED parts: ${failed.join(", ")}`);
        },
        isGood: () => parts.every((part) => !hasFailed(part) && part.checks.every(({ isGood }) => isGood)),
    };
}

/** Also when its time was up afterwards. */
const hasFailed = ({ failures }) => failures.length > 0;

function outPrefix(out) {
    const isFolder = /[\\/]$/.test(out) || statSync(out, { throwIfNoEntry: false })?.isDirectory();
    const prefix = path.resolve(isFolder ? path.join(out, "gpu") : out.replace(/\.(json|md)$/, ""));
    mkdirSync(path.dirname(prefix), { recursive: true });
    return prefix;
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
