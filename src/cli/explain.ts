/** `--explain`: where the target leaves its drafter, in the text itself and token by token in a table. */

import type { ChalkInstance } from "chalk";
import { tokenText, type DrafterView, type CompletionPart, type Ensemble, type TokenPart } from "../index.js";
import { compareWithDrafter } from "../decoding/explain.js";
import { plural } from "../plural.js";
import { colors, escapeControls, escapeLines, formatProbability, formatTable, quote } from "./terminal.js";

/** From hot to calm: the total-variation distance from which on each colour is taken. Below all of them: none. */
const HEAT = [
    { from: 0.75, paint: colors.black.bgRed },
    { from: 0.5, paint: colors.black.bgYellow },
    { from: 0.25, paint: colors.black.bgGreen },
    { from: 0.1, paint: colors.black.bgCyan },
];
/** Columns of the table's cells; with its lines they make 80. */
const WIDTHS = [20, 9, 20, 10, 15];

/** The text of a part, coloured by its distance, without anything else that a terminal would obey. */
export function paintText(part: CompletionPart): string {
    if (part.type !== "token" || part.drafter === undefined || colors.level === 0) return escapeLines(part.text);
    const heat = chooseHeat(part.drafter.totalVariation);
    const paint = isOther(part, part.drafter) ? heat.underline : heat;
    const lines = part.text.split("\n").map((line) => paint(escapeControls(line)));
    return lines.join(`${paint("\\n")}\n`);
}

/** A legend of the colours, a summary and the table, for after the text. */
export function describeDecisions(ensemble: Ensemble, parts: readonly TokenPart[]): string {
    if (parts.length === 0) return "\n";
    const { differing, meanDistance } = compareWithDrafter(parts);
    const head = ["token", "target", "drafter instead", "distance", "changed by"];
    return [
        "",
        "",
        ...(colors.level === 0 ? [] : [describeHeat()]),
        `The drafter would have said something else at ${differing} of ${plural(parts.length, "token")}.`,
        `Mean distance between drafter and target: ${formatDistance(meanDistance)}`,
        formatTable(
            head,
            parts.map((part) => describeToken(ensemble, part)),
            { widths: WIDTHS },
        ),
        "",
    ].join("\n");
}

function describeHeat(): string {
    const steps = HEAT.toReversed().map(({ from, paint }) => paint(` from ${from} `));
    return `Distance ${steps.join("")}, ${colors.underline("drafter says something else")}`;
}

function describeToken(ensemble: Ensemble, part: TokenPart): string[] {
    const { id, logprob, drafter } = part;
    const cells = [quote(tokenText(ensemble, id)), formatProbability(logprob)];
    if (drafter === undefined) return [...cells, "", "", ""];
    const { totalVariation, changedBy, shifts } = drafter;
    return [
        ...cells,
        isOther(part, drafter) ? quote(drafter.text) : "",
        chooseHeat(totalVariation)(formatDistance(totalVariation)),
        changedBy === undefined ? "" : `${formatShift(shifts?.[changedBy] ?? NaN)} ${changedBy}`,
    ];
}

function chooseHeat(distance: number): ChalkInstance {
    return HEAT.find(({ from }) => distance >= from)?.paint ?? colors;
}

function isOther({ id }: TokenPart, drafter: DrafterView): boolean {
    return drafter.id !== id;
}

function formatDistance(distance: number): string {
    return distance.toFixed(3);
}

/** In nats, with its sign. */
function formatShift(shift: number): string {
    return `${shift < 0 ? "" : "+"}${shift.toFixed(2)}`;
}
