// The tables of the speculation benchmark.

import { describeSetting, format, printTable, summarize } from "./report.mjs";

const cell = (value, digits = 2) => (value === undefined || Number.isNaN(value) ? "" : value.toFixed(digits));

export function printSpeculation({ members, costs, settings, synthetic, sequences, ...result }) {
    const { family } = result;
    printCosts(describeSetting(result), members, costs);
    for (const setting of settings) printContenders(family, setting);
    console.log(
        "a: acceptance rate; length: tokens a block; drafts: a step; formula: speed-up by the costs of decoding; beside: " +
            "microseconds of a step\nbeside decoding; + beside: the formula with these; /: speed-up to formula; texts: how many " +
            "are not those of plain steps.\nOf adaptive drafts, the formula stands for what they promised themselves.",
    );
    printGoals(family, settings);
    printSynthetic(family, synthetic);
    printSequences(family, sequences);
}

function printCosts(title, members, { drafter, draftMs, batchMs }) {
    const sizes = Object.keys(batchMs).map(Number);
    printTable(
        `${title}; milliseconds of a token, and of batches as multiples of it`,
        ["", ...sizes],
        members.map((name, member) => [
            name,
            `${cell(batchMs[1][member], 3)} ms`,
            ...sizes.slice(1).map((size) => cell(batchMs[size][member] / batchMs[1][member])),
        ]),
    );
    console.log(`While drafting, a token of ${members[drafter]} takes ${cell(draftMs, 3)} ms.`);
}

function printContenders(family, { text, temperature, contenders }) {
    printTable(
        `${family}, ${text}, temperature ${temperature}`,
        [
            ...["", "a", "length", "drafts", "tokens/s", "speed-up"],
            ...["formula", "/", "beside", "+ beside", "/", "texts"],
        ],
        contenders.map(({ name, speedup, formula, forecast, formulaWithBeside, ...contender }) => [
            name,
            cell(contender.acceptanceRate),
            cell(contender.acceptanceLength),
            cell(contender.draftsPerStep, 1),
            cell(contender.tokensPerSecond.median, 0),
            format(speedup, 2),
            cell(formula ?? forecast),
            cell(speedup.median / (formula ?? forecast)),
            cell(contender.besideUs, 0),
            cell(formulaWithBeside),
            cell(speedup.median / formulaWithBeside),
            cell(contender.differing, 0),
        ]),
    );
}

function printGoals(family, settings) {
    printTable(
        `${family}: adaptive drafts against the best fixed length and against plain steps`,
        ["", "best", "adaptive / best", "adaptive / plain"],
        settings.map(({ text, temperature, best, adaptiveToBest, adaptiveToPlain }) => [
            ...[`${text}, temperature ${temperature}`, best],
            ...[format(adaptiveToBest, 2), format(adaptiveToPlain, 2)],
        ]),
    );
    const fixed = settings.flatMap(({ contenders }) => contenders.filter(({ formula }) => formula !== undefined));
    const toFormula = (name) => format(summarize(fixed.map((each) => each.speedup.median / each[name])), 2);
    console.log(
        "Goals: 0.95 or more of the best, and never below 0.98 of plain steps.\n" +
            `All fixed lengths and settings: speed-up / formula ${toFormula("formula")}, ` +
            `with what is beside decoding ${toFormula("formulaWithBeside")}; goal: 0.90 to 1.10.`,
    );
}

function printSynthetic(family, synthetic) {
    printTable(
        `${family}: drafts that cost nothing and are right with a given probability`,
        ["", "a", "drafts", "speed-up", "formula", "/"],
        synthetic.flatMap(({ acceptance, contenders }) =>
            contenders.map(({ length, acceptanceRate, draftsPerStep, speedup, formula }) => [
                `${acceptance}, ${Number.isInteger(length) ? `k = ${length}` : length}`,
                ...[cell(acceptanceRate), cell(draftsPerStep, 1), format(speedup, 2)],
                ...[cell(formula), cell(speedup.median / formula)],
            ]),
        ),
    );
    console.log("Of adaptive drafts, the formula is that of the best length, none included.");
}

function printSequences(family, sequences) {
    printTable(
        `${family}: several completions at once, tokens per second of all together`,
        ["", "plain", "adaptive", "speed-up", "a", "drafts"],
        sequences.map(({ completions, plain, adaptive, speedup, acceptanceRate, draftsPerStep }) => [
            ...[completions, format(plain, 0), format(adaptive, 0), format(speedup, 2)],
            ...[cell(acceptanceRate), cell(draftsPerStep, 1)],
        ]),
    );
}
