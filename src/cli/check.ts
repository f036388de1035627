/** `eft-llama check`: whether models work as they should on this machine; what a report of a fault begins with. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { checkModels, isRemote, loadRecipe, type CheckedWith, type Finding } from "../index.js";
import { isGguf } from "../models/gguf.js";
import { formatBytes } from "../models/bytes.js";
import { plural } from "../plural.js";
import { abortable } from "./interrupt.js";
import { withConfig } from "./config.js";
import { printFinding } from "./findings.js";
import { showLog } from "./load.js";
import { loadOptions, outputOptions } from "./options.js";
import {
    colors,
    escapeControls,
    formatMessage,
    print,
    printJson,
    startProgress,
    wrap,
    type Progress,
} from "./terminal.js";

const { "context-size": _, "cache-tokens": __, ...loading } = loadOptions;
export const options = {
    ...loading,
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object" },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { sources?: string[] };
type CheckArguments = ArgumentsCamelCase<Flags>;

export const checkCommand: CommandModule<object, Flags> = {
    command: "check <sources..>",
    describe: "Try models on this machine, beside node-llama-cpp; ends with 1 if something differs",
    builder: (yargs) =>
        yargs
            .positional("sources", {
                type: "string",
                array: true,
                demandOption: true,
                description:
                    "GGUF files, or hf: or https: references that were downloaded, in any order; or one recipe, a file or the name of a built-in one",
            })
            .options(withConfig(options))
            .example("$0 check model.gguf", "")
            .example("$0 check large.gguf small-chat.gguf small.gguf", "")
            .example("$0 check recipe.yaml --json", ""),
    handler: runCheck,
};

async function runCheck(args: CheckArguments): Promise<void> {
    if (args.verbose) showLog();
    const { sources = [], json } = args;
    const [source = ""] = sources;
    const isRecipe = sources.length === 1 && !isRemote(source) && !(await isGguf(source));
    const given = isRecipe ? await loadRecipe(source) : sources;
    const screen = createScreen(args);
    const report = await abortable(async (signal) => {
        try {
            return await checkModels(given, {
                backend: args.backend,
                threads: args.threads,
                gpuLayers: args.gpuLayers,
                cacheType: args.cacheType,
                trust: args.trust,
                signal,
                ...(!json && { onStart: screen.begin, onFinding: screen.tell }),
                onProgress: screen.update,
            });
        } finally {
            screen.stop();
        }
    });
    if (!report.passed) process.exitCode = 1;
    if (json) return printJson(report);
    const paint = report.passed ? colors.green : colors.red;
    const end = wrap(formatMessage(`${report.conclusion} It took ${report.seconds.toFixed(0)} s.`), 0);
    print(`\n${paint(end)}\n`);
}

/** Findings as they come, and between them a bar that says what is done. */
function createScreen({ verbose }: CheckArguments) {
    let bar: Progress | undefined;
    let last: string | undefined;
    const stop = (): void => {
        bar?.stop();
        bar = undefined;
    };
    return {
        stop,
        begin: (setup: CheckedWith): void => {
            stop();
            print(`${describeSetup(setup).map(escapeControls).join("\n")}\n`);
        },
        // A bar and a log would share lines.
        update: (doing: string, fraction: number): void => {
            if (!verbose) (bar ??= startProgress("Checking")).update(fraction, doing);
        },
        tell: (finding: Finding, about: string): void => {
            stop();
            if (about !== last) print(`\n${colors.bold(escapeControls(about))}\n`);
            last = about;
            printFinding(finding, 19);
        },
    };
}

function describeSetup(setup: CheckedWith): string[] {
    const { version, llamaCpp, nodeLlamaCpp, node, platform, cpu, processors, memory, backend, devices } = setup;
    return [
        `eft-llama ${version}, llama.cpp ${llamaCpp} of node-llama-cpp ${nodeLlamaCpp}, Node ${node}, ${platform}`,
        `${cpu}, ${plural(processors, "processor")}, ${formatBytes(memory)}; ${plural(setup.threads, "thread")}`,
        `Backend: ${[backend, ...devices].join(", ")}`,
        ...setup.rejected.map(({ backend: other, reason }) => `  not ${other}: ${reason}`),
    ];
}
