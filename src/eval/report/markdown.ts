/** The report as Markdown, which hosts of repositories show, with its plots as files beside it. */

import type { ExperimentReport, RunInfo, Sample } from "../types.js";
import { formatPoint } from "./format.js";
import { escapeMarkdown, replaceControls } from "./markup.js";
import { findDrawingProblem, renderPlot } from "./plots.js";
import {
    COMPARISON_HEAD,
    describeGrades,
    groupSamples,
    markBaselines,
    tabulateComparisons,
    tabulateGroups,
    tabulateMeasures,
    tabulateSetup,
    type Entry,
    type MeasureTable,
} from "./tables.js";
import { tokensToMarkdown } from "./tokens.js";
import { describeExperiment, describeGaps, describeMarks, describeRun } from "./words.js";

export interface MarkdownReport {
    readonly markdown: string;
    /** SVG by file name, in `imageFolder`. */
    readonly images: Readonly<Record<string, string>>;
}

/** @param imageFolder - where the text looks for its images, relative to itself */
export async function renderMarkdown(
    reports: readonly ExperimentReport[],
    info: RunInfo,
    title: string,
    imageFolder: string,
): Promise<MarkdownReport> {
    const images: Record<string, string> = {};
    const sections: string[] = [];
    for (const report of reports) {
        const plots: string[] = [];
        for (const [index, spec] of report.plots.entries()) {
            if (spec.kind === "tokens") {
                plots.push(tokensToMarkdown(spec, report));
                continue;
            }
            if ((await findDrawingProblem()) !== undefined) continue;
            const name = `${report.experiment}-${index + 1}.svg`;
            images[name] = await renderPlot(spec, report);
            plots.push(`![${escapeMarkdown(spec.title)}](${imageFolder}/${name})`);
        }
        sections.push(renderExperiment(report, plots));
    }
    const leftOut = info.leftOut.map((sentence) => escapeMarkdown(`Left out: ${sentence}.`));
    const parts = [`# ${escapeMarkdown(title)}`, escapeMarkdown(describeRun(info)), ...leftOut, ...sections];
    return { markdown: `${parts.join("\n\n")}\n`, images };
}

function renderExperiment(report: ExperimentReport, plots: readonly string[]): string {
    const groups = tabulateGroups(report);
    const comparisons = tabulateComparisons(report);
    const samples = groupSamples(report);
    return [
        `## ${escapeMarkdown(report.title)}`,
        ...report.description.split(/\n\s*\n/).map(escapeMarkdown),
        ...plots,
        renderMeasures(tabulateMeasures(report)),
        escapeMarkdown(describeMarks(markBaselines(report))),
        ...describeGaps(report).map(escapeMarkdown),
        ...(groups.rows.length === 0 ? [] : [renderDetails("By group", renderMeasures(groups))]),
        ...(comparisons.length === 0 ? [] : [renderDetails("Comparisons", renderTable(COMPARISON_HEAD, comparisons))]),
        ...(samples.length === 0 ? [] : [renderDetails("Some answers", samples.map(renderItem).join("\n\n"))]),
        renderDetails("How it was made", renderSetup(report)),
    ].join("\n\n");
}

function renderMeasures({ columns, rows, items }: MeasureTable): string {
    const hasGroups = rows.some(({ group }) => group !== undefined);
    const head = [
        "system",
        ...(hasGroups ? ["group"] : []),
        ...columns.map(({ task, label }) => `${task}: ${label} (${items.get(task)} items)`),
    ];
    const lines = rows.map(({ point, group = "", entries }) => [
        escapeMarkdown(point),
        ...(hasGroups ? [escapeMarkdown(group)] : []),
        ...entries.map(renderEntry),
    ]);
    return joinTable(head.map(escapeMarkdown), lines);
}

function renderEntry(entry: Entry | undefined): string {
    if (entry === undefined) return "–";
    const marks = entry.marks.length === 0 ? "" : `<sup>${entry.marks.join(" ")}</sup>`;
    return `${escapeMarkdown(entry.text)}${marks}`;
}

function renderItem(samples: readonly [Sample, ...Sample[]]): string {
    const [{ prompt, item, expected = [] }] = samples;
    const rows = samples.map((sample) => [
        formatPoint(sample.system, sample.settings),
        sample.text ?? "",
        describeGrades(sample),
    ]);
    const right = expected.length === 0 ? "" : ` Right: ${escapeMarkdown(expected.join("; "))}`;
    return `**${escapeMarkdown(prompt ?? item)}**${right}\n\n${renderTable(["system", "answer", "grades"], rows)}`;
}

function renderSetup(report: ExperimentReport): string {
    const templates = Object.entries(report.setup?.templates ?? {});
    return [
        escapeMarkdown(describeExperiment(report)),
        ...tabulateSetup(report).map(({ head, rows }) => renderTable(head, rows.map(joinLines))),
        ...templates.map(([name, text]) => `Template ${name}:\n\n${renderCode(text)}`),
    ].join("\n\n");
}

/** A cell has one line. */
function joinLines(cells: readonly string[]): string[] {
    return cells.map((cell) => cell.replaceAll("\n", "; "));
}

/** Between fences that do not occur in the text. */
function renderCode(text: string): string {
    const longest = [...text.matchAll(/`+/g)].reduce((most, [run]) => Math.max(most, run.length), 2);
    const fence = "`".repeat(longest + 1);
    return `${fence}\n${replaceControls(text)}\n${fence}`;
}

function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
    return joinTable(
        head.map(escapeMarkdown),
        rows.map((row) => row.map(escapeMarkdown)),
    );
}

function joinTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
    return [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function renderDetails(summary: string, content: string): string {
    return `<details>\n<summary>${summary}</summary>\n\n${content}\n\n</details>`;
}
