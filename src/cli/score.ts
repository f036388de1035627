/** `eft-llama score`: how probable given text is, to the target and to each member. */

import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { EftError, score, type Score, type ScoreItem } from "../index.js";
import { summarizeScores } from "../scoring/summary.js";
import { checkInput, fileOption, readInput } from "./input.js";
import { openEnsemble } from "./load.js";
import { withConfig } from "./config.js";
import { checkModels, loadOptions, outputOptions, recipeOptions, sequencesOption, templateOptions } from "./options.js";
import { plural } from "../plural.js";
import { formatTable, print, printJson, startProgress } from "./terminal.js";

export const options = {
    ...recipeOptions,
    file: fileOption,
    lines: { type: "boolean", default: false, group: "Input:", description: "Each line is a text of its own" },
    pairs: {
        type: "boolean",
        default: false,
        group: "Input:",
        description: "Each line is a context, a tab, and the continuation that is scored",
    },
    chat: {
        type: "boolean",
        default: false,
        group: "Input:",
        description: "With --pairs: the context is a user's turn, seen through the chat templates",
    },
    stride: {
        type: "number",
        requiresArg: true,
        group: "Input:",
        description:
            "Tokens that each further window scores of a text that is longer than the context; default: half of the context",
    },
    ...templateOptions,
    ...loadOptions,
    sequences: { ...sequencesOption, default: 4 },
    json: { type: "boolean", default: false, group: "Output:", description: "One JSON object a text, token by token" },
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { text?: string };

export const scoreCommand: CommandModule<object, Flags> = {
    command: "score [text]",
    describe: "Log-likelihood of given text, under the target and each member",
    builder: (yargs) =>
        yargs
            .positional("text", { type: "string", description: "The text; else from --file or standard input" })
            .options(withConfig(options))
            .check((args) => {
                checkModels(args);
                checkArguments(args);
                return true;
            })
            .example('$0 score -r demo "The capital of Nepal is Kathmandu."', "")
            .example("$0 score -r demo -f book.txt --stride 512", "")
            .example("$0 score -r demo -f sentences.txt --lines --json", "")
            .example(
                "printf 'What is the capital of Nepal?\\t Its capital is Kathmandu.' | $0 score -r demo --pairs --chat",
                "",
            ),
    handler: runScore,
};

function checkArguments(flags: Flags): void {
    const { text, file, lines, pairs, chat, stride } = flags;
    checkInput([text], file);
    if (lines && pairs) throw new Error("--lines and --pairs exclude each other.");
    if (chat && !pairs) throw new Error("--chat needs --pairs.");
    if (chat && stride !== undefined) throw new Error("--chat and --stride exclude each other.");
    if (!chat && flags["template-variable"] !== undefined) throw new Error("--template-variable needs --chat.");
}

async function runScore(args: ArgumentsCamelCase<Flags>): Promise<void> {
    const items = splitItems(await readInput(args.text, args.file), args);
    const ensemble = await openEnsemble(args, { sequences: args.sequences });
    const progress = startProgress("Scoring");
    try {
        const stride = args.stride ?? Math.floor(ensemble.contextSize / 2);
        const scores = await score(ensemble, items, {
            ...(args.chat ? { chat: true } : { stride }),
            ...(args.templateVariable && { templateVariables: args.templateVariable }),
            onProgress: (done) => progress.update(done / items.length),
        });
        progress.stop();
        if (args.json) toJson(items, scores).forEach(printJson);
        else print(describeScores(scores, stride));
    } finally {
        progress.stop();
        await ensemble.dispose();
    }
}

/** @throws EftError OPTION_INVALID for a line that is no pair */
function splitItems(text: string, { lines, pairs }: Pick<Flags, "lines" | "pairs">): ScoreItem[] {
    if (!lines && !pairs) return [{ continuation: text }];
    return text.split(/\r?\n/).map((line, index) => {
        if (!pairs) return { continuation: line };
        const [context = "", continuation, ...rest] = line.split("\t");
        if (continuation !== undefined && rest.length === 0) return { context, continuation };
        throw new EftError(
            "OPTION_INVALID",
            `Line ${index + 1} is no pair: write the context, one tab, and the continuation.`,
        );
    });
}

function toJson(items: readonly ScoreItem[], scores: readonly Score[]): object[] {
    return scores.map(({ text, tokens, logprobs, members, windows, isGreedy }, index) => ({
        ...(items[index]?.context === undefined ? {} : { context: items[index].context }),
        text,
        tokens,
        logprobs: { target: logprobs, ...members },
        windows,
        isGreedy,
    }));
}

function describeScores(scores: readonly Score[], stride: number): string {
    const { texts, tokens, bytes, windows, systems } = summarizeScores(scores);
    const split = windows > texts ? `, in ${windows} windows that go on by ${plural(stride, "token")}` : "";
    const heading = `${plural(texts, "text")}, ${plural(tokens, "token")}, ${plural(bytes, "byte")}${split}`;
    const rows = systems.map(({ member = "target", logprob, perToken, perplexity, bitsPerByte }) =>
        tokens === 0
            ? [member, "0", "-", "-", "-"]
            : [member, logprob.toFixed(3), perToken.toFixed(3), perplexity.toPrecision(5), bitsPerByte.toFixed(4)],
    );
    return `${heading}\n${formatTable(["", "log-probability", "per token", "perplexity", "bits per byte"], rows)}\n`;
}
