/** The report in its three forms: a page to look at, Markdown to publish, JSON to compute with. */

import path from "node:path";
import { makeFolder, writeWhole } from "../../files.js";
import type { ExperimentReport, RunInfo } from "../types.js";
import { renderHtml } from "./html.js";
import { renderMarkdown } from "./markdown.js";

export { renderHtml } from "./html.js";
export { renderMarkdown, type MarkdownReport } from "./markdown.js";
export { findDrawingProblem, renderPlot } from "./plots.js";

const IMAGES = "images";

/** All cells, comparisons, samples and plots as they are. Infinite numbers become null. */
export function renderJson(reports: readonly ExperimentReport[], info: RunInfo, title: string): string {
    return `${JSON.stringify({ eftReport: 1, title, info, experiments: reports }, null, 2)}\n`;
}

/**
 * Writes `report.html`, `report.md` with its `images`, and `report.json`. Whoever reads one of them meanwhile sees the old file or
 * the new one, never a part.
 *
 * @param folder - is created if it is missing
 * @returns the three files
 * @throws EftError FILE_UNWRITABLE
 */
export async function writeReport(
    folder: string,
    reports: readonly ExperimentReport[],
    info: RunInfo,
    title: string,
): Promise<string[]> {
    const { markdown, images } = await renderMarkdown(reports, info, title, IMAGES);
    await makeFolder(path.join(folder, IMAGES));
    for (const [name, svg] of Object.entries(images)) await writeWhole(path.join(folder, IMAGES, name), svg);
    const files = {
        "report.html": await renderHtml(reports, info, title),
        "report.md": markdown,
        "report.json": renderJson(reports, info, title),
    };
    for (const [name, text] of Object.entries(files)) await writeWhole(path.join(folder, name), text);
    return Object.keys(files).map((name) => path.join(folder, name));
}
