/** One measure over another: what is gained against what it costs. */

import type { ExperimentReport, PlotSpec } from "../types.js";
import { nameSeries, selectRows, titleOf, type PlotRow } from "./plot-data.js";
import { colorsOf, INTERVALS, whiskers, WIDTH, type Drawing } from "./plot-theme.js";

/** A point of the grid in the plane. */
interface FrontierRow extends PlotRow {
    readonly x: number;
    readonly xLow: number;
    readonly xHigh: number;
    readonly series: string;
    readonly label: string;
    readonly order: number;
}

/** Points of a series joined in the order of the setting `along`, each with its value; single points with their name. */
export function drawFrontier(spec: PlotSpec, report: ExperimentReport): Drawing {
    const { along = "" } = spec;
    const rows = pairRows(spec, report);
    const joined = rows.filter(({ settings }) => settings[along] !== undefined);
    const single = rows.filter(({ settings }) => settings[along] === undefined);
    const scale = colorsOf(rows.map(({ series, isBaseline }) => ({ name: series, isBaseline })));
    const hasLegend = new Set(joined.map(({ series }) => series)).size > 1;
    const color = {
        field: "series",
        type: "nominal",
        scale,
        legend: hasLegend ? { values: [...new Set(joined.map(({ series }) => series))] } : null,
    };
    const { mark } = whiskers("x");
    const faint = { ...mark, color: undefined, opacity: 0.55 };
    const across = selectRows(report, spec, [spec.x ?? ""])[0];
    const axis = { zero: false, nice: false, padding: 24 };
    const x = { field: "x", type: "quantitative", title: across && titleOf(across), scale: axis };
    const y = { field: "value", type: "quantitative", title: rows[0] && titleOf(rows[0]), scale: axis };
    // A white shadow keeps names readable where lines cross them.
    const name = { type: "text", align: "left", baseline: "bottom", dx: 7, dy: -5 };
    const encoding = { x, y, text: { field: "label" }, color: { value: "#222222" } };
    return {
        view: {
            width: WIDTH,
            height: 360,
            data: { values: rows },
            encoding: { color },
            layer: [
                { mark: faint, encoding: { x: { ...x, field: "xLow" }, x2: { field: "xHigh" }, y } },
                { mark: faint, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } } },
                {
                    data: { values: joined },
                    mark: { type: "line", strokeWidth: 2 },
                    encoding: { x, y, order: { field: "order", type: "quantitative" } },
                },
                { mark: { type: "point", filled: true, opacity: 1, size: 70 }, encoding: { x, y } },
                { mark: { ...name, stroke: "white", strokeWidth: 4 }, encoding },
                { mark: name, encoding },
            ],
        },
        notes: [
            ...(joined.length > 0 ? [`Numbers at the points: ${along}.`] : []),
            INTERVALS,
            ...(single.some(({ isBaseline }) => isBaseline) ? ["Grey: baselines."] : []),
        ],
    };
}

/** Points that have both measures. */
function pairRows(spec: PlotSpec, report: ExperimentReport): FrontierRow[] {
    const { along = "" } = spec;
    const across = new Map(selectRows(report, spec, [spec.x ?? ""]).map((row) => [row.point, row]));
    const up = selectRows(report, spec, spec.y).filter(({ point }) => across.has(point));
    const names = nameSeries(up, along);
    return up.map((row, index): FrontierRow => {
        const { value: x, low: xLow, high: xHigh } = across.get(row.point) as PlotRow;
        const setting = row.settings[along];
        const label = setting === undefined ? row.point : String(setting);
        return { ...row, x, xLow, xHigh, series: names[index] ?? "", label, order: Number(setting ?? 0) };
    });
}
