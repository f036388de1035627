/** What the parts of an evaluation hand to each other, in the order of the flow: experiment, item, answer, report. */

import type { FinishReason } from "../decoding/completion.js";
import type { CacheType, Recipe } from "../types.js";

/** An experiment file, read and checked: systems x tasks, and what to show of them. */
export interface Experiment {
    /** Letters, digits, `-`; names the folder of its answers. */
    readonly name: string;
    readonly title: string;
    readonly description: string;
    readonly tasks: readonly Task[];
    /** All points of the grid, in the order of the file. */
    readonly systems: readonly System[];
    /** Names of systems that all others are compared with, point by point where their settings agree. */
    readonly baselines: readonly string[];
    /** Most tokens of an answer. */
    readonly maxTokens: number;
    readonly seed: number;
    /** Systems take turns at each item, alone on the machine: for experiments about speed. */
    readonly interleaved: boolean;
    readonly plots: readonly PlotSpec[];
}

/** A point of the grid: a recipe at certain settings. */
export interface System {
    /** As the experiment file names it; shared by the points of its grid. */
    readonly name: string;
    /** Values that vary over the grid, by name: parameters, `temperature`, `speculation`, `topP`, ... */
    readonly settings: Readonly<Record<string, Setting>>;
    readonly recipe: Recipe;
    /** Values of the recipe's parameters at this point. */
    readonly parameters: Readonly<Record<string, number>>;
}

/** A value that varies over a grid. */
export type Setting = number | string | boolean;

/** Items, and how answers to them are graded. */
export interface Task {
    readonly name: string;
    /** What is asked for: a text, the most likely choice, the likelihood of a text. */
    readonly kind: Item["kind"];
    readonly items: readonly Item[];
    /** For questions, by the name of the measure. */
    readonly graders: Readonly<Record<string, GraderSpec>>;
    /** Instead of grading: the distance of each system's distributions to this system's, on the latter's answers. */
    readonly compareTo?: string;
}

/** A line of a task file. */
export type Item = Question | Choice | Passage;

interface ItemHead {
    /** Unique in its file; default: the number of its line. */
    readonly id: string;
    /** Items of a group are reported together, beside all items. */
    readonly group?: string;
}

/** Asks for a text. */
export interface Question extends ItemHead {
    readonly kind: "question";
    readonly prompt: string;
    /** Texts that count as right. May be empty. */
    readonly answers: readonly string[];
    /** Further texts of the line, which graders may refer to by name. */
    readonly fields: Readonly<Record<string, string>>;
}

/** Asks which continuation is the most likely. */
export interface Choice extends ItemHead {
    readonly kind: "choice";
    readonly prompt: string;
    /** At least two. */
    readonly choices: readonly string[];
    /** Index of the right one. */
    readonly correct: number;
}

/** Asks how likely a text is. */
export interface Passage extends ItemHead {
    readonly kind: "passage";
    readonly text: string;
}

/**
 * How a text is graded, with 1 or 0.
 * - `exact`: it is one of the answers, apart from case, white space and a full stop around it
 * - `contains`: one of the answers occurs in it as whole words
 * - `regex`: `pattern`, or the item's field `field`, occurs in it
 * - `format`: `pattern` or `field` matches all of it, white space around it apart, and it ended by itself
 * - `refusal`: it declines, which is told by the phrases it contains
 * - `all`: all the named graders say 1; `any`: one of them does; `not`: the named grader says 0
 * - `judge`: what a judge model thinks of it: a mark, scaled to 0..1, or with `against` whether it is preferred to the
 *   answer of that system, 0.5 for a tie
 */
export type GraderSpec =
    | { readonly type: "exact" }
    | { readonly type: "contains"; readonly ignoreCase?: boolean }
    | { readonly type: "regex" | "format"; readonly pattern?: string; readonly field?: string }
    | { readonly type: "refusal"; readonly phrases?: readonly string[] }
    | { readonly type: "all" | "any"; readonly of: readonly string[] }
    | { readonly type: "not"; readonly of: string }
    | { readonly type: "judge"; readonly criterion: JudgeCriterion; readonly against?: string };

/** What a judge model is asked about an answer. */
export type JudgeCriterion = "helpfulness" | "factuality" | "harmlessness";

/** A number, or a number and its weight: what is reported is the weighted mean over the items. */
export type Grade = number | readonly [value: number, weight: number];

/** What one system did with one item: a line of `answers.jsonl`. */
export interface Answer {
    readonly system: string;
    readonly settings: Readonly<Record<string, Setting>>;
    readonly task: string;
    readonly item: string;
    readonly group?: string;
    readonly seed: number;
    /** For questions. */
    readonly text?: string;
    readonly reason?: FinishReason;
    /** By measure: the task's graders, and those of `MEASURES` that the kind of task brings along. */
    readonly grades: Readonly<Record<string, Grade>>;
    /** Measures for which the judge was asked, and gave no verdict. Not kept: it is asked again the next time. */
    readonly withoutVerdict?: readonly string[];
    /** Where a plot shows tokens: the text token by token, with the drafter's distance to the target. */
    readonly tokens?: readonly TokenView[];
}

