/** Plots of kind `tokens`: texts coloured by how far the drafter's distribution is from the target's at each token. */

import type { ExperimentReport, PlotSpec, Sample, TokenView } from "../types.js";
import { formatPoint, parseReference } from "./format.js";
import { escapeMarkdown, html, type Markup } from "./markup.js";
import { isShown } from "./plot-data.js";

export function tokensToHtml(spec: PlotSpec, report: ExperimentReport): Markup {
    return html`<figure class="tokens">
        <figcaption>
            <strong>${spec.title}</strong><br />
            Total variation of the drafter's and the target's distribution: 0 <span class="scale"></span> 1.
            <mark>Underlined</mark>: the drafter would have drawn another token; point at it to see which.
        </figcaption>
        ${chooseTexts(spec, report).map(
            ({ sample, tokens }) =>
                html`<p class="prompt">${formatPoint(sample.system, sample.settings)}: ${sample.prompt}</p>
                    <p class="text">${tokens.map(tokenToHtml)}</p>`,
        )}
    </figure>`;
}

function tokenToHtml(token: TokenView): Markup {
    const { text, totalVariation, instead } = token;
    const style = `--distance: ${totalVariation.toFixed(3)}`;
    const shown = text.replaceAll("\n", "↵\n");
    return instead === undefined
        ? html`<span style="${style}" title="${describeToken(token)}">${shown}</span>`
        : html`<mark style="${style}" title="${describeToken(token)}" tabindex="0">${shown}</mark>`;
}

/** `total variation 0.41; the drafter would have drawn “ Quito”; changed by large`. */
function describeToken({ totalVariation, instead, changedBy }: TokenView): string {
    return [
        `total variation ${totalVariation.toFixed(2)}`,
        ...(instead === undefined ? [] : [`the drafter would have drawn “${instead}”`]),
        ...(changedBy === undefined ? [] : [`changed by ${changedBy}`]),
    ].join("; ");
}

/** The texts with changed tokens in bold, and a table of those. */
export function tokensToMarkdown(spec: PlotSpec, report: ExperimentReport): string {
    const texts = chooseTexts(spec, report).map(({ sample, tokens }) => {
        const changed = tokens.filter(({ instead }) => instead !== undefined);
        const rows = changed.map(({ text, instead = "", changedBy = "", totalVariation }) =>
            [text, instead, changedBy, totalVariation.toFixed(2)].map(escapeMarkdown).join(" | "),
        );
        const head = ["| token | the drafter's | changed by | total variation |", "| --- | --- | --- | ---: |"];
        const table = rows.length === 0 ? [] : ["", ...head, ...rows.map((row) => `| ${row} |`)];
        const point = formatPoint(sample.system, sample.settings);
        return [
            `${escapeMarkdown(point)}: ${escapeMarkdown(sample.prompt ?? sample.item)}`,
            "",
            `> ${tokens.map(tokenToMarkdown).join("")}`,
            ...table,
        ].join("\n");
    });
    const note = "Bold: the drafter would have drawn another token.";
    return [`**${escapeMarkdown(spec.title)}**. ${note}`, ...texts].join("\n\n");
}

/** White space stays outside of the asterisks, which would not be bold otherwise. */
function tokenToMarkdown({ text, instead }: TokenView): string {
    const [, before = "", word = "", after = ""] = /^(\s*)(.*?)(\s*)$/s.exec(text) ?? [];
    const isBold = instead !== undefined && word !== "";
    const shown = isBold ? `**${escapeMarkdown(word)}**` : escapeMarkdown(word);
    return `${before}${shown}${after}`.replace(/\s+/g, " ");
}

/** Samples that carry tokens, of the tasks and points that the plot is about. */
function chooseTexts(
    spec: PlotSpec,
    { samples }: ExperimentReport,
): { readonly sample: Sample; readonly tokens: readonly TokenView[] }[] {
    const tasks = spec.y.map((reference) => parseReference(reference).task);
    return samples.flatMap((sample) => {
        const { tokens } = sample;
        return tokens !== undefined && tasks.includes(sample.task) && isShown(sample, spec) ? [{ sample, tokens }] : [];
    });
}
