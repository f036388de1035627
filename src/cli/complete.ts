/** `eft-llama complete`: text from the target, as it comes. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { complete, type FinishPart, type SamplingOptions, type TokenPart } from "../index.js";
import { checkInput, fileOption, readInput } from "./input.js";
import { openEnsemble } from "./load.js";
import { checkModels, loadOptions, recipeOptions } from "./options.js";

const number = (group: string, description: string) =>
    ({ type: "number", requiresArg: true, group, description }) as const satisfies Options;

const options = {
    ...recipeOptions,
    file: fileOption,
    raw: {
        type: "boolean",
        default: false,
        group: "Input:",
        description: "Show the text to all members as it is, without chat templates",
    },
    temperature: number("Sampling:", "0 = always the most probable token, 1 = the target itself"),
    "top-k": number("Sampling:", "Keep the k most probable tokens; 0 = off"),
    "top-p": number("Sampling:", "Keep the most probable tokens that hold this mass; 1 = off"),
    "min-p": number("Sampling:", "Drop tokens below this fraction of the first one's probability; 0 = off"),
    "repeat-penalty": number("Sampling:", "Multiply the log-probability of recent tokens; 1 = off"),
    "frequency-penalty": number("Sampling:", "Subtract this once per recent occurrence of a token; 0 = off"),
    "presence-penalty": number("Sampling:", "Subtract this from recent tokens; 0 = off"),
    seed: number("Sampling:", "The same seed gives the same text; default: a random one"),
    "max-tokens": number("Sampling:", "Most tokens to generate; default: what the context holds"),
    stop: {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Sampling:",
        description: "Text that ends the generation; repeatable",
    },
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object a token, and a last one" },
    "top-logprobs": number("Output:", "With --json: the target's N most probable tokens at each token"),
    members: {
        type: "boolean",
        default: false,
        group: "Output:",
        description: "With --json: what each member thought of the tokens",
    },
    ...loadOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { prompt?: string };
type Arguments = ArgumentsCamelCase<Flags>;

export const completeCommand: CommandModule<object, Flags> = {
    command: "complete [prompt]",
    describe: "Complete a prompt",
    builder: (yargs) =>
        yargs
            .positional("prompt", { type: "string", description: "The prompt; else from --file or standard input" })
            .options(options)
            .check((args) => {
                checkModels(args);
                checkArguments(args);
                return true;
            })
            .example('$0 complete -r demo "What is the capital of Nepal?"', "")
            .example("$0 complete -r recipe.yaml --set beta=1.5 -f prompt.txt", "")
            .example("$0 complete --base L.gguf --tuned s-chat.gguf --reference s.gguf < prompt.txt", "")
            .example("$0 complete -r demo --json --members --seed 1 Hello | jq .logprob", ""),
    handler: runComplete,
};

function checkArguments({ prompt, file, json, members, "top-logprobs": top }: Flags): void {
    checkInput(prompt, file);
    if (!json && members) throw new Error("--members needs --json.");
    if (!json && top !== undefined) throw new Error("--top-logprobs needs --json.");
}

async function runComplete(args: Arguments): Promise<void> {
    const prompt = await readInput(args.prompt, args.file);
    const ensemble = await openEnsemble(args, { sequences: 1 });
    // Not before: there is nothing to finish while models are loaded, so Ctrl-C then ends the process as usual.
    const signal = abortOnInterrupt();
    try {
        const completion = complete(ensemble, {
            prompt,
            raw: args.raw,
            maxTokens: args.maxTokens,
            sampling: chooseSampling(args),
            seed: args.seed,
            stop: args.stop,
            topLogprobs: args.topLogprobs,
            memberLogprobs: args.members,
            signal,
        });
        for await (const part of completion) {
            process.stdout.write(args.json ? toJson(part) + "\n" : part.text);
            if (part.type === "finish" && args.verbose) process.stderr.write(describeFinish(part));
        }
        if (!args.json && process.stdout.isTTY) process.stdout.write("\n");
    } finally {
        await ensemble.dispose();
    }
}

/** What the flags say; undefined where they leave it to the recipe. */
function chooseSampling(args: Arguments): Partial<SamplingOptions> {
    const { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty } = args;
    return { temperature, topK, topP, minP, repeatPenalty, frequencyPenalty, presencePenalty };
}

function toJson(part: TokenPart | FinishPart): string {
    if (part.type === "token") {
        const { type: _, ...token } = part;
        return JSON.stringify(token);
    }
    const { type: _, reason, ...rest } = part;
    return JSON.stringify({ finish: reason, ...rest });
}

function describeFinish({ reason, tokens, seed, promptTokens, timings }: FinishPart): string {
    const list = (values: Readonly<Record<string, number>>, digits: number): string =>
        Object.entries(values)
            .map(([member, value]) => `${member} ${value.toFixed(digits)}`)
            .join(", ");
    const { firstTokenMs, tokensPerSecond, decodeMs, fuseMs } = timings;
    return [
        "",
        `Finish: ${reason} after ${tokens} tokens, seed ${seed}`,
        `Tokens of the prompt: ${list(promptTokens, 0)}`,
        `First token after ${firstTokenMs.toFixed(0)} ms, then ${tokensPerSecond.toFixed(1)} tokens per second`,
        `Milliseconds of decoding: ${list(decodeMs, 1)}; of fusing and drawing: ${fuseMs.toFixed(1)}`,
        "",
    ].join("\n");
}

/** A signal that the first Ctrl-C fires, so that what there is can be finished; the second one exits at once. */
function abortOnInterrupt(): AbortSignal {
    const controller = new AbortController();
    process.on("SIGINT", () => {
        if (controller.signal.aborted) process.exit(130);
        process.exitCode = 130;
        controller.abort();
    });
    return controller.signal;
}
