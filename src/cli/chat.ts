/** `eft-llama chat`: a conversation with an ensemble, on a terminal or in a pipe. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { createChat, type ChatOptions, type Ensemble } from "../index.js";
import { completeWord, handle, handleAtOnce, report, warnOfSystem, type Talk } from "./chat-commands.js";
import { createPipe, type Surface } from "./chat-surface.js";
import { createTerminal } from "./chat-terminal.js";
import { checkGrammar, chooseGrammar, grammarOptions } from "./grammar.js";
import { openEnsemble } from "./load.js";
import { withConfig } from "./config.js";
import { checkModels, loadOptions, outputOptions, recipeOptions, templateOptions } from "./options.js";
import { chooseSampling, samplingOptions } from "./sampling.js";
import { checkDrafter, checkSpeculation, chooseSpeculation, speculationOptions } from "./speculation.js";
import { colors, escapeControls, plural } from "./terminal.js";

const options = {
    ...recipeOptions,
    system: {
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "Instructions that stand before the conversation",
    },
    ...templateOptions,
    ...samplingOptions,
    ...grammarOptions,
    ...speculationOptions,
    ...loadOptions,
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options>;
type Arguments = ArgumentsCamelCase<Flags>;

export const chatCommand: CommandModule<object, Flags> = {
    command: "chat",
    describe: "Talk, with dials to turn in the middle of an answer",
    builder: (yargs) =>
        yargs
            .options(withConfig(options))
            .check((args) => {
                checkModels(args);
                checkGrammar(args);
                checkSpeculation(args);
                return true;
            })
            .example("$0 chat -r demo", "")
            .example('$0 chat -r recipe.yaml --system "Answer in one sentence."', "")
            .example("$0 chat -r demo < questions.txt", "One line each"),
    handler: runChat,
};

async function runChat(args: Arguments): Promise<void> {
    const ensemble = await openEnsemble(args, { sequences: 1 }, (recipe) => checkDrafter(recipe, args.drafter));
    try {
        await converse(ensemble, args);
    } finally {
        await ensemble.dispose();
    }
}

async function converse(ensemble: Ensemble, args: Arguments): Promise<void> {
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
    const talk: Talk = { ensemble, options: given, surface, verbose: args.verbose, chat, over: false };
    try {
        if (isTerminal && !args.quiet)
            await surface.note(
                `${colors.bold(escapeControls(ensemble.recipe.name))}  /help lists what else can be done.`,
            );
        await warnOfSystem(talk);
        for (;;) {
            const input = await surface.read();
            if (input === undefined) return;
            if (input.trim() !== "") await report(talk, () => handle(talk, input));
            if (talk.over) return;
        }
    } finally {
        surface.close();
    }
}
