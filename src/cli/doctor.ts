/** `eft-llama doctor`: what is installed, what of it runs here, and what is missing; what a report of a fault begins with. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { diagnose, type BackendDiagnosis, type Diagnosis } from "../index.js";
import { formatBytes } from "../models/bytes.js";
import { plural } from "../plural.js";
import { colors, formatMessage, print, printable, printJson, wrap } from "./terminal.js";

export const options = {
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object" },
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options>;

export const doctorCommand: CommandModule<object, Flags> = {
    command: "doctor",
    describe: "What is installed, which backends run here and why others do not; ends with 1 if none does",
    builder: (yargs) => yargs.options(options).example("$0 doctor", "").example("$0 doctor --json", ""),
    handler: runDoctor,
};

function runDoctor({ json }: ArgumentsCamelCase<Flags>): void {
    const diagnosis = diagnose();
    if (!diagnosis.runs) process.exitCode = 1;
    if (json) return printJson(diagnosis);
    print(`${describe(printable(diagnosis)).join("\n")}\n`);
}

/** Columns of the names of facts. */
const NAME = 14;
const fact = (name: string, text: string): string => `${name.padEnd(NAME)}${wrap(formatMessage(text), NAME)}`;

/** Messages of what is broken are in the advice: each of them is shown once. */
function describe(found: Diagnosis): string[] {
    const { version, node, platform, addon, llamaCpp, memory, processors, gpus, folders, packages, advice } = found;
    const limit = memory.limit === undefined ? "" : `, at most ${formatBytes(memory.limit)} for this process`;
    const cores =
        processors.physicalCores === undefined ? "" : `, ${plural(processors.physicalCores, "physical core")}`;
    const system = [platform.name, platform.release, ...(platform.libc === undefined ? [] : [platform.libc])].join(
        ", ",
    );
    return [
        fact("eft-llama", version),
        fact("Node", `${node.version}${node.supported ? "" : `, not supported (${node.wanted})`}`),
        fact("system", system),
        fact("addon", "message" in addon ? `no: ${addon.code}` : `${addon.origin}: ${addon.file}`),
        fact(
            "llama.cpp",
            "message" in llamaCpp
                ? `no: ${llamaCpp.code}`
                : `${llamaCpp.release ?? "release unknown"}, ${llamaCpp.origin}: ${llamaCpp.folder}`,
        ),
        ...found.backends.map((backend) => fact(backend.name, describeBackend(backend))),
        fact("GPUs", gpus === undefined ? "unknown" : gpus.map(describeGpu).join("; ") || "none"),
        fact("processors", `${plural(processors.count, "processor")}${cores}: ${processors.model}`),
        fact("memory", `${formatBytes(memory.available)} free of ${formatBytes(memory.total)}${limit}`),
        ...folders.map(({ purpose, folder, bytes, writable }) =>
            fact(
                purpose,
                folder === undefined
                    ? "no folder"
                    : `${folder}: ${formatBytes(bytes)}${writable ? "" : ", and nothing can be written there"}`,
            ),
        ),
        fact("packages", packages.map(({ name, installed }) => `${name} ${installed ?? "-"}`).join(", ")),
        ...advice.map((text) => `\n${colors.yellow(wrap(formatMessage(text), 0))}`),
        "",
        found.runs ? colors.green("Models can be run here.") : colors.red("Models cannot be run here."),
    ];
}

function describeBackend({ name, runs, reason, variant, devices }: BackendDiagnosis): string {
    if (!runs) return `no: ${reason}`;
    // Its memory is the system's, of which ggml tells less.
    if (name === "cpu") return ["yes", variant && `ggml's library for ${variant}`].filter(Boolean).join(", ");
    const shown = devices.map(
        ({ description, memoryFree, memoryTotal }) =>
            `${description}, ${formatBytes(memoryFree)} free of ${formatBytes(memoryTotal)}`,
    );
    return `yes: ${shown.join("; ")}`;
}

function describeGpu({ vendor, driver }: NonNullable<Diagnosis["gpus"]>[number]): string {
    return driver === undefined ? vendor : `${vendor} (driver ${driver})`;
}
