// Benchmarks print a table and write JSON. They never pass or fail on a time, and compare within one run alone.

import { tmpdir } from "node:os";
import yargs from "yargs";
import { hideBin } from "yargs/helpers";
import { benchBatch, printBatch } from "./batch.mjs";
import { FAMILIES, findFamily, importLibrary, isBundle } from "./families.mjs";
import { gpuCommand } from "./gpu/command.mjs";
import { grammarCommand } from "./grammar-command.mjs";
import { checkOut, outOption } from "./out.mjs";
import { benchPauses, printPauses } from "./pauses.mjs";
import { writeReport } from "./report.mjs";
import { benchScore, printScore } from "./score.mjs";
import { serveCommand } from "./serve-command.mjs";
import { benchSelective, printSelective } from "./selective.mjs";
import { benchSpeculation, printSpeculation } from "./speculation.mjs";
import { startupCommand } from "./startup-command.mjs";
import { benchStep, printStep } from "./step.mjs";
import { benchStructured, printStructured } from "./structured.mjs";
import { exitCodeOf, SIGNALS, withFolder } from "./temporary.mjs";

for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", ({ code, message }) => {
        // A reader that has seen enough, such as `head`, is no failure. Signals have set an exit code of their own.
        if (code === "EPIPE") process.exit();
        console.error(`The output cannot be written: ${message}`);
        process.exit(1);
    });
}

/** As the library names them, which need not be built to show the help. */
const BACKENDS = ["auto", "cpu", "vulkan", "cuda", "metal"];

/** @param defaults - of `families`, `rounds` and `tokens`; `choices`: families that there are to choose from */
function command(name, description, bench, print, { choices = Object.keys(FAMILIES), ...defaults }) {
    const options = {
        family: { array: true, choices, default: defaults.families, describe: "models" },
        backend: { choices: BACKENDS, default: "cpu", describe: "of llama.cpp" },
        threads: { number: true, describe: "of every contender; default: the library's" },
        rounds: { number: true, default: defaults.rounds, describe: "that are measured" },
        ...(defaults.tokens && { tokens: { number: true, default: defaults.tokens, describe: "a round" } }),
        out: outOption("write JSON to this file"),
    };
    return {
        command: name,
        describe: description,
        builder: (parser) => parser.options(options),
        async handler({ family, backend, threads, rounds, tokens, out }) {
            if (!(rounds >= 1) || tokens < 2) throw new Error("At least 1 round of 2 tokens.");
            const library = await importLibrary();
            if (out !== undefined) await checkOut(out, [out]);
            for (const signal of SIGNALS) process.once(signal, () => process.exit(exitCodeOf(signal)));
            await withFolder(tmpdir(), "eft-llama-bench-", async (folder) => {
                const families = [];
                for (const each of family) families.push(await findFamily(each, folder));
                const results = [];
                for (const each of families) {
                    const result = await bench(library, each, { backend, threads, rounds, tokens });
                    print(result);
                    results.push(result);
                }
                await writeReport(name, { family, backend, threads, rounds, tokens, out }, results);
            });
        },
    };
}

await yargs(hideBin(process.argv))
    .scriptName(isBundle ? "./eft-llama-bench" : "npm run bench --")
    .command(
        command("step", "a fused step against its members alone, and by hand", benchStep, printStep, {
            ...{ families: ["demo", "1.1b"], rounds: 30, tokens: 16 },
        }),
    )
    .command(
        command("score", "many short texts in one call, against one by one", benchScore, printScore, {
            ...{ families: ["demo", "134m"], rounds: 3 },
        }),
    )
    .command(
        command("batch", "tokens per second of several completions at once", benchBatch, printBatch, {
            ...{ families: ["demo", "1.1b"], rounds: 10, tokens: 32 },
        }),
    )
    .command(
        command(
            "pauses",
            "what running texts notice of a long prompt, and of prompts with one beginning",
            benchPauses,
            printPauses,
            {
                ...{ families: ["demo", "demo-inflated"], rounds: 5 },
            },
        ),
    )
    .command(
        command("speculation", "drafting and verifying, against plain steps", benchSpeculation, printSpeculation, {
            choices: Object.keys(FAMILIES).filter((name) => FAMILIES[name].texts !== undefined),
            ...{ families: ["demo", "demo-inflated"], rounds: 5, tokens: 40 },
        }),
    )
    .command(
        command("selective", "asking the target only where the drafter is unsure", benchSelective, printSelective, {
            choices: Object.keys(FAMILIES).filter((name) => FAMILIES[name].texts !== undefined),
            ...{ families: ["demo", "demo-inflated", "1.1b"], rounds: 5, tokens: 40 },
        }),
    )
    .command(
        command("structured", "labels by a JSON schema, with forced text as drafts", benchStructured, printStructured, {
            ...{ families: ["demo-inflated", "1.1b"], rounds: 5 },
        }),
    )
    .command(grammarCommand())
    .command(startupCommand())
    .command(serveCommand())
    .command(gpuCommand(BACKENDS))
    .demandCommand(1, "Which benchmark?")
    .strict()
    .version(false)
    .wrap(120)
    .fail((message, error, parser) => {
        if (error === undefined) parser.showHelp();
        console.error(error?.message ?? `\n${message}`);
        process.exit(error === undefined ? 2 : 1);
    })
    .parseAsync();
