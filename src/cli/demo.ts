/** `eft-llama demo`: emulated fine-tuning seen at work, on the tiny models that come with the package. */

import Table from "cli-table3";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes } from "yargs";
import {
    collect,
    complete,
    loadRecipe,
    soloView,
    type CompletionResult,
    type Ensemble,
    type Recipe,
} from "../index.js";
import { timePerToken } from "../decoding/timings.js";
import { loadWithProgress } from "./load.js";
import { describeMemberProbabilities } from "./member-probabilities.js";
import { withConfig } from "./config.js";
import { loadOptions, outputOptions } from "./options.js";
import { colors, escapeControls, formatTable, print, WIDTH } from "./terminal.js";

const QUESTIONS = [
    "What is the capital of Nepal?",
    "What do you call a young hare?",
    "Who wrote Gulliver's Travels?",
    "What is the atomic number of silver?",
];
const [QUESTION = ""] = QUESTIONS;
const DIAL_QUESTIONS = ["What is the phone number of Clara Berg?", QUESTION];
const DIAL_VALUES = [0, 0.5, 1];
/** A base model does not end by itself. */
const MAX_TOKENS = 24;

export const options = { ...loadOptions, ...outputOptions } as const;
type Flags = InferredOptionTypes<typeof options>;

export const demoCommand: CommandModule<object, Flags> = {
    command: "demo",
    describe: "See it at work on the tiny models that come with the package",
    builder: (yargs) => yargs.options(withConfig(options)).example("$0 demo", ""),
    handler: runDemo,
};

/** A way of answering, and its answers to {@link QUESTIONS}. */
interface System {
    readonly name: string;
    readonly answers: readonly CompletionResult[];
}

async function runDemo(args: ArgumentsCamelCase<Flags>): Promise<void> {
    const recipe = await loadRecipe("demo");
    // Files that both recipes name are loaded once.
    await using eft = await loadWithProgress(recipe, args, { sequences: 1 });
    await using dial = await loadWithProgress(await loadRecipe("demo-dial"), args, { sequences: 1 });

    const systems: System[] = [];
    const [chat, large] = [soloView(eft, "chat"), soloView(eft, "large")];
    for (const [name, ensemble] of Object.entries({ "chat alone": chat, "large alone": large, EFT: eft })) {
        systems.push({ name, answers: await answerAll(ensemble, QUESTIONS) });
    }
    showAnswers(recipe, systems);
    await showThoughts(eft);
    await showDial(dial);
    showCost(recipe, systems);
    // In a project only npx finds the program.
    const program = process.env.npm_config_user_agent?.startsWith("npm/") ? "npx eft-llama" : "eft-llama";
    printLines(
        `Ask it yourself:   ${program} complete --recipe demo "${QUESTION}"`,
        `Your own models:   ${program} recipe init --help, ${program} complete --help`,
    );
}

function showAnswers({ combination }: Recipe, systems: readonly System[]): void {
    const rows = QUESTIONS.map((question, row) => {
        const texts = systems.map(({ answers }) => showAnswer(answers[row]));
        return [question, ...texts.slice(0, -1), colors.green(texts.at(-1))];
    });
    printLines(
        heading("1. A small model that was tuned, a large one that was not, and both together"),
        '"chat" is small: it was tuned to answer, and knows little. "large" has learned',
        "its encyclopedia well, and was never tuned: it goes on with questions of its",
        "own. EFT adds to it what the tuning has changed in the small model:",
        colors.bold(combination.text),
        compare(["question", ...systems.map(({ name }) => name)], rows),
        "These questions were picked. Results on 300 others: models/demo/README.md",
        "",
    );
}

async function showThoughts(eft: Ensemble): Promise<void> {
    const { parts } = await collect(
        complete(eft, { prompt: QUESTION, maxTokens: MAX_TOKENS, memberLogprobs: true, topLogprobs: 100 }),
    );
    printLines(
        heading(`2. What the members thought: ${QUESTION}`),
        "How probable each token of EFT's answer was; in brackets, what the member would",
        "rather have said.",
        describeMemberProbabilities(eft, parts, "EFT"),
        'Where "large" is sure and "small" is not, their difference outweighs "chat".',
        "",
    );
}

async function showDial(dial: Ensemble): Promise<void> {
    const { combination, parameters } = dial.recipe;
    const [parameter = ""] = Object.keys(parameters);
    const turned: CompletionResult[][] = [];
    for (const value of DIAL_VALUES) turned.push(await answerAll(dial, DIAL_QUESTIONS, { [parameter]: value }));
    printLines(
        heading("3. A dial between two fine-tunings"),
        'The large model was tuned to neither "chat" nor "safe":',
        colors.bold(combination.text),
        `${parameter}: ${parameters[parameter]?.description ?? ""}`,
        compare(
            ["question", ...DIAL_VALUES.map((value) => `${parameter} = ${value}`)],
            DIAL_QUESTIONS.map((question, row) => [question, ...turned.map((results) => showAnswer(results[row]))]),
        ),
        "",
    );
}

function showCost({ members }: Recipe, systems: readonly System[]): void {
    const names = members.map(({ name }) => name);
    printLines(
        heading("4. What it costs"),
        "Milliseconds per token: altogether, and the parts of the native step.",
        formatTable(
            ["", "tokens/s", "ms/token", ...names, "fuse and draw"],
            systems.map(({ name, answers }) => [name, ...describeCost(answers, names)]),
        ),
        "",
    );
}

async function answerAll(
    ensemble: Ensemble,
    questions: readonly string[],
    parameters: Readonly<Record<string, number>> = {},
): Promise<CompletionResult[]> {
    const results: CompletionResult[] = [];
    for (const prompt of questions) {
        results.push(await collect(complete(ensemble, { prompt, parameters, maxTokens: MAX_TOKENS })));
    }
    return results;
}

/** The text on one line; with an ellipsis where it was cut. */
function showAnswer(result: CompletionResult | undefined): string {
    if (result === undefined) return "";
    const text = escapeControls(result.text.trim().replaceAll(/\s+/g, " "));
    return result.reason === "length" ? colors.dim(`${text} …`) : text;
}

/** A table of texts, wrapped so that it fits. */
function compare(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const width = Math.floor((WIDTH - 1) / head.length) - 1;
    const table = new Table({
        head: head.map((title) => colors.bold(title)),
        style: { head: [], border: [] },
        colWidths: head.map(() => width),
        wordWrap: true,
    });
    table.push(...rows.map((row) => [...row]));
    return table.toString();
}

function describeCost(results: readonly CompletionResult[], names: readonly string[]): string[] {
    const { tokensPerSecond, ms, decodeMs, fuseMs } = timePerToken(results);
    return [
        tokensPerSecond.toFixed(0),
        ms.toFixed(2),
        ...names.map((member) => (decodeMs[member] ?? 0).toFixed(2).replace(/^0\.00$/, "-")),
        fuseMs.toFixed(3),
    ];
}

function heading(text: string): string {
    return colors.bold.cyan(text);
}

function printLines(...lines: readonly string[]): void {
    print(`${lines.join("\n")}\n`);
}
