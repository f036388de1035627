/** `eft-llama chat`: a conversation with an ensemble, on a terminal or in a pipe. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { expandHome } from "../../files.js";
import { createChat, EftError, type ChatOptions, type Ensemble } from "../../index.js";
import {
    completeWord,
    handle,
    handleAtOnce,
    keep,
    listCommands,
    loadFrom,
    report,
    warnOfSystem,
    type Talk,
} from "./commands.js";
import { createKeeper, lastChat } from "./keep.js";
import { createPipe, type Surface } from "./surface.js";
import { createTerminal } from "./terminal.js";
import { checkGrammar, chooseGrammar, grammarOptions } from "../grammar.js";
import { openEnsemble } from "../load.js";
import { defaultRecipe, withConfig } from "../config.js";
import { checkModels, loadOptions, outputOptions, recipeOptions, templateOptions } from "../options.js";
import { chooseSampling, samplingOptions } from "../sampling.js";
import { checkDrafter, checkSpeculation, chooseSpeculation, speculationOptions } from "../speculation.js";
import { plural } from "../../plural.js";
import { colors, escapeControls, escapeLines, WIDTH } from "../terminal.js";

export const options = {
    ...recipeOptions,
    system: {
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "Instructions that stand before the conversation",
    },
    load: {
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "Go on with a conversation that /save has written",
    },
    continue: {
        type: "boolean",
        default: false,
        group: "Input:",
        description: "Go on with the last conversation",
    },
    ...templateOptions,
    ...samplingOptions,
    ...grammarOptions,
    ...speculationOptions,
    ...loadOptions,
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { words?: string[] };
type Arguments = ArgumentsCamelCase<Flags>;

export const chatCommand: CommandModule<object, Flags> = {
    command: "chat [words..]",
    describe: "Talk, with dials to turn in the middle of an answer",
    builder: (yargs) =>
        yargs
            .positional("words", {
                type: "string",
                array: true,
                description:
                    "What is said first; before it the recipe, unless a flag or the configuration names the models",
            })
            .options(withConfig(options))
            .check((args) => {
                checkModels(readWords(args));
                checkGrammar(args);
                checkSpeculation(args);
                if (args.continue && args.load !== undefined)
                    throw new Error("--continue and --load exclude each other.");
                return true;
            })
            .example("$0 chat demo", "")
            .example('$0 chat demo "What is the capital of Peru?"', "")
            .example('$0 chat -r recipe.yaml --system "Answer in one sentence."', "")
            .example("$0 chat demo --continue", "")
            .example("$0 chat -r demo < questions.txt", "One line each")
            .epilogue(
                ["Commands in a conversation:", ...listCommands(WIDTH - 2).map((line) => `  ${line}`)].join("\n"),
            ),
    handler: runChat,
};

/** What the words of the command line mean, as flags. @throws Error when there are too many */
function readWords<T extends Flags>(args: T): T & { readonly message?: string } {
    const { words = [], recipe, base, tuned, reference } = args;
    const named = recipe ?? base ?? tuned ?? reference;
    const isRecipe = named === undefined && (words.length > 1 || defaultRecipe() === undefined);
    const [message, ...rest] = isRecipe ? words.slice(1) : words;
    if (rest.length > 0)
        throw new Error(`Put what is said into quotes: ${JSON.stringify([message, ...rest].join(" "))}.`);
    const chosen = isRecipe && words[0] !== undefined ? { recipe: expandHome(words[0]) } : {};
    return { ...args, ...chosen, ...(message !== undefined && { message }) };
}

async function runChat(given: Arguments): Promise<void> {
    const args = readWords(given);
    // Before anything is loaded for it.
    const last = args.continue ? await lastChat() : undefined;
    const ensemble = await openEnsemble(args, { sequences: 1 }, (recipe) => checkDrafter(recipe, args.drafter));
    try {
        await converse(ensemble, args, last);
    } finally {
        await ensemble.dispose();
    }
}

/** @param last - the file of a conversation that goes on */
async function converse(
    ensemble: Ensemble,
    args: Arguments & { readonly message?: string },
    last: string | undefined,
): Promise<void> {
    const given: ChatOptions = {
        system: args.system,
        seed: args.seed,
        maxTokens: args.maxTokens,
        stop: args.stop,
        ...(args.templateVariable && { templateVariables: args.templateVariable }),
        sampling: chooseSampling(args),
        ...(await chooseGrammar(args)),
        speculation: chooseSpeculation(args),
        onForget: (turns) => {
            const what = plural(turns.length, "old turn");
            void surface.note(`The context is full: ${what} will no longer be shown to the models.`);
        },
    };
    const chat = createChat(ensemble, given);
    const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    const surface: Surface = isTerminal
        ? createTerminal({
              completer: (line: string) => completeWord(talk, line),
              onInput: (text) => handleAtOnce(talk, text),
          })
        : createPipe();
    const keeper = createKeeper(isTerminal);
    const talk: Talk = { ensemble, options: given, surface, verbose: args.verbose, keeper, chat, over: false };
    try {
        if (isTerminal && !args.quiet)
            await surface.note(
                `${colors.bold(escapeControls(ensemble.recipe.name))}  /help lists what else can be done.`,
            );
        if (last !== undefined) await loadFrom(talk, last, true);
        else if (args.load !== undefined) await loadFrom(talk, args.load);
        else await warnOfSystem(talk);
        let failing = false;
        for (let first = args.message; ; first = undefined) {
            if (first !== undefined) await surface.tell?.(`> ${escapeLines(first)}`);
            const input = first ?? (await surface.read());
            if (input === undefined) return;
            if (input.trim() !== "") await report(talk, () => handle(talk, input));
            failing = await keepOrSay(talk, failing);
            if (talk.over) return;
        }
    } finally {
        surface.close();
    }
}

/** @param failing - whether it could not be kept before, which is said once. @returns whether it cannot be kept now */
async function keepOrSay(talk: Talk, failing: boolean): Promise<boolean> {
    try {
        await keep(talk);
        return false;
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        if (!failing) await talk.surface.fail(`The conversation is not kept: ${error.message}`);
        return true;
    }
}
