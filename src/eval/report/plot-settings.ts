/** Measures over the values of a setting: lines, or groups of bars. */

import type { ExperimentReport, PlotSpec } from "../types.js";
import { nameSeries, selectRows, titleOf, type PlotRow } from "./plot-data.js";
import { colorsOf, domainFromZero, GREYS, HEIGHT, INTERVALS, whiskers, WIDTH, type Drawing } from "./plot-theme.js";

type Layer = Readonly<Record<string, unknown>>;

/** Pixels between the labels of two lines at least. */
const LABEL_HEIGHT = 14;

/** Beyond so many bars, the numbers over them would run into each other. */
const MOST_NUMBERS = 18;

/** A line for each series, its interval as a band. */
export function drawLines(spec: PlotSpec, report: ExperimentReport): Drawing {
    return drawOverSetting(spec, report, "Bands: 95 % intervals.", (x, values, color) => {
        const axis = {
            field: "x",
            type: "quantitative",
            title: x,
            axis: { values, labelExpr: "'' + datum.value", labelFlush: false, grid: false },
        };
        const encoding = { x: { ...axis, scale: { zero: false, nice: false } }, color };
        return [
            {
                mark: { type: "area", opacity: 0.16 },
                encoding: { ...encoding, y: { field: "low", type: "quantitative" }, y2: { field: "high" } },
            },
            {
                mark: { type: "line", strokeWidth: 2.2, point: { filled: true, size: 42 } },
                encoding: { ...encoding, y: { field: "value", type: "quantitative" } },
            },
        ];
    });
}

/** For each value of the setting, a bar for each series. */
export function drawGroupedBars(spec: PlotSpec, report: ExperimentReport): Drawing {
    return drawOverSetting(spec, report, INTERVALS, (x, values, color) => {
        const axis = { field: "x", type: "nominal", title: x, sort: values, axis: { labelAngle: 0, ticks: false } };
        const encoding = { x: axis, xOffset: { field: "series", sort: color.scale.domain } };
        const { mark, encoding: ends } = whiskers("y");
        const numbers = {
            mark: { type: "text", baseline: "bottom", dy: -4, fontSize: 10.5 },
            encoding: { ...encoding, y: { field: "high", type: "quantitative" }, text: { field: "text" } },
        };
        return [
            { mark: "bar", encoding: { ...encoding, color, y: { field: "value", type: "quantitative" } } },
            { mark, encoding: { ...encoding, ...ends } },
            ...(values.length * color.scale.domain.length > MOST_NUMBERS ? [] : [numbers]),
        ];
    });
}

interface Color {
    readonly scale: { readonly domain: readonly string[]; readonly range: readonly string[] };
}

/**
 * A panel for each unit. Points without the setting (most baselines) are dashed lines across, their name at the end.
 *
 * @param drawSeries - layers that draw the rows `{ x, series, value, low, high }`
 */
function drawOverSetting(
    spec: PlotSpec,
    report: ExperimentReport,
    note: string,
    drawSeries: (x: string, values: readonly unknown[], color: Color & Layer) => readonly Layer[],
): Drawing {
    const { x = "" } = spec;
    const rows = selectRows(report, spec, spec.y);
    const units = [...new Set(rows.map(({ unit }) => unit))];
    const panels = units.map((unit): Layer => {
        const all = rows.filter((row) => row.unit === unit);
        const along = all.filter(({ settings }) => settings[x] !== undefined);
        const across = all.filter(({ settings }) => settings[x] === undefined);
        const names = nameSeries(along, x);
        const data = along.map((row, index) => ({ ...row, x: row.settings[x], series: names[index] ?? "" }));
        const scale = colorsOf(data.map(({ series, isBaseline }) => ({ name: series, isBaseline })));
        const color = { field: "series", type: "nominal", scale, ...(scale.domain.length > 1 ? {} : { legend: null }) };
        const values = [...new Set(data.map((row) => row.x))];
        const measures = [...new Set(all.map(({ measure }) => measure))];
        const domain = domainFromZero(
            all.map(({ high }) => high),
            unit,
        );
        const [first, ...others] = measures;
        const common = unit === "%" ? "share (%)" : unit;
        const title = first === undefined || others.length > 0 ? common : titleOf({ measure: first, unit });
        return {
            width: WIDTH,
            height: HEIGHT,
            data: { values: data },
            encoding: { y: { scale: { domain }, title } },
            layer: [...drawAcross(across, domain[1], measures.length > 1), ...drawSeries(x, values, color)],
        };
    });
    return {
        view: { vconcat: panels, spacing: 24, resolve: { scale: { color: "independent" } } },
        notes: [rows.some(({ isBaseline }) => isBaseline) ? `${note} Grey: baselines.` : note],
    };
}

function drawAcross(rows: readonly PlotRow[], top: number, withMeasure: boolean): Layer[] {
    const labelled = spreadLabels(rows, (LABEL_HEIGHT / HEIGHT) * top).map((row) => ({
        ...row,
        label: withMeasure ? `${row.point}, ${row.measure}` : row.point,
    }));
    const data = { values: labelled };
    const y = (field: string): Layer => ({ field, type: "quantitative" });
    return [
        {
            data,
            mark: { type: "rule", color: GREYS[0], strokeDash: [5, 4], strokeWidth: 1.3 },
            encoding: { y: y("value") },
        },
        {
            data,
            mark: { type: "text", align: "left", dx: 6, color: "#555555" },
            encoding: { x: { value: "width" }, y: y("labelAt"), text: { field: "label" } },
        },
    ];
}

/** Moves labels upwards from one another where lines are close. */
function spreadLabels(rows: readonly PlotRow[], distance: number): (PlotRow & { readonly labelAt: number })[] {
    let last = -Infinity;
    return [...rows]
        .sort((a, b) => a.value - b.value)
        .map((row) => {
            last = Math.max(row.value, last + distance);
            return { ...row, labelAt: last };
        });
}
