/** From an experiment file, and a family that it is applied to, to what is to be run. */

import { readdir } from "node:fs/promises";
import path from "node:path";
import { EftError } from "../errors.js";
import { expandHome } from "../files.js";
import { packageFile } from "../package.js";
import { problem, suggestion, throwProblems, type Location, type Problem } from "../recipe/problems.js";
import { checkGraders, readGrader } from "./graders/index.js";
import { readExperimentFile, type ExperimentFile, type TaskSource } from "./source.js";
import { buildSystems, checkGrids, findMissingMembers } from "./systems.js";
import { readItems } from "./tasks.js";
import type { MEASURES } from "./types.js";
import type { Experiment, Item, PlotSpec, System, Task } from "./types.js";

export interface LoadExperimentOptions {
    /** Family file, or the name of one that comes with the package: members and tasks that the experiment may use. */
    readonly family?: string;
    /** Most items of each task, beside what the experiment says. */
    readonly limit?: number;
    /** Leave out systems, tasks and plots that need what the family lacks, instead of failing. Default false. */
    readonly isLenient?: boolean;
}

export interface LoadedExperiment {
    readonly experiment: Experiment;
    /** Sentences about what was left out. */
    readonly leftOut: readonly string[];
}

const DEFAULT_MAX_TOKENS = 256;
const DEFAULT_SEED = 1;

/**
 * The files of an experiment: that file, or all of a built-in set such as `paper`.
 *
 * @throws EftError EXPERIMENT_NOT_FOUND
 */
export async function findExperiments(name: string): Promise<string[]> {
    const sets = await listFolders(packageFile("experiments"));
    if (!sets.includes(name)) return [name];
    const folder = packageFile(`experiments/${name}`);
    return (await readdir(folder)).sort().map((file) => path.join(folder, file));
}

/** @throws EftError EXPERIMENT_*, TASK_*, RECIPE_*, COMBINATION_*, MODEL_NOT_FOUND, TEMPLATE_MISSING */
export async function loadExperiment(file: string, options: LoadExperimentOptions = {}): Promise<LoadedExperiment> {
    const own = await readExperimentFile(file);
    const family = options.family === undefined ? [] : [await readExperimentFile(await findFamily(options.family))];
    const files = [own, ...family];
    const leftOut: string[] = [];
    const { source, document } = own;
    const fail = (at: readonly string[], text: string): never => {
        throw problem("EXPERIMENT_INVALID", document.locate(at, "key"), text).error;
    };
    if (source.systems === undefined) fail([], 'an experiment lacks the key "systems"; a family has none');

    const names: string[] = [];
    for (const [name, system] of Object.entries(source.systems ?? {})) {
        const missing = findMissingMembers(system, files);
        if (options.isLenient && missing.length > 0)
            leftOut.push(`system "${name}": there is no ${missing.join(", ")}`);
        else names.push(name);
    }
    checkGrids(names, own);
    const systems: System[] = [];
    for (const name of names) systems.push(...(await buildSystems(name, files)));

    const tasks: Task[] = [];
    for (const [name, task] of Object.entries(source.tasks ?? tasksOf(family[0]))) {
        const lacks = findMissing(name, task, files, names);
        if (lacks === undefined) tasks.push(await buildTask(name, task, files, options.limit));
        else if (options.isLenient) leftOut.push(`task "${name}": ${lacks}`);
        else fail(["tasks", name], `the task "${name}" cannot be read: ${lacks}`);
    }

    checkSelective(own, systems, tasks);
    const baselines = source.baselines ?? [];
    if (!options.isLenient) checkNames(own, tasks);
    const experiment: Experiment = {
        name: source.name,
        title: source.title ?? source.name,
        description: source.description ?? "",
        tasks,
        systems,
        baselines: baselines.filter((name) => names.includes(name)),
        maxTokens: source.maxTokens ?? family[0]?.source.maxTokens ?? DEFAULT_MAX_TOKENS,
        seed: source.seed ?? DEFAULT_SEED,
        interleaved: source.interleaved ?? false,
        plots: (source.plots ?? []).flatMap((plot) => keepKnown(plot, tasks, names)),
    };
    return { experiment, leftOut };
}

