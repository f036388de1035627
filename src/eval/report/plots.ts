/** Plots as SVG, drawn by Vega-Lite without a browser. */

import type * as Vega from "vega";
import type * as VegaLite from "vega-lite";
import { manifest } from "../../package.js";
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
    const { vega, vegaLite } = await importVega();
    // Without a canvas to measure on, Vega takes letters for 0.8 as wide as the font is high, and leaves a wide margin.
    const metrics = (vega as unknown as { textMetrics: TextMetrics }).textMetrics;
    metrics.width = ({ fontSize = 11 }, text) => LETTER_WIDTH * fontSize * String(text).length;
    const title = { text: spec.title, subtitle: drawing.notes.join(" ") };
    // Vega-Lite's own type of a specification is too deep to be checked piece by piece.
    const compiled = vegaLite.compile({ ...THEME, title, ...drawing.view } as VegaLite.TopLevelSpec);
    const view = new vega.View(vega.parse(compiled.spec), { renderer: "none" });
    const svg = await view.toSVG();
    view.finalize();
    return replaceControls(svg);
}

/**
 * Whether plots can be drawn at all: what draws them may be left out of an installation.
 *
 * @returns undefined if they can, else why they are left out
 */
export async function findDrawingProblem(): Promise<string | undefined> {
    try {
        await importVega();
        return undefined;
    } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ERR_MODULE_NOT_FOUND") throw error;
        const packages = ["vega", "vega-lite"].map((name) => `${name}@${manifest.optionalDependencies[name]}`);
        return `the plots, which need packages that are not installed (${packages.join(", ")}); with them, the same command draws what was measured`;
    }
}

/** Imported here because they are large, and most commands never draw. */
async function importVega(): Promise<{
    readonly vega: typeof Vega;
    readonly vegaLite: typeof VegaLite;
}> {
    return { vega: await import("vega"), vegaLite: await import("vega-lite") };
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
