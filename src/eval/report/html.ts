/** The report as one page that needs nothing else. */

import type { ExperimentReport, RunInfo, Sample } from "../types.js";
import { formatPoint } from "./format.js";
import { html, Markup } from "./markup.js";
import { findDrawingProblem, renderPlot } from "./plots.js";
import { STYLE } from "./style.js";
import {
    COMPARISON_HEAD,
    describeGrades,
    groupSamples,
    markBaselines,
    tabulateComparisons,
    tabulateGroups,
    tabulateMeasures,
    tabulateSetup,
    type MeasureTable,
} from "./tables.js";
import { describeExperiment, describeGaps, describeMarks, describeRun } from "./words.js";
import { tokensToHtml } from "./tokens.js";

/** A page without scripts or references to anything outside of it; whatever comes from data is escaped. */
export async function renderHtml(reports: readonly ExperimentReport[], info: RunInfo, title: string): Promise<string> {
    const sections: Markup[] = [];
    for (const report of reports) sections.push(await renderExperiment(report));
    const contents = reports.map((report) => html`<li><a href="#${report.experiment}">${report.title}</a></li>`);
    const page = html`<html lang="en">
        <head>
            <meta charset="utf-8" />
            <meta name="viewport" content="width=device-width, initial-scale=1" />
            <title>${title}</title>
            <style>
                ${new Markup(STYLE)}
            </style>
        </head>
        <body>
            <h1>${title}</h1>
            <p class="note">${describeRun(info)}</p>
            ${info.leftOut.map((sentence) => html`<p class="note">Left out: ${sentence}.</p>`)}
            <nav aria-label="Experiments">
                <ol>
                    ${contents}
                </ol>
            </nav>
            <main>${sections}</main>
        </body>
    </html>`;
    return `<!doctype html>\n${page.source}\n`;
}

async function renderExperiment(report: ExperimentReport): Promise<Markup> {
    const figures: Markup[] = [];
    for (const spec of report.plots) {
        if (spec.kind === "tokens") figures.push(tokensToHtml(spec, report));
        // The drawing escapes the names in it.
        else if ((await findDrawingProblem()) === undefined)
            figures.push(html`<figure>${new Markup(await renderPlot(spec, report))}</figure>`);
    }
    const groups = tabulateGroups(report);
    return html`<section id="${report.experiment}">
        <h2>${report.title}</h2>
        ${report.description.split(/\n\s*\n/).map((paragraph) => html`<p>${paragraph}</p>`)} ${figures}
        ${renderMeasures(tabulateMeasures(report), "All items")}
        <p class="note">${describeMarks(markBaselines(report))}</p>
        ${describeGaps(report).map((sentence) => html`<p class="note">${sentence}</p>`)}
        ${groups.rows.length === 0 ? undefined : renderDetails("By group", renderMeasures(groups, "Items by group"))}
        ${renderComparisons(report)} ${renderSamples(report)} ${renderDetails("How it was made", renderSetup(report))}
    </section>`;
}

function renderMeasures({ columns, rows, items }: MeasureTable, caption: string): Markup {
    const hasGroups = rows.some(({ group }) => group !== undefined);
    const tasks = [...new Set(columns.map(({ task }) => task))];
    const taskHeads = tasks.map((task) => {
        const span = columns.filter((column) => column.task === task).length;
        return html`<th scope="colgroup" colspan="${span}">${task} (${items.get(task)} items)</th>`;
    });
    const heads = columns.map(({ label }) => html`<th scope="col">${label}</th>`);
    const body = rows.map(
        ({ point, isBaseline, group, entries }) =>
            html`<tr class="${isBaseline ? "baseline" : "system"}">
                <th scope="row">${point}</th>
                ${hasGroups ? html`<td>${group}</td>` : undefined}
                ${entries.map((entry) =>
                    entry === undefined
                        ? html`<td>–</td>`
                        : html`<td class="number">${entry.text}<sup>${entry.marks.join(" ")}</sup></td>`,
                )}
            </tr>`,
    );
    return html`<div class="scroll">
        <table>
            <caption>
                ${caption}: means with 95 % intervals
            </caption>
            <thead>
                <tr>
                    <td colspan="${hasGroups ? 2 : 1}"></td>
                    ${taskHeads}
                </tr>
                <tr>
                    <th scope="col">system</th>
                    ${hasGroups ? html`<th scope="col">group</th>` : undefined} ${heads}
                </tr>
            </thead>
            <tbody>
                ${body}
            </tbody>
        </table>
    </div>`;
}

function renderComparisons(report: ExperimentReport): Markup | undefined {
    const rows = tabulateComparisons(report);
    return rows.length === 0 ? undefined : renderDetails("Comparisons", renderTable(COMPARISON_HEAD, rows));
}

function renderSamples(report: ExperimentReport): Markup | undefined {
    const items = groupSamples(report);
    if (items.length === 0) return undefined;
    return renderDetails("Some answers", html`${items.map(renderItem)}`);
}

function renderItem(samples: readonly [Sample, ...Sample[]]): Markup {
    const [{ prompt, item, expected = [] }] = samples;
    const rows = samples.map((sample) => [
        formatPoint(sample.system, sample.settings),
        sample.text ?? "",
        describeGrades(sample),
    ]);
    return html`<blockquote>${prompt ?? item}</blockquote>
        ${expected.length === 0 ? undefined : html`<p class="note">Right: ${expected.join("; ")}</p>`}
        ${renderTable(["system", "answer", "grades"], rows)}`;
}

function renderSetup(report: ExperimentReport): Markup {
    const templates = Object.entries(report.setup?.templates ?? {});
    return html`<p class="note">${describeExperiment(report)}</p>
        ${tabulateSetup(report).map(({ head, rows }) => renderTable(head, rows))}
        ${templates.map(
            ([name, text]) =>
                html`<p class="note">Template ${name}</p>
                    <pre>${text}</pre>`,
        )}`;
}

function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): Markup {
    return html`<div class="scroll">
        <table>
            <thead>
                <tr>
                    ${head.map((name) => html`<th scope="col">${name}</th>`)}
                </tr>
            </thead>
            <tbody>
                ${rows.map(
                    ([name, ...cells]) =>
                        html`<tr>
                            <th scope="row">${name}</th>
                            ${cells.map((cell) => html`<td class="answer">${cell}</td>`)}
                        </tr>`,
                )}
            </tbody>
        </table>
    </div>`;
}

function renderDetails(summary: string, content: Markup): Markup {
    return html`<details>
        <summary>${summary}</summary>
        ${content}
    </details>`;
}
