/** What all plots look like. */

/** A view of a Vega-Lite specification with its data in it. */
export interface Drawing {
    readonly view: Readonly<Record<string, unknown>>;
    /** Lines below the title that say how to read the plot. */
    readonly notes: readonly string[];
}

/** Okabe and Ito's colours, which people of all kinds of colour vision tell apart, without the yellow that white swallows. */
export const PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
/** Baselines. */
export const GREYS = ["#6e6e6e", "#a0a0a0", "#c4c4c4"];
const INK = "#222222";
const FAINT = "#e8e8e8";

/** Pixels of a plot without its axes and legends. */
export const WIDTH = 520;
export const HEIGHT = 280;

export const INTERVALS = "Whiskers: 95 % intervals.";

export const THEME = {
    background: "white",
    padding: 12,
    config: {
        aria: false,
        font: "Helvetica, Arial, 'Liberation Sans', sans-serif",
        view: { stroke: null },
        title: {
            anchor: "start",
            frame: "bounds",
            fontSize: 15,
            color: INK,
            subtitleFontSize: 11.5,
            subtitleColor: "#666666",
            subtitlePadding: 4,
            offset: 12,
        },
        axis: {
            labelFontSize: 12,
            titleFontSize: 12,
            titleFontWeight: "normal",
            labelColor: INK,
            titleColor: INK,
            gridColor: FAINT,
            domainColor: "#888888",
            tickColor: "#888888",
            titlePadding: 8,
            labelLimit: 260,
        },
        legend: {
            orient: "top",
            direction: "horizontal",
            title: null,
            labelFontSize: 12,
            labelColor: INK,
            labelLimit: 400,
            symbolOpacity: 1,
            symbolStrokeWidth: 2.5,
            columnPadding: 18,
        },
        text: { fontSize: 11.5, color: INK },
    },
};

/** A range of an axis that starts at 0; of shares, all of it. */
export function domainFromZero(highs: readonly number[], unit: string): [number, number] {
    return unit === "%" ? [0, 100] : [0, 1.05 * Math.max(0, ...highs)];
}

/** A colour for each series in turn: baselines in grey, all others in {@link PALETTE}. */
export function colorsOf(series: readonly { readonly name: string; readonly isBaseline: boolean }[]): {
    readonly domain: readonly string[];
    readonly range: readonly string[];
} {
    const pick = (isGrey: boolean, colors: readonly string[]): [string, string][] =>
        [...new Set(series.filter(({ isBaseline }) => isBaseline === isGrey).map(({ name }) => name))].map(
            (name, index) => [name, colors[index % colors.length] ?? INK],
        );
    const colors = [...pick(false, PALETTE), ...pick(true, GREYS)];
    return { domain: colors.map(([name]) => name), range: colors.map(([, color]) => color) };
}

/** Lines from `low` to `high`. */
export function whiskers(axis: "x" | "y"): { readonly mark: object; readonly encoding: object } {
    return {
        mark: { type: "rule", color: INK, strokeWidth: 1.2 },
        encoding: { [axis]: { field: "low", type: "quantitative" }, [`${axis}2`]: { field: "high" } },
    };
}