/** A token of an answer beside what the drafter would have said. */
export interface TokenView {
    readonly text: string;
    /** Total-variation distance of the drafter's and the target's distribution, 0..1. */
    readonly totalVariation: number;
    /** Where the drafter would have drawn another token: what it would have drawn, and which member changed that. */
    readonly instead?: string;
    readonly changedBy?: string;
}

/** How the weighted mean of a measure is shown. */
export interface Measure {
    readonly label: string;
    /** `percent`: 0..1 as per cent; `number`: as it is; `perplexity`: exp of the mean; `rate`: 1000 / mean. */
    readonly show: "percent" | "number" | "perplexity" | "rate";
    /** Unit beside the shown number; empty for none. */
    readonly unit: string;
}

/** Measures that come without a grader. All others are marks from 0 to 1 and shown as per cent. */
export const MEASURES: Readonly<Record<string, Measure>> = {
    /** Milliseconds per token after the first, weighted by tokens. */
    speed: { label: "speed", show: "rate", unit: "tokens/s" },
    /** Drafts that were accepted, of those verified. */
    acceptance: { label: "acceptance", show: "percent", unit: "%" },
    /** Tokens that a block of speculation yields. */
    blockLength: { label: "acceptance length", show: "number", unit: "tokens/block" },
    /** Whether the right choice is the most likely, by its sum of log-probabilities, and by that per character. */
    choice: { label: "right choice", show: "percent", unit: "%" },
    choicePerCharacter: { label: "right choice, per character", show: "percent", unit: "%" },
    /** Negative log-likelihood per token, weighted by tokens. */
    perplexity: { label: "perplexity", show: "perplexity", unit: "" },
    /** Kullback-Leibler divergence from the system that is compared to, nats per token. */
    divergence: { label: "KL divergence", show: "number", unit: "nats/token" },
    totalVariation: { label: "total variation", show: "number", unit: "" },
    /** Whether both find the same token most probable. */
    sameToken: { label: "same most probable token", show: "percent", unit: "%" },
};

/** Measures other than {@link MEASURES} are those of graders: marks from 0 to 1. */
export function measureOf(name: string): Measure {
    return MEASURES[name] ?? { label: name, show: "percent", unit: "%" };
}

/** A picture of the report. Measures are written `task/measure`, `task/measure@group` for one group of items. */
export interface PlotSpec {
    readonly title: string;
    /**
     * - `bars`: a bar with an interval for each system (or setting `x`) and each of `y`
     * - `lines`: `y` over the numeric setting `x`, a line per system and measure
     * - `frontier`: measure `y` over measure `x`, points of a system joined in the order of the setting `along`
     * - `tokens`: answers of the systems token by token, coloured by the drafter's distance to the target
     */
    readonly kind: "bars" | "lines" | "frontier" | "tokens";
    readonly x?: string;
    readonly y: readonly string[];
    readonly along?: string;
    /** Only points with these settings. */
    readonly where?: Readonly<Record<string, Setting>>;
    /** Only these systems. Default: all. */
    readonly systems?: readonly string[];
}

/** A measure of one point of the grid. */
export interface Cell {
    readonly system: string;
    readonly settings: Readonly<Record<string, Setting>>;
    readonly task: string;
    readonly measure: string;
    /** Undefined for all items. */
    readonly group?: string;
    /** Items. */
    readonly count: number;
    /** Weighted mean, and its 95 % interval from bootstrap samples of the items. Not yet transformed for showing. */
    readonly mean: number;
    readonly low: number;
    readonly high: number;
    /** Against each baseline. */
    readonly comparisons: readonly Comparison[];
}

/** Paired over the items that both have. */
export interface Comparison {
    readonly baseline: string;
    /** Of the means: this system's minus the baseline's, with a paired bootstrap interval of 95 %. */
    readonly difference: number;
    readonly low: number;
    readonly high: number;
    /** Two-sided: exact McNemar test for marks of 0 and 1, sign-flip permutation test for others. */
    readonly p: number;
}

