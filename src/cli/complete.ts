/** `eft-llama complete`: text from the target, as it comes. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { complete, EftError, type ChatMessage, type Ensemble, type CompletionPart, type TokenPart } from "../index.js";
import { describeDecisions, paintText } from "./explain.js";
import { checkGrammar, chooseGrammar, grammarOptions } from "./grammar.js";
import { checkInput, fileOption, readInput } from "./input.js";
import { abortOnInterrupt } from "./interrupt.js";
import { openEnsemble } from "./load.js";
import { withConfig } from "./config.js";
import { checkModels, loadOptions, outputOptions, recipeOptions, templateOptions } from "./options.js";
import { chooseSampling, samplingOptions } from "./sampling.js";
import { checkDrafter, checkSpeculation, chooseSpeculation, speculationOptions } from "./speculation.js";
import { describeEmpty, describeStatistics, speculationToJson } from "./statistics.js";
import { describeSystem } from "../prompts/system-prompt.js";
import { plural } from "../plural.js";
import { colors, escapeLines, print, printAnswer, printError, printJson, remark } from "./terminal.js";

export const options = {
    ...recipeOptions,
    system: {
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "Instructions that stand before the prompt, in the chat template's place for them",
    },
    prompt: {
        alias: "p",
        type: "string",
        requiresArg: true,
        group: "Input:",
        description: "The prompt, as a flag",
    },
    file: fileOption,
    raw: {
        type: "boolean",
        default: false,
        group: "Input:",
        description: "Show the text to all members as it is, without chat templates",
    },
    ...templateOptions,
    ...samplingOptions,
    ...grammarOptions,
    ...speculationOptions,
    ...loadOptions,
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object a token, and a last one" },
    "top-logprobs": {
        type: "number",
        requiresArg: true,
        group: "Output:",
        description: "With --json: the target's N most probable tokens at each token",
    },
    members: {
        type: "boolean",
        default: false,
        group: "Output:",
        description: "With --json: what each member thought of the tokens",
    },
    explain: {
        type: "boolean",
        default: false,
        group: "Output:",
        description:
            "Where the target leaves its drafter, and which member makes it do so; with and without speculation",
    },
    stats: {
        type: "boolean",
        default: false,
        group: "Output:",
        description: "What it took, and what speculation gave, on standard error",
    },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { text?: string };
type Arguments = ArgumentsCamelCase<Flags>;

export const completeCommand: CommandModule<object, Flags> = {
    command: "complete [text]",
    describe: "Complete a prompt",
    builder: (yargs) =>
        yargs
            .positional("text", {
                type: "string",
                description: "The prompt; else from --prompt, --file or standard input",
            })
            .options(withConfig(options))
            .check((args) => {
                checkModels(args);
                checkArguments(args);
                return true;
            })
            .example('$0 complete -r demo "What is the capital of Nepal?"', "")
            .example("$0 complete -r recipe.yaml --set beta=1.5 -f prompt.txt", "")
            .example("$0 complete --base L.gguf --tuned s-chat.gguf --reference s.gguf < prompt.txt", "")
            .example('$0 complete -r demo --speculation auto --stats "What is the capital of Nepal?"', "")
            .example('$0 complete -r demo --explain "What is the capital of Nepal?"', "")
            .example("$0 complete -r demo --json --members --seed 1 Hello | jq .logprob", ""),
    handler: runComplete,
};

function checkArguments(flags: Flags): void {
    const { text, prompt, file, json, members, "top-logprobs": top } = flags;
    checkInput([text, prompt], file);
    checkGrammar(flags);
    checkSpeculation(flags);
    if (flags.raw && flags["template-variable"] !== undefined)
        throw new Error("--raw shows no template, so that --template-variable has no use.");
    if (flags.raw && flags.system !== undefined) throw new Error("--raw and --system exclude each other.");
    if (!json && members) throw new Error("--members needs --json.");
    if (!json && top !== undefined) throw new Error("--top-logprobs needs --json.");
}

async function runComplete(args: Arguments): Promise<void> {
    const prompt = await readInput(args.text ?? args.prompt, args.file);
    if (!args.raw && prompt.trim() === "")
        throw new EftError(
            "PROMPT_EMPTY",
            "The prompt is empty; write something into it, or let the models begin a text of their own with --raw.",
        );
    const grammar = await chooseGrammar(args);
    const ensemble = await openEnsemble(args, { sequences: 1 }, (recipe) => checkDrafter(recipe, args.drafter));
    // Not before: there is nothing to finish while models are loaded, so Ctrl-C then ends the process as usual.
    const signal = abortOnInterrupt();
    try {
        for (const sentence of describeSystem(args.system, ensemble.members)) remark(`${sentence}\n`);
        const completion = complete(ensemble, {
            prompt: withSystem(prompt, args.system),
            raw: args.raw,
            ...(args.templateVariable && { templateVariables: args.templateVariable }),
            maxTokens: args.maxTokens,
            sampling: chooseSampling(args),
            seed: args.seed,
            stop: args.stop,
            ...grammar,
            speculation: chooseSpeculation(args),
            topLogprobs: args.topLogprobs,
            memberLogprobs: args.members,
            explain: args.explain,
            signal,
        });
        const print = createPrinter(ensemble, args);
        for await (const part of completion) print(part);
    } finally {
        await ensemble.dispose();
    }
}

function withSystem(prompt: string, system: string | undefined): ChatMessage[] {
    const question = { role: "user", content: prompt } as const;
    return system === undefined ? [question] : [{ role: "system", content: system }, question];
}

/** Writes parts as they come, and with the last one what was asked for besides the text. */
function createPrinter(ensemble: Ensemble, args: Arguments): (part: CompletionPart) => void {
    const { json, explain, stats, verbose } = args;
    const names = ensemble.members.map(({ name }) => name);
    const explained: TokenPart[] = [];
    let isEmpty = true;
    return (part) => {
        if (json) printJson(toJson(part, names));
        else if (part.type === "thinking") remark(colors.dim(escapeLines(part.thinking)));
        else if (explain) print(paintText(part));
        else printAnswer(part.text);
        isEmpty &&= part.text === "";
        if (part.type === "token" && explain && !json) explained.push(part);
        if (part.type !== "finish") return;
        if (explain && !json) print(describeDecisions(ensemble, explained));
        else if (!json) print("\n");
        if (!json && part.reason === "length") remark(describeCut(part.tokens, ensemble, args.maxTokens));
        if (isEmpty && part.reason === "stop") remark(`${describeEmpty(part, ensemble)}\n`);
        if (stats || verbose) printError(describeStatistics(part, names));
    };
}

/** Why a text has no end. */
function describeCut(tokens: number, { contextSize }: Ensemble, limit: number | undefined): string {
    const why =
        tokens === limit
            ? "as --max-tokens says"
            : `because the context of ${contextSize} tokens is full; --context-size sets it`;
    return `The text was cut after ${plural(tokens, "token")}, ${why}.\n`;
}

/** @param members - names, in the order of the ensemble */
function toJson(part: CompletionPart, members: readonly string[]): object {
    if (part.type === "thinking") return { thinking: part.thinking };
    if (part.type !== "finish") {
        const { type: _, ...token } = part;
        return token;
    }
    const { type: _, reason, speculation, ...rest } = part;
    return {
        finish: reason,
        ...rest,
        ...(speculation && { speculation: speculationToJson(speculation, members) }),
    };
}
