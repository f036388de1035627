/** How `/compare` shows answers. */

import Table from "cli-table3";
import type { ComparedAnswer } from "../../chat/compare.js";
import type { CompletionResult } from "../../index.js";
import { colors, escapeLines } from "../terminal.js";

/** Columns that a text needs to be read beside others. */
const NARROWEST = 24;

/**
 * @param dials - that answers were given at
 * @param width - columns that the comparison may take
 */
export function describeAnswers(
    answers: readonly ComparedAnswer[],
    dials: Readonly<Record<string, number>>,
    width: number,
): string {
    const settings = Object.entries(dials).map(([name, value]) => `, ${name} = ${value}`);
    const shown = answers.map(({ member, result }): [string, string] =>
        member === undefined
            ? [`target${settings.join("")}`, colors.green(showAnswer(result))]
            : [`${member} alone`, showAnswer(result)],
    );
    return layOut(shown, width);
}

/** With an ellipsis where it was cut. */
function showAnswer({ text, reason }: CompletionResult): string {
    const lines = escapeLines(text.trim());
    return reason === "stop" ? lines : `${lines} …`;
}

/** Side by side if there is room, else below each other. */
function layOut(answers: readonly (readonly [string, string])[], width: number): string {
    const column = Math.floor((width - 1) / answers.length) - 1;
    if (column < NARROWEST) return answers.map(([title, text]) => `${colors.bold(title)}\n${text}`).join("\n\n");
    const table = new Table({
        head: answers.map(([title]) => colors.bold(title)),
        style: { head: [], border: [] },
        colWidths: answers.map(() => column),
        wordWrap: true,
    });
    table.push(answers.map(([, text]) => text));
    return table.toString();
}