async function findFamily(name: string): Promise<string> {
    const folder = packageFile("experiments/families");
    const builtIn = (await readdir(folder)).map((file) => path.basename(file, ".yaml"));
    if (builtIn.includes(name)) return path.join(folder, `${name}.yaml`);
    if (/[./\\]/.test(name)) return name;
    throw new EftError("EXPERIMENT_NOT_FOUND", `There is no family "${name}"; ${suggestion(name, builtIn)}`);
}

async function listFolders(parent: string): Promise<string[]> {
    const entries = await readdir(parent, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory() && entry.name !== "families").map(({ name }) => name);
}

/** A family's tasks, as an experiment takes them over. */
function tasksOf(family: ExperimentFile | undefined): Readonly<Record<string, TaskSource>> {
    const tasks = Object.entries(family?.source.tasks ?? {});
    return Object.fromEntries(
        tasks.map(([name, { compareTo }]) => [name, compareTo === undefined ? {} : { compareTo }]),
    );
}

/** What the task needs and nobody has. */
function findMissing(
    name: string,
    task: TaskSource,
    files: readonly ExperimentFile[],
    systems: readonly string[],
): string | undefined {
    const { compareTo } = task;
    if (compareTo !== undefined && !systems.includes(compareTo)) return `there is no system "${compareTo}"`;
    if (findSource(name, task, files) !== undefined) return undefined;
    const familiar = Object.keys(files[1]?.source.tasks ?? {});
    return `it names no file, and the family has no task "${task.from ?? name}"; ${suggestion(task.from ?? name, familiar)}`;
}

/** The task with what it takes over from the family, the folder of its file, and where its graders are written. */
function findSource(
    name: string,
    task: TaskSource,
    [own, family]: readonly ExperimentFile[],
): { source: TaskSource & { file: string }; folder: string; graders: Location } | undefined {
    if (own === undefined) return undefined;
    const { file } = task;
    const graders = own.document.locate(["tasks", name, "graders"], "key");
    if (file !== undefined) return { source: { ...task, file }, folder: own.folder, graders };
    const shared = family?.source.tasks?.[task.from ?? name];
    if (shared?.file === undefined || family === undefined) return undefined;
    const isOwn = task.graders !== undefined || shared.graders === undefined;
    return {
        source: { ...shared, ...task, file: shared.file },
        folder: family.folder,
        graders: isOwn ? graders : family.document.locate(["tasks", task.from ?? name, "graders"], "key"),
    };
}

async function buildTask(
    name: string,
    task: TaskSource,
    files: readonly ExperimentFile[],
    limit = Infinity,
): Promise<Task> {
    const found = findSource(name, task, files);
    if (found === undefined) throw new Error(`The task ${name} has not been checked.`);
    const { source, folder, graders: at } = found;
    const items = await readItems(path.resolve(folder, expandHome(source.file)));
    const graders = Object.fromEntries(
        Object.entries(source.graders ?? {}).map(([measure, grader]) => [measure, readGrader(grader)]),
    );
    const kind = items[0]?.kind ?? "question";
    const { compareTo } = task;
    const isGraded = kind === "question" && compareTo === undefined;
    if (isGraded && Object.keys(graders).length === 0) {
        throw problem("EXPERIMENT_INVALID", at, `the task "${name}" has no graders; add graders: { right: contains }`)
            .error;
    }
    throwProblems(
        checkGraders(isGraded ? graders : {}, items).map((text) =>
            problem("EXPERIMENT_INVALID", at, `the task "${name}": ${text}`),
        ),
    );
    return {
        ...{ name, kind, items: spread(items, Math.min(limit, source.limit ?? Infinity)) },
        graders: isGraded ? graders : {},
        ...(compareTo !== undefined && { compareTo }),
    };
}

