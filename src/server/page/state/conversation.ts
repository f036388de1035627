/** Conversations, one with each recipe: questions, answers, and asking again. */

import { computed, effect, signal, untracked } from "@preact/signals";
import type { ChatRequest, Message } from "../api/types.js";
import { tellEnd } from "../text/failures.js";
import { announce } from "./announcement.js";
import { startAnswer, textOf, type Answer } from "./answer.js";
import { keepByRecipe } from "./by-recipe.js";
import { values, type Values } from "./dials.js";
import { inspect } from "./inspected.js";
import { needsKey } from "./key.js";
import { recipe } from "./recipes.js";
import { isComparing, rivals, seed, speculation, temperature } from "./settings.js";

/** How many tokens are reported besides the one that was drawn. */
const TOP = 5;

/** What the same question was answered with before. */
export interface Earlier {
    readonly dials: Values;
    readonly text: string;
}

export interface Turn {
    readonly key: string;
    readonly question: string;
    /** Those of members alone first, EFT's last. */
    readonly answers: readonly Answer[];
    readonly earlier: readonly Earlier[];
}

const conversations = keepByRecipe<readonly Turn[]>();
let count = 0;

export const turns = computed<readonly Turn[]>(() => conversations.get() ?? []);
const running = computed(() => turns.value.flatMap(({ answers }) => answers).filter((each) => isRunning(each)));
export const isAnswering = computed(() => running.value.length > 0);

/** What was typed, and not asked yet. */
export const draft = signal("");

export function isRunning({ view }: Answer): boolean {
    return view.value.status === "waiting" || view.value.status === "running";
}

/** The answer that the conversation goes on with. */
export function mainAnswer({ answers }: Turn): Answer | undefined {
    return answers.at(-1);
}

export function ask(question: string): void {
    if (question.trim() === "" || isAnswering.value || recipe.value === undefined) return;
    put([...turns.value, begin(question, turns.value, drawSeed(), [])]);
}

/** Answers the last question again: with the same seed where a dial was turned, so that nothing else makes a difference. */
export function askAgain(): void {
    const last = turns.value.at(-1);
    const answer = last && mainAnswer(last);
    if (last === undefined || answer === undefined || isAnswering.value) return;
    const { dials } = answer.view.value;
    const text = textOf(answer.view.value);
    const before = turns.value.slice(0, -1);
    const isTurned = hasTurned(answer);
    const earlier = text === "" ? last.earlier : [...last.earlier, { dials: dials.at(-1) ?? {}, text }];
    put([...before, begin(last.question, before, isTurned ? answer.seed : drawSeed(), earlier)]);
}

/** Asks the last question as the first one of a new conversation. */
export function askAfresh(): void {
    const question = turns.value.at(-1)?.question;
    startAfresh();
    if (question !== undefined) ask(question);
}

export function startAfresh(): void {
    stop();
    put([]);
}

export function stop(): void {
    for (const answer of running.value) answer.stop();
}

/** Whether the dials stand elsewhere than when an answer ended. */
export function hasTurned({ view }: Answer): boolean {
    const last = view.value.dials.at(-1) ?? {};
    return Object.entries(values.value).some(([name, value]) => name in last && last[name] !== value);
}

// A dial acts on what is being written.
effect(() => {
    const dials = values.value;
    for (const answer of untracked(() => running.value)) answer.turn(dials);
});

function put(changed: readonly Turn[]): void {
    inspect(undefined);
    conversations.set(changed);
}

function drawSeed(): number {
    return seed.value ?? Math.floor(Math.random() * 2 ** 31);
}

function begin(question: string, before: readonly Turn[], drawn: number, earlier: readonly Earlier[]): Turn {
    const messages = [...before.flatMap(toMessages), { role: "user" as const, content: question }];
    const shared = {
        model: recipe.value?.id ?? "",
        ...{ messages, seed: drawn },
        ...(temperature.value !== undefined && { temperature: temperature.value }),
    };
    const alone = (solo: string): ChatRequest["eft"] => ({
        ...{ solo, speculation: false, members: true, explain: false, top: TOP },
    });
    const fused: ChatRequest["eft"] = {
        ...{ parameters: values.value, speculation: speculation.value, members: true, explain: true, top: TOP },
    };
    const requests = [...(isComparing.value ? [...new Set(rivals.value)].map(alone) : []), fused];
    const answers = requests.map((eft) => startAnswer({ ...shared, eft }));
    void tell(answers);
    return { key: `turn-${++count}`, question, answers, earlier };
}

/** Says once that all have ended. */
async function tell(answers: readonly Answer[]): Promise<void> {
    await Promise.all(answers.map(({ ended }) => ended));
    const views = answers.map(({ view }) => view.value);
    if (views.some(({ failure }) => failure?.kind === "key")) needsKey.value = true;
    const last = views.at(-1);
    if (last !== undefined) announce(tellEnd(last));
}

function toMessages(turn: Turn): Message[] {
    const answer = mainAnswer(turn);
    const text = answer === undefined ? "" : textOf(answer.view.value);
    if (text === "") return [];
    return [
        { role: "user", content: turn.question },
        { role: "assistant", content: text },
    ];
}
