/** The report as Markdown, which hosts of repositories show, with its plots as files beside it. */

import type { ExperimentReport, RunInfo, Sample } from "../types.js";
import { formatPoint } from "./format.js";
import { escapeMarkdown } from "./markup.js";
import { renderPlot } from "./plots.js";
import {
    COMPARISON_HEAD,
    describeGrades,
    groupSamples,
    markBaselines,
    tabulateComparisons,
    tabulateGroups,
    tabulateMeasures,
    type Entry,
    type MeasureTable,
} from "./tables.js";
import { tokensToMarkdown } from "./tokens.js";
import { describeExperiment, describeMarks, describeRun } from "./words.js";

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
            const name = `${report.experiment}-${index + 1}.svg`;
            images[name] = await renderPlot(spec, report);
            plots.push(`![${escapeMarkdown(spec.title)}](${imageFolder}/${name})`);
        }
        sections.push(renderExperiment(report, plots));
    }
    const parts = [`# ${escapeMarkdown(title)}`, escapeMarkdown(describeRun(info)), ...sections];
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
        ...(groups.rows.length === 0 ? [] : [renderDetails("By group", renderMeasures(groups))]),
        ...(comparisons.length === 0 ? [] : [renderDetails("Comparisons", renderTable(COMPARISON_HEAD, comparisons))]),
        ...(samples.length === 0 ? [] : [renderDetails("Some answers", samples.map(renderItem).join("\n\n"))]),
        renderDetails("How it was made", renderSystems(report)),
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

function renderSystems(report: ExperimentReport): string {
    const rows = report.systems.map(({ name, combination, conservative = "", models }) => [
        name,
        combination,
        conservative,
        Object.entries(models)
            .map(([member, model]) => `${member}: ${model}`)
            .join("; "),
    ]);
    const table = renderTable(["system", "combination", "conservative filter", "models"], rows);
    return `${table}\n\n${describeExperiment(report)}`;
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