/** At most so many items, evenly spread, so that all groups stay. */
function spread(items: readonly Item[], limit: number): Item[] {
    if (items.length <= limit) return [...items];
    return Array.from({ length: limit }, (_, i) => items[Math.floor((i * items.length) / limit)] as Item);
}

/** Rows that are looked up are the target's, and those of selective fusion are not. */
function checkSelective({ document }: ExperimentFile, systems: readonly System[], tasks: readonly Task[]): void {
    const selective = systems.find(({ recipe: { speculation } }) => (speculation?.selective ?? 0) > 0);
    const task = tasks.find(({ kind, compareTo }) => kind !== "question" || compareTo !== undefined);
    if (selective === undefined || task === undefined) return;
    const text =
        `the system "${selective.name}" has selective fusion, which is about texts that are drawn, and the task "${task.name}" ` +
        "scores given ones; leave one of them out";
    throw problem("EXPERIMENT_INVALID", document.locate(["tasks", task.name], "key"), text).error;
}

/** Names of systems, tasks and measures that the experiment refers to exist. */
function checkNames({ source, document }: ExperimentFile, tasks: readonly Task[]): void {
    const systems = Object.keys(source.systems ?? {});
    const problems: Problem[] = [];
    const report = (key: string, text: string): void => {
        problems.push(problem("EXPERIMENT_INVALID", document.locate([key], "key"), text));
    };
    for (const name of source.baselines ?? []) {
        if (!systems.includes(name)) report("baselines", `there is no system "${name}"; ${suggestion(name, systems)}`);
    }
    for (const task of tasks) {
        for (const [measure, grader] of Object.entries(task.graders)) {
            const against = grader.type === "judge" ? grader.against : undefined;
            if (against !== undefined && !systems.includes(against)) {
                const text = `the grader "${measure}" of the task "${task.name}" compares with the system "${against}"`;
                report("tasks", `${text}, which there is not; ${suggestion(against, systems)}`);
            }
        }
    }
    const known = tasks.flatMap((task) => measuresOf(task).map((measure) => `${task.name}/${measure}`));
    for (const { kind, x, y, systems: shown = [] } of source.plots ?? []) {
        for (const name of shown.filter((each) => !systems.includes(each)))
            report("plots", `there is no system "${name}"; ${suggestion(name, systems)}`);
        const [names, choices] = kind === "tokens" ? [y, tasks.map(({ name }) => name)] : [y, known];
        const all = kind === "frontier" && x !== undefined ? [x, ...names] : names;
        for (const name of all.filter((each) => !choices.includes(withoutGroup(each))))
            report("plots", `there is no "${name}" to plot; ${suggestion(withoutGroup(name), choices)}`);
    }
    throwProblems(problems);
}

/** What of the plot can be drawn. */
function keepKnown(plot: PlotSpec, tasks: readonly Task[], systems: readonly string[]): PlotSpec[] {
    const isKnown = (name: string): boolean => tasks.some((task) => task.name === name.split("/")[0]);
    const y = plot.y.filter(isKnown);
    const shown = plot.systems?.filter((name) => systems.includes(name));
    const lacksX = plot.kind === "frontier" && !isKnown(plot.x ?? "");
    if (y.length === 0 || shown?.length === 0 || lacksX) return [];
    return [{ ...plot, y, ...(shown && { systems: shown }) }];
}

function withoutGroup(measure: string): string {
    return measure.split("@")[0] ?? measure;
}

/** Measures that answers to the task may have. */
function measuresOf({ kind, graders, compareTo }: Task): string[] {
    if (compareTo !== undefined) return ["divergence", "totalVariation", "sameToken"];
    if (kind === "choice") return ["choice", "choicePerCharacter"];
    if (kind === "passage") return ["perplexity"];
    const others = ["speed", "acceptance", "blockLength"] satisfies (keyof typeof MEASURES)[];
    return [...Object.keys(graders), ...others];
}
