#!/usr/bin/env node
/** The program `eft-llama`: its commands, and how they fail. Exit codes: 0, 1 = failure, 2 = wrong usage, 130 = Ctrl-C. */

import { inspect } from "node:util";
import yargs from "yargs";
import { hideBin, Parser } from "yargs/helpers";
import { EftError } from "../errors.js";
import { manifest } from "../package.js";
import { chatCommand } from "./chat/chat.js";
import { checkCommand } from "./check.js";
import { completeCommand } from "./complete.js";
import { createShellCompletion } from "./shell-completion.js";
import { checkConfig } from "./config.js";
import { demoCommand } from "./demo.js";
import { doctorCommand } from "./doctor.js";
import { evalCommand } from "./eval.js";
import { FLAGS } from "./flags.js";
import { inspectCommand } from "./inspect/inspect.js";
import { modelsCommand } from "./models.js";
import { checkValues, expandPaths } from "./options.js";
import { pullCommand } from "./pull.js";
import { recipeCommand } from "./recipe/recipe.js";
import { scoreCommand } from "./score.js";
import { serveCommand } from "./serve.js";
import {
    asksForHelp,
    COMMANDS,
    SHELL_COMPLETIONS,
    explainFlags,
    findEmptyNumber,
    explainUsage,
    nameFlags,
    NO_COMMAND,
    plainValues,
    readWords,
} from "./usage.js";
import { beQuiet, escapeControls, formatMessage, print, printError, remark, WIDTH } from "./terminal.js";

for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
        // A reader that has seen enough, such as `head`, is no failure.
        if (error.code === "EPIPE") process.exit(0);
        fail(new EftError("FILE_UNWRITABLE", `The output cannot be written: ${error.message}.`, { cause: error }));
        process.exit(1);
    });
}

const args = readWords(hideBin(process.argv), FLAGS);
const { version } = manifest;

/** What yargs does not know it takes for an argument, as it was typed: so it can be named, and nothing else is made of it. */
const PARSING = {
    ...{ "greedy-arrays": false, "dot-notation": false, "boolean-negation": false },
    // Without it, yargs does not see that it is asked for completions.
    "unknown-options-as-args": args[0] !== SHELL_COMPLETIONS,
};
const EPILOGUE = [
    "`eft-llama <command> --help` tells all about one. To begin with: `eft-llama demo`.",
    "",
    "Defaults of flags: eft-llama/config.yaml in ~/.config (XDG_CONFIG_HOME, on Windows APPDATA), or the file in EFT_LLAMA_CONFIG.",
    "Models: the folder in EFT_LLAMA_MODELS, else one in the user's cache. NO_COLOR=1 turns colours off.",
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 130 Ctrl-C.",
].join("\n");
const cli = yargs(args)
    .scriptName("eft-llama")
    .usage("$0 <command>\n\nEmulated fine-tuning on llama.cpp: several GGUF models, combined while decoding.")
    .command(completeCommand)
    .command(chatCommand)
    .command(scoreCommand)
    .command(serveCommand)
    .command(evalCommand)
    .command(inspectCommand)
    .command(checkCommand)
    .command(doctorCommand)
    .command(recipeCommand)
    .command(pullCommand)
    .command(modelsCommand)
    .command(demoCommand)
    .completion(
        "completion",
        "Print a script that completes commands, flags and recipes in bash or zsh",
        await createShellCompletion(),
    )
    .epilogue(EPILOGUE)
    .demandCommand(1, NO_COMMAND)
    .strict()
    .check((values) => {
        for (const flag of ["verbose", "stats"])
            if (values["quiet"] === true && values[flag] === true)
                throw new Error(`--quiet and --${flag} exclude each other.`);
        checkValues(values, [
            "set",
            "stop",
            "template-variable",
            "experiments",
            "sources",
            "files",
            "words",
            "names",
            "recipes",
            "api-key",
            "origin",
        ]);
        return true;
    })
    .middleware((values) => {
        const problem = findFlagProblem();
        if (problem !== undefined) failUsage(problem);
        plainValues(values);
    }, true)
    .middleware((values) => {
        expandPaths(values);
        if (values["quiet"] === true) beQuiet();
        const file = checkConfig();
        if (values["verbose"] === true && file !== undefined) remark(`Configuration: ${escapeControls(file)}\n`);
    })
    .detectLocale(false)
    .parserConfiguration(PARSING)
    .version(version)
    .alias("version", "v")
    // With yargs' own help, the word "help" could not be a prompt.
    .help(false)
    .option("help", { alias: "h", type: "boolean", description: "Show help" })
    .wrap(WIDTH)
    // What a command throws has no message here, and rejects below.
    .fail((message: string | null) => {
        if (message !== null) failUsage(message);
    });
try {
    const [command = "--help"] = args;
    const isKnown = command.startsWith("-") || [...COMMANDS, "completion"].includes(command);
    if (asksForHelp(args) && !isKnown) failUsage(`Unknown argument: ${command}`);
    if (asksForHelp(args)) print(`${await cli.getHelp()}\n`);
    else await cli.parseAsync();
} catch (error) {
    fail(error);
}

function fail(error: unknown): void {
    const expected = EftError.isInstance(error) && !args.includes("--verbose");
    printError(`eft-llama: ${formatMessage(expected ? nameFlags(error) : inspect(error))}\n`);
    // A command that was interrupted has set its own.
    process.exitCode ??= 1;
}

function failUsage(message: string): never {
    const command = COMMANDS.find((name) => name === args[0]);
    const help = ["eft-llama", ...(command === undefined ? [] : [command]), "--help"].join(" ");
    printError(`eft-llama: ${formatMessage(explainUsage(message, args))}\nSee \`${help}\`.\n`);
    process.exit(2);
}

/** What is wrong with the flags of the command that yargs is parsing. */
function findFlagProblem(): string | undefined {
    // Public, and missing in the types.
    const parser = cli as unknown as {
        getOptions(): { key: object; alias: Record<string, string[]>; number: string[] };
        getGroups(): Record<string, string[]>;
    };
    const options = parser.getOptions();
    const empty = findEmptyNumber(args, options.number);
    if (empty !== undefined) return `${empty} takes a number.`;
    const known = [...Object.keys(options.key), ...Object.entries(options.alias).flat(2)];
    const parsed = Parser(args, { ...options, configuration: PARSING });
    return explainFlags(args, parsed, known, parser.getGroups()["Positionals:"] ?? [], FLAGS);
}
