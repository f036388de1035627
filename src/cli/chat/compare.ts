/** `/compare`: what members say alone, beside what the target says. */

import Table from "cli-table3";
import {
    collect,
    combinationWeights,
    createChat,
    resolveParameters,
    soloView,
    type ChatOptions,
    type CompletionResult,
    type Ensemble,
    type Recipe,
} from "../../index.js";
import { colors, escapeLines } from "../terminal.js";

/** Columns that a text needs to be read beside others. */
const NARROWEST = 24;
/** A base model does not end by itself: it gets so many times the tokens that the target needed. */
const PATIENCE = 2;
const FEWEST_TOKENS = 24;

interface Question {
    readonly question: string;
    readonly signal: AbortSignal;
    /** Columns that the comparison may take. */
    readonly width: number;
    /** Called before each answer, with who will give it. */
    readonly onStep: (system: string) => Promise<void> | undefined;
}

/**
 * Answers a question several times, each time with the same seed; nothing is added to a conversation.
 *
 * @param chat - the conversation that the question is put into
 */
export async function compareAlone(ensemble: Ensemble, chat: ChatOptions, question: Question): Promise<string> {
    const answer = (system: Ensemble, more: ChatOptions): Promise<CompletionResult> =>
        collect(createChat(system, { ...chat, ...more }).send(question.question, { signal: question.signal }));
    await question.onStep("target");
    const together = await answer(ensemble, {});
    const maxTokens = Math.max(FEWEST_TOKENS, PATIENCE * together.tokens);
    const answers: [string, string][] = [];
    for (const name of membersWithOpinion(ensemble.recipe)) {
        await question.onStep(`${name} alone`);
        const alone = await answer(soloView(ensemble, name), {
            ...{ seed: together.seed, speculation: false },
            maxTokens: Math.min(maxTokens, chat.maxTokens ?? Infinity),
        });
        answers.push([`${name} alone`, showAnswer(alone)]);
    }
    const dials = Object.entries(chat.parameters ?? {}).map(([name, value]) => `, ${name} = ${value}`);
    answers.push([`target${dials.join("")}`, colors.green(showAnswer(together))]);
    return layOut(answers, question.width);
}

/** Those that are added at the default dials: the large base and the fine-tuned ones, but not what is subtracted. */
function membersWithOpinion(recipe: Recipe): string[] {
    const names = recipe.members.map(({ name }) => name);
    const weights = combinationWeights(recipe.combination, names, resolveParameters(recipe, {}));
    return names.filter((_, member) => (weights[member] ?? 0) > 0);
}

/** With an ellipsis where it was cut. */
function showAnswer({ text, reason }: CompletionResult): string {
    const lines = escapeLines(text.trim());
    return reason === "stop" ? lines : `${lines} …`;
}

/** Side by side if there is room, else below each other. */
function layOut(answers: readonly (readonly [string, string])[], width: number): string {
    const column = Math.floor((width - 1) / answers.length) - 1;
    if (column < NARROWEST) return answers.map(([title, text]) => `${colors.bold(title)}\n${text}`).join("\n\n");
    const table = new Table({
        head: answers.map(([title]) => colors.bold(title)),
        style: { head: [], border: [] },
        colWidths: answers.map(() => column),
        wordWrap: true,
    });
    table.push(answers.map(([, text]) => text));
    return table.toString();
}
