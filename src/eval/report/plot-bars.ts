/** Bars with intervals. */

import type { ExperimentReport, PlotSpec } from "../types.js";
import { selectRows, titleOf } from "./plot-data.js";
import { domainFromZero, GREYS, INTERVALS, PALETTE, whiskers, WIDTH, type Drawing } from "./plot-theme.js";

/** A horizontal bar for each point; measures side by side, since their units may differ. */
export function drawBars(spec: PlotSpec, report: ExperimentReport): Drawing {
    const rows = selectRows(report, spec, spec.y);
    const measures = [...new Set(rows.map(({ measure }) => measure))];
    const points = [...new Set(rows.map(({ point }) => point))];
    const columns = Math.min(3, Math.max(1, measures.length));
    const panels = measures.map((measure, index) => {
        const shown = rows.filter((row) => row.measure === measure);
        const domain = domainFromZero(
            shown.map(({ high }) => high),
            shown[0]?.unit ?? "",
        );
        const isFirst = index % columns === 0;
        const y = {
            field: "point",
            type: "nominal",
            sort: points,
            scale: { domain: points },
            axis: { title: null, labels: isFirst, ticks: false, domain: false, labelPadding: 8 },
        };
        const title = shown[0] && titleOf(shown[0]);
        const axis = { tickCount: columns === 1 ? 6 : 3 };
        const color = { condition: { test: "datum.isBaseline", value: GREYS[1] }, value: PALETTE[0] };
        return {
            width: WIDTH / columns - 60,
            height: { step: 26 },
            data: { values: shown },
            encoding: { y },
            layer: [
                {
                    mark: { type: "bar", height: { band: 0.68 } },
                    encoding: {
                        x: { field: "value", type: "quantitative", scale: { domain }, title, axis },
                        color,
                    },
                },
                whiskers("x"),
                {
                    mark: { type: "text", align: "right", dx: 38 },
                    encoding: { x: { value: "width" }, text: { field: "text" } },
                },
            ],
        };
    });
    return {
        view: { concat: panels, columns, spacing: { column: 20, row: 24 } },
        notes: [rows.some(({ isBaseline }) => isBaseline) ? `${INTERVALS} Grey: baselines.` : INTERVALS],
    };
}
