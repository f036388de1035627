/** `eft-llama eval`: experiments over systems and tasks, and a report of them. */

import path from "node:path";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { formatCell, formatPoint } from "../eval/report/format.js";
import { evaluate, type Evaluation } from "../index.js";
import { abortable } from "./interrupt.js";
import { showLog } from "./load.js";
import { withConfig } from "./config.js";
import { loadOptions, outputOptions, sequencesOption } from "./options.js";
import { colors, formatTable, print, printable, remark, startProgress } from "./terminal.js";

export const options = {
    family: {
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "Members and tasks that the experiments may use: a file, or `demo`; default for `paper`: demo",
    },
    limit: {
        type: "number",
        requiresArg: true,
        group: "Input:",
        description: "Most items of each task, evenly spread",
    },
    "judge-url": {
        type: "string",
        requiresArg: true,
        group: "Judge:",
        description: "Base URL of an OpenAI-compatible endpoint, e.g. http://127.0.0.1:8080/v1; key: EFT_JUDGE_API_KEY",
    },
    "judge-model": { type: "string", requiresArg: true, group: "Judge:", description: "Name of the judge model there" },
    ...loadOptions,
    sequences: { ...sequencesOption, default: 8 },
    out: {
        type: "string",
        requiresArg: true,
        default: "eval-results",
        group: "Output:",
        description: "Folder of answers and report; what was answered there is not asked again",
    },
    restart: { type: "boolean", default: false, group: "Output:", description: "Throw away earlier answers" },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { experiments: string[] };

export const evalCommand: CommandModule<object, Flags> = {
    command: "eval <experiments..>",
    describe: "Run experiments: systems at tasks, graded, with intervals and plots",
    builder: (yargs) =>
        yargs
            .positional("experiments", {
                type: "string",
                array: true,
                demandOption: true,
                description: "Experiment files, or `paper` for the experiments of the paper",
            })
            .options(withConfig(options))
            .check(({ judgeUrl, judgeModel, limit }) => {
                if ((judgeUrl === undefined) !== (judgeModel === undefined))
                    throw new Error("--judge-url and --judge-model go together.");
                if (limit !== undefined && !(Number.isInteger(limit) && limit > 0))
                    throw new Error("--limit takes a whole number above 0.");
                return true;
            })
            .example("$0 eval paper --family demo", "")
            .example("$0 eval my-experiment.yaml --out my-results", ""),
    handler: runEval,
};

async function runEval(args: ArgumentsCamelCase<Flags>): Promise<void> {
    if (args.verbose) showLog();
    const { family, limit, judgeUrl, judgeModel } = args;
    const progress = startProgress("Loading", true);
    try {
        const evaluation = await abortable((signal) =>
            evaluate(args.experiments, {
                folder: args.out,
                restart: args.restart,
                ...(family !== undefined && { family }),
                ...(limit !== undefined && { limit }),
                ...(judgeUrl !== undefined &&
                    judgeModel !== undefined && { judge: { url: judgeUrl, model: judgeModel } }),
                load: {
                    backend: args.backend,
                    threads: args.threads,
                    contextSize: args.contextSize,
                    gpuLayers: args.gpuLayers,
                    cacheType: args.cacheType,
                    trust: args.trust,
                    sequences: args.sequences,
                },
                onCheck: (file, fraction) => progress.update(fraction, `Reading ${path.basename(file)}`),
                onProgress: ({ experiment, system, done, total }) =>
                    progress.update(done / total, `${experiment}: ${system}`.slice(0, 40).padEnd(40)),
                signal,
            }),
        );
        progress.stop();
        // Ctrl-C came too late to interrupt anything.
        process.exitCode = 0;
        const { leftOut, ...rest } = printable(evaluation);
        for (const sentence of leftOut) remark(`Left out: ${sentence}\n`);
        print(describe(rest));
    } finally {
        progress.stop();
    }
}

/** The measures over all items, a table for each experiment, and where the report is. */
function describe({ reports, files }: Omit<Evaluation, "leftOut">): string {
    const parts = reports.map(({ title, cells }) => {
        const all = cells.filter(({ group }) => group === undefined);
        const columns = [...new Set(all.map(({ task, measure }) => `${task}/${measure}`))];
        const points = new Map<string, string[]>();
        for (const cell of all) {
            const { system, settings, task, measure } = cell;
            const name = formatPoint(system, settings);
            const row = points.get(name) ?? columns.map(() => "");
            row[columns.indexOf(`${task}/${measure}`)] = formatCell(cell);
            points.set(name, row);
        }
        const rows = [...points].map(([name, cellsOfPoint]) => [name, ...cellsOfPoint]);
        return `${colors.bold(title)}\n${formatTable(["", ...columns], rows)}\n`;
    });
    return [...parts, files.map((file) => `${file}\n`).join("")].join("\n");
}
