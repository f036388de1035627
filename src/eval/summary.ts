/** From the answers to what is reported of them: means with intervals, comparisons with the baselines, samples. */

import { resolveSampling } from "../decoding/sampling.js";
import { agree } from "./grid.js";
import { filesOf, nameFiles } from "./setup.js";
import { compareMeans, drawResamples, meanInterval, resample, type Resampled } from "./statistics.js";
import {
    MEASURES,
    measureOf,
    type Answer,
    type Cell,
    type Comparison,
    type Experiment,
    type ExperimentReport,
    type Grade,
    type Sample,
    type Setting,
    type System,
    type SystemSummary,
    type Task,
    type TaskSummary,
    type Varying,
    type WithoutVerdict,
} from "./types.js";

/** What is summarised of an experiment. */
export type ExperimentHead = Pick<
    Experiment,
    | "name"
    | "title"
    | "description"
    | "seed"
    | "baselines"
    | "plots"
    | "systems"
    | "tasks"
    | "maxTokens"
    | "interleaved"
>;

/** Items of a task whose answers the reader gets to see. */
const SAMPLES = 3;

/**
 * Summarises the answers of an experiment. The result depends on their content, not on their order; where an item was
 * answered twice by the same point, the later answer counts.
 *
 * A point is compared with the point of each baseline whose settings agree with its own, as far as both have them. Where
 * several points of a baseline agree, there is no telling which is meant, and no comparison.
 *
 * @param answers - of any part of the experiment: items without an answer are left out
 * @param seconds - what the experiment took, if it was run as a whole
 */
export function summarise(experiment: ExperimentHead, answers: readonly Answer[], seconds?: number): ExperimentReport {
    const { name, title, description, seed, plots, systems, tasks, maxTokens, interleaved } = experiment;
    const table = new Map(
        answers.map((answer) => [keyOf(answer.system, answer.settings, answer.task, answer.item), answer]),
    );
    const answered = tasks.map((task): AnsweredTask => {
        const answersOf = ({ name, settings }: System): (Answer | undefined)[] =>
            task.items.map((item) => table.get(keyOf(name, settings, task.name, item.id)));
        return { task, answers: systems.map(answersOf) };
    });
    return {
        experiment: name,
        title,
        description,
        seed,
        cells: answered.flatMap((task) => summariseTask(experiment, task)),
        plots,
        samples: answered.flatMap(chooseSamples),
        systems: describeSystems(experiment),
        tasks: tasks.map(describeTask),
        maxTokens,
        interleaved,
        withoutVerdict: countWithoutVerdict([...table.values()]),
        ...(seconds !== undefined && { seconds }),
    };
}

/** A task and, for each point of the grid, the answers by item, as far as there are any. */
interface AnsweredTask {
    readonly task: Task;
    readonly answers: readonly (readonly (Answer | undefined)[])[];
}

/** Grades of one point by one measure, by item. */
type Column = readonly (Grade | undefined)[];

function summariseTask({ systems, baselines, seed }: ExperimentHead, { task, answers }: AnsweredTask): Cell[] {
    const groups = [undefined, ...new Set(task.items.flatMap(({ group }) => group ?? []))];
    const resamplesOf = memoise((items: number) => drawResamples(items, seed));
    const resampleGrades = (grades: readonly Grade[]): Resampled => resample(grades, resamplesOf(grades.length));
    const comparedWith = systems.map((system) => findBaselines(systems, system, baselines));

    const summariseMeasure = (measure: string, group: string | undefined): Cell[] => {
        const columns = answers.map((ofSystem) =>
            ofSystem
                .filter((_, item) => group === undefined || task.items[item]?.group === group)
                .map((answer) => gradeOf(answer, measure)),
        );
        const resampled = columns.map((column) => {
            const grades = column.filter((grade) => grade !== undefined);
            return grades.length === 0 ? undefined : resampleGrades(grades);
        });
        const compare = (point: number, baseline: number): Comparison[] => {
            const pairs = pairUp(columns[point] ?? [], columns[baseline] ?? []);
            if (pairs.length === 0) return [];
            // Most often all items have both grades, and all is resampled already.
            const resampledSide = (index: number, side: 0 | 1): Resampled =>
                resampled[index]?.grades.length === pairs.length
                    ? resampled[index]
                    : resampleGrades(pairs.map((pair) => pair[side]));
            const comparison = compareMeans(resampledSide(point, 0), resampledSide(baseline, 1), seed);
            return [{ baseline: systems[baseline]?.name ?? "", ...comparison }];
        };
        return systems.flatMap(({ name, settings }, point) => {
            const own = resampled[point];
            if (own === undefined) return [];
            return {
                system: name,
                settings,
                task: task.name,
                measure,
                ...(group === undefined ? {} : { group }),
                count: own.grades.length,
                mean: own.mean,
                ...meanInterval(own, measureOf(measure).show === "percent"),
                comparisons: (comparedWith[point] ?? []).flatMap((baseline) => compare(point, baseline)),
            };
        });
    };
    return measuresOf(task, answers.flat()).flatMap((measure) =>
        groups.flatMap((group) => summariseMeasure(measure, group)),
    );
}

/** Graders in the order of the experiment file, then the measures that come along. */
function measuresOf(task: Task, answers: readonly (Answer | undefined)[]): string[] {
    const found = new Set(answers.flatMap((answer) => Object.keys(answer?.grades ?? {})));
    const known = new Set([...Object.keys(task.graders), ...Object.keys(MEASURES)]);
    return [...known].filter((name) => found.has(name));
}

