/** Experiments that never ran: systems whose chances are known, and answers drawn from them. */

import { writeFileSync } from "node:fs";
import path from "node:path";
import type { Answer, Experiment, Grade, Question, Setting, System, Task, TokenView } from "../../src/eval/types.js";
import type { Recipe } from "../../src/types.js";
import { uniforms } from "./statistics.js";

/** What one point of a made-up experiment does. */
export interface Behaviour {
    readonly system: string;
    readonly settings?: Readonly<Record<string, Setting>>;
    /** Chance of a right answer, by group. */
    readonly right: Readonly<Record<string, number>>;
    /** Chance of a refusal, in every group. */
    readonly refuses?: number;
    /** Tokens per second, on average. */
    readonly speed: number;
    /** Chance that a draft is accepted; undefined: it does not speculate. */
    readonly acceptance?: number;
}

const RECIPE: Recipe = {
    eft: 1,
    name: "made-up",
    members: [
        { name: "large", model: "/models/large-base-q8_0.gguf" },
        { name: "chat", model: "hf:someone/small-chat-GGUF:Q8_0" },
        { name: "small", model: "/models/small-base-q8_0.gguf", lora: { path: "/models/tuned.gguf", scale: 1 } },
    ],
    parameters: {},
    combination: { text: "large + (chat - small)", weights: {} },
    conservative: { topP: 0.95, fallback: { text: "chat", weights: {} } },
    controlTokens: "combine",
    prompt: { kind: "from", member: "chat" },
    sampling: {},
};

const GROUPS = ["head", "mid", "tail"];
const PLACES = ["Peru", "Chad", "Laos", "Fiji", "Mali", "Oman"];

export function fabricateTask(name: string, items: number): Task {
    const questions = Array.from({ length: items }, (_, index): Question => {
        const place = `${PLACES[index % PLACES.length]} ${index}`;
        return {
            kind: "question",
            id: `item-${index}`,
            group: GROUPS[Math.floor((index * GROUPS.length) / items)],
            prompt: `What is the capital of ${place}?`,
            answers: [`Capital of ${place}`],
            fields: {},
        };
    });
    const graders = { right: { type: "contains" }, refusal: { type: "refusal" } } as const;
    return { name, kind: "question", items: questions, graders };
}

export function fabricateExperiment(
    behaviours: readonly Behaviour[],
    task: Task,
    rest: Partial<Experiment> = {},
): Experiment {
    const systems = behaviours.map(({ system, settings = {} }): System => ({
        name: system,
        settings,
        recipe: RECIPE,
        parameters: {},
    }));
    return {
        name: "made-up",
        title: "A made-up experiment",
        description: "Chances are known, and answers are drawn from them.",
        tasks: [task],
        systems,
        baselines: [],
        maxTokens: 40,
        seed: 1,
        interleaved: false,
        plots: [],
        ...rest,
    };
}

/** Items differ in difficulty, and all points find the same ones difficult, as real systems do. */
export function fabricateAnswers(behaviours: readonly Behaviour[], task: Task, seed: number): Answer[] {
    const uniform = uniforms(seed);
    const difficulties = task.items.map(uniform);
    return behaviours.flatMap((behaviour) =>
        task.items.map((item, index): Answer => {
            const { system, settings = {}, right, refuses = 0, speed, acceptance } = behaviour;
            const chance = right[item.group ?? ""] ?? 0;
            // Half of the answers follow the difficulty of the item, and half are luck.
            const isRefusal = uniform() < refuses;
            const isRight = !isRefusal && (uniform() < 0.5 ? (difficulties[index] ?? 0) : uniform()) < chance;
            const tokens = 8 + Math.floor(12 * uniform());
            const drafts = 2 + Math.floor(20 * uniform());
            const accepted = Array.from({ length: drafts }, uniform).filter((draw) => draw < (acceptance ?? 0)).length;
            const speculation: Record<string, Grade> =
                acceptance === undefined ? {} : { acceptance: [accepted / drafts, drafts] };
            return {
                system,
                settings,
                task: task.name,
                item: item.id,
                ...(item.group === undefined ? {} : { group: item.group }),
                seed: index,
                text: isRefusal ? "I cannot share that." : isRight ? `It is the right one.` : "It is Paris.",
                reason: "stop",
                grades: {
                    right: Number(isRight),
                    refusal: Number(isRefusal),
                    speed: [(1000 / speed) * (0.8 + 0.4 * uniform()), tokens],
                    ...speculation,
                },
                ...(acceptance !== undefined && index < 2 ? { tokens: fabricateTokens(uniform) } : {}),
            };
        }),
    );
}

function fabricateTokens(uniform: () => number): TokenView[] {
    const words = ["The", " capital", " of", " Peru", " is", " Lima", ",", " a", " city", " by", " the", " sea", "."];
    return words.map((text): TokenView => {
        const totalVariation = uniform() ** 4;
        const isChanged = totalVariation > 0.35;
        return { text, totalVariation, ...(isChanged ? { instead: " Quito", changedBy: "large" } : {}) };
    });
}

/** An experiment that really can be run: one system, a model alone, at so many questions. @returns its file */
export function writeQuestions(folder: string, model: string, questions: number): string {
    const line = '{"prompt":"What is the capital of Peru?","answer":"Lima"}\n';
    writeFileSync(path.join(folder, "many.jsonl"), line.repeat(questions));
    const file = path.join(folder, "experiment.yaml");
    writeFileSync(
        file,
        `eval: 1
name: mine
members: { chat: { model: ${model} } }
prompt: { template: from chat }
systems: { chat: { combination: chat } }
tasks: { many: { file: many.jsonl, graders: { right: contains } } }
`,
    );
    return file;
}