/** All that is known about an experiment that was run; what the three forms of the report are made of. */
export interface ExperimentReport {
    readonly experiment: string;
    readonly title: string;
    readonly description: string;
    readonly seed: number;
    readonly cells: readonly Cell[];
    readonly plots: readonly PlotSpec[];
    /** Answers with tokens, for plots of kind `tokens`, and a few for the reader to see. */
    readonly samples: readonly Sample[];
    /** What each system is. */
    readonly systems: readonly SystemSummary[];
    /** What was asked. */
    readonly tasks: readonly TaskSummary[];
    /** Most tokens of an answer. */
    readonly maxTokens: number;
    /** The systems took turns. */
    readonly interleaved: boolean;
    /** Answers about which the judge was asked and gave no verdict, as far as there are some. */
    readonly withoutVerdict: readonly WithoutVerdict[];
    /** What it was run with. */
    readonly setup?: ExperimentSetup;
    /** What it took; undefined if part of the answers had been given before. */
    readonly seconds?: number;
}

/** An answer, beside what was asked. */
export interface Sample extends Answer {
    readonly prompt?: string;
    /** Texts that count as right, where the item says so. */
    readonly expected?: readonly string[];
}

/** Answers of a system to a task that have no mark by a measure. */
export interface WithoutVerdict {
    readonly system: string;
    readonly task: string;
    readonly measure: string;
    /** Of all points of the system. */
    readonly count: number;
}

/** What a report says about a system. */
export interface SystemSummary {
    readonly name: string;
    readonly combination: string;
    readonly conservative?: string;
    readonly controlTokens: Recipe["controlTokens"];
    readonly unusedTokens: NonNullable<Recipe["unusedTokens"]>;
    /** As the recipe says; an option of loading wins. */
    readonly cacheType?: CacheType;
    /** By member. */
    readonly models: Readonly<Record<string, string>>;
    /** All options, those that the system leaves out included. */
    readonly sampling: Varying;
    readonly parameters: Varying;
    /** Undefined: there is none at any point. */
    readonly speculation?: Varying;
    readonly isBaseline: boolean;
}

/** Values by name; a list where the points of a grid differ. */
export type Varying = Readonly<Record<string, Setting | readonly Setting[]>>;

/** What a report says about a task. */
export interface TaskSummary {
    readonly name: string;
    readonly kind: Task["kind"];
    readonly items: number;
    readonly graders: Task["graders"];
    readonly compareTo?: string;
}

/** What an experiment was run with, beside what it says itself. */
export interface ExperimentSetup extends Ingredients {
    /** What its answers were given with, in their order: those of one call, or of several where it was gone on with. */
    readonly answered: readonly AnsweredWith[];
    readonly judge?: JudgeSummary;
    /** Sentences about what a family could not provide. */
    readonly leftOut: readonly string[];
}

/** What answers depend on beside the experiment: the same for all of them. */
export interface Ingredients {
    /** Models, their parts and adapters. */
    readonly files: readonly ModelFile[];
    /** By system and member: the name of the template in `templates`, or `plain`. */
    readonly prompts: Readonly<Record<string, Readonly<Record<string, string>>>>;
    /** Jinja texts by name. */
    readonly templates: Readonly<Record<string, string>>;
}

/** Answers that follow each other in `answers.jsonl` and were given with the same set-up. */
export interface AnsweredWith {
    /** How many. */
    readonly answers: number;
    /** Undefined for answers of versions that did not note it. */
    readonly setup?: AnswerSetup;
}

/**
 * What answers were given with, apart from the experiment and the models: it may differ from call to call. It changes nothing of an
 * answer, or changes it as rounding does; but texts end early in a smaller context, and caches of fewer bits say other things.
 */
export interface AnswerSetup extends ProgramInfo {
    readonly backend: string;
    /** Descriptions of the devices. */
    readonly device: string;
    readonly threads: number;
    /** Tokens that a sequence could hold. */
    readonly contextSize: number;
    /** Prompts that advanced together. */
    readonly sequences: number;
    /** How many layers on the GPU, in what form keys and values: options of loading that were given. */
    readonly load: Readonly<Record<string, Setting>>;
}

/** A version of the program, and what it runs on. */
export interface ProgramInfo {
    readonly version: string;
    readonly llamaRelease: string;
    /** Version of Node, operating system and kind of processor. */
    readonly node: string;
    readonly platform: string;
}

/** A file that weights were read from. */
export interface ModelFile {
    /** As the systems name it; of a part, the part's. */
    readonly name: string;
    readonly bytes: number;
    /** Of all of it, in hex, as `sha256sum` prints it and hubs list it. */
    readonly sha256: string;
}

/** What a report says about a judge. */
export interface JudgeSummary {
    readonly address: string;
    readonly model: string;
    /** `own`: the endpoint has refused to be told one. */
    readonly temperature: number | "own";
}

/** What a report says about where it was made; answers may have been given elsewhere, and say that themselves. */
export interface RunInfo extends ProgramInfo {
    /** ISO 8601. */
    readonly date: string;
    /** Sentences about experiments of which nothing was left to run. */
    readonly leftOut: readonly string[];
}