/** A grade without weight says nothing: that of an answer without drafts, for instance, about their acceptance. */
function gradeOf(answer: Answer | undefined, measure: string): Grade | undefined {
    const grade = answer?.grades[measure];
    if (grade === undefined) return undefined;
    const [value, weight] = [grade].flat() as (number | null)[];
    // JSON has no infinity: in a file, an infinite divergence is null.
    if (value === null) return Infinity;
    return weight === 0 ? undefined : grade;
}

function pairUp(ours: Column, theirs: Column): [Grade, Grade][] {
    return ours.flatMap((our, item) => {
        const their = theirs[item];
        return our === undefined || their === undefined ? [] : [[our, their]];
    });
}

/** For each baseline, the index of the point that a system is compared with, if there is one. */
function findBaselines(systems: readonly System[], system: System, baselines: readonly string[]): number[] {
    return baselines.flatMap((baseline) => {
        const agreeing = systems.flatMap(({ name, settings }, point) =>
            name === baseline && agree(settings, system.settings) ? [point] : [],
        );
        return agreeing.length === 1 && system.name !== baseline ? agreeing : [];
    });
}

/** The answers of all points to a few items, first one of each group; and for each point a few answers that show tokens. */
function chooseSamples({ task, answers }: AnsweredTask): Sample[] {
    const firstOfGroup = task.items.filter(
        ({ group }, index) => task.items.findIndex((item) => item.group === group) === index,
    );
    const chosen = [...new Set([...firstOfGroup, ...task.items])].slice(0, SAMPLES);
    return answers.flatMap((ofSystem) => {
        const withTokens = task.items.filter((_, index) => ofSystem[index]?.tokens !== undefined).slice(0, SAMPLES);
        return task.items.flatMap((item, index) => {
            const answer = ofSystem[index];
            const isChosen = chosen.includes(item) || withTokens.includes(item);
            if (answer?.text === undefined || item.kind === "passage" || !isChosen) return [];
            const expected =
                item.kind === "question" ? item.answers : item.choices.filter((_, choice) => choice === item.correct);
            return [{ ...answer, prompt: item.prompt, expected }];
        });
    });
}

/** One for each name, whatever the settings. */
function describeSystems({ systems, baselines }: ExperimentHead): SystemSummary[] {
    const nameOf = nameFiles(filesOf(systems));
    const firstPoints = systems.filter(
        (system, index) => systems.findIndex(({ name }) => name === system.name) === index,
    );
    return firstPoints.map(
        ({ name, recipe: { combination, controlTokens, unusedTokens = "mask", cacheType, members } }) => {
            const points = systems.filter((system) => system.name === name);
            const filters = points.map(({ recipe: { conservative } }) =>
                conservative === undefined ? "off" : `top ${conservative.topP} of ${conservative.fallback.text}`,
            );
            const speculations = points.map(({ recipe }) => describeSpeculation(recipe));
            return {
                name,
                combination: combination.text,
                ...(filters.every((filter) => filter === "off")
                    ? {}
                    : { conservative: [...new Set(filters)].join("; ") }),
                ...{ controlTokens, unusedTokens, ...(cacheType && { cacheType }) },
                models: Object.fromEntries(
                    members.map((member) => [
                        member.name,
                        member.lora === undefined
                            ? nameOf(member.model)
                            : `${nameOf(member.model)} + ${nameOf(member.lora.path)}, scale ${member.lora.scale}`,
                    ]),
                ),
                sampling: vary(points.map(({ recipe }) => ({ ...resolveSampling(recipe.sampling) }))),
                parameters: vary(points.map(({ parameters }) => parameters)),
                ...(speculations.some(({ length }) => length !== "off") && { speculation: vary(speculations) }),
                isBaseline: baselines.includes(name),
            };
        },
    );
}

function describeSpeculation({ speculation }: System["recipe"]): Record<string, Setting> {
    if (speculation === undefined) return { length: "off" };
    const { drafter, length = "adaptive", coupling = "gumbel", lookup = false, selective = 0 } = speculation;
    return { length, coupling, lookup, ...(selective > 0 && { selective }), ...(drafter && { drafter: drafter.text }) };
}

/** Values of all points: one where they agree, else a list of those that there are. */
function vary(points: readonly Readonly<Record<string, Setting>>[]): Varying {
    const keys = new Set(points.flatMap((point) => Object.keys(point)));
    return Object.fromEntries(
        [...keys].map((key) => {
            const values = [...new Set(points.flatMap((point) => point[key] ?? []))];
            return [key, values.length === 1 ? (values[0] as Setting) : values];
        }),
    );
}

function describeTask({ name, kind, items, graders, compareTo }: Task): TaskSummary {
    return { name, kind, items: items.length, graders, ...(compareTo !== undefined && { compareTo }) };
}

function countWithoutVerdict(answers: readonly Answer[]): WithoutVerdict[] {
    const counts = new Map<string, WithoutVerdict>();
    for (const { system, task, withoutVerdict = [] } of answers) {
        for (const measure of withoutVerdict) {
            const key = JSON.stringify([system, task, measure]);
            counts.set(key, { system, task, measure, count: (counts.get(key)?.count ?? 0) + 1 });
        }
    }
    return [...counts.values()];
}

/** The same for the same settings in another order. */
function keyOf(system: string, settings: Readonly<Record<string, Setting>>, task: string, item: string): string {
    const sorted = Object.entries(settings).sort(([a], [b]) => (a < b ? -1 : 1));
    return JSON.stringify([system, sorted, task, item]);
}

function memoise<K, V>(make: (key: K) => V): (key: K) => V {
    const made = new Map<K, V>();
    return (key) => {
        const value = made.get(key) ?? make(key);
        made.set(key, value);
        return value;
    };
}
