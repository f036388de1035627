/** Plots as SVG, drawn by Vega-Lite without a browser. */

import type { TopLevelSpec } from "vega-lite";
import type { ExperimentReport, PlotSpec } from "../types.js";
import { replaceControls } from "./markup.js";
import { drawBars } from "./plot-bars.js";
import { selectRows } from "./plot-data.js";
import { drawFrontier } from "./plot-frontier.js";
import { drawGroupedBars, drawLines } from "./plot-settings.js";
import { THEME, WIDTH, type Drawing } from "./plot-theme.js";

/** Of the average letter, as part of the font size: a little more than it is, bold titles included. */
const LETTER_WIDTH = 0.55;

/** The part of Vega's object of that name that its types lack. */
interface TextMetrics {
    width: (item: { readonly fontSize?: number }, text: unknown) => number;
}

const NOTHING: Drawing = {
    view: { width: WIDTH, height: 40, data: { values: [] }, mark: "point" },
    notes: ["There are no answers to show."],
};

/**
 * A self-contained SVG: no scripts, no references, no ids that could clash on a page. The same report gives the same text.
 *
 * @param spec - of any kind but `tokens`
 */
export async function renderPlot(spec: PlotSpec, report: ExperimentReport): Promise<string> {
    const drawing = selectRows(report, spec, spec.y).length === 0 ? NOTHING : draw(spec, report);
    // The two libraries are large, and most commands never draw.
    const vega = await import("vega");
    const vegaLite = await import("vega-lite");
    // Without a canvas to measure on, Vega takes letters for 0.8 as wide as the font is high, and leaves a wide margin.
    const metrics = (vega as unknown as { textMetrics: TextMetrics }).textMetrics;
    metrics.width = ({ fontSize = 11 }, text) => LETTER_WIDTH * fontSize * String(text).length;
    const title = { text: spec.title, subtitle: drawing.notes.join(" ") };
    // Vega-Lite's own type of a specification is too deep to be checked piece by piece.
    const compiled = vegaLite.compile({ ...THEME, title, ...drawing.view } as TopLevelSpec);
    const view = new vega.View(vega.parse(compiled.spec), { renderer: "none" });
    const svg = await view.toSVG();
    view.finalize();
    return replaceControls(svg);
}

function draw(spec: PlotSpec, report: ExperimentReport): Drawing {
    switch (spec.kind) {
        case "bars":
            return spec.x === undefined ? drawBars(spec, report) : drawGroupedBars(spec, report);
        case "lines":
            return drawLines(spec, report);
        case "frontier":
            return drawFrontier(spec, report);
        case "tokens":
            throw new Error("tokens are shown as text, not drawn");
    }
}
