/** Runs an experiment: every system at every item, as many prompts at once as there are sequences. */

import { setMaxListeners } from "node:events";
import path from "node:path";
import pMap from "p-map";
import type { LoadOptions } from "../ensemble/options.js";
import { abortError } from "../errors.js";
import { answerItem, nameItem } from "./answering.js";
import { busy, lockAnswers, openAnswers, type AnswerStore } from "./answers.js";
import { measureDistance, type Loaded } from "./distance.js";
import { contextFor, createEnsemblePool, type EnsemblePool } from "./ensembles.js";
import { agree } from "./grid.js";
import type { Judge } from "./judge/index.js";
import { checkJudge, judgeAnswers, usesJudge } from "./judging.js";
import { describeAnswering, describeModelFiles, describePrompts } from "./setup.js";
import { summarise } from "./summary.js";
import type {
    Answer,
    AnswerSetup,
    Experiment,
    ExperimentReport,
    ExperimentSetup,
    Ingredients,
    Item,
    System,
    Task,
    TokenView,
} from "./types.js";

export interface RunOptions {
    /** Folder of the results; the experiment gets one of its name in it. */
    readonly folder: string;
    /** Throw away earlier answers instead of going on after them. Default false. */
    readonly restart?: boolean | undefined;
    /** How ensembles are loaded; `sequences` prompts advance together (default 8). */
    readonly load?: LoadOptions | undefined;
    /** For graders of the type `judge`. */
    readonly judge?: Judge | undefined;
    /** Sentences about what is missing in the experiment, for the report. */
    readonly leftOut?: readonly string[] | undefined;
    /** Called after each answer. */
    readonly onProgress?: ((progress: RunProgress) => void) | undefined;
    /**
     * Called while a model file is read for its SHA-256, with its path and the fraction that has been, 0 to 1. That happens before
     * anything is loaded, once for each file.
     */
    readonly onCheck?: ((file: string, fraction: number) => void) | undefined;
    /** Ends the run; what was answered stays, and the next run goes on there. */
    readonly signal?: AbortSignal | undefined;
}

export interface RunProgress {
    /** Answers, those of earlier runs included. */
    readonly done: number;
    readonly total: number;
    /** Of the latest answer. */
    readonly system: string;
    readonly task: string;
}

const DEFAULT_SEQUENCES = 8;
/** Items that are shown token by token, at the beginning of a task. */
const SHOWN_ITEMS = 3;

/** What the parts of a run share. */
interface Run {
    readonly experiment: Experiment;
    readonly store: AnswerStore;
    readonly pool: EnsemblePool;
    readonly concurrency: number;
    readonly signal: AbortSignal | undefined;
    report(answer: Answer): Promise<void>;
}

/**
 * Runs what has not been answered yet, and summarises all answers. They are in `folder/name/answers.jsonl`, with the SHA-256 of
 * the models and what each was answered with.
 *
 * @throws EftError RESULTS_MISMATCH, RESULTS_BUSY while another evaluation is at work in the folder, ABORTED, and what loading and
 *   decoding throw; answers so far are kept
 */
export async function runExperiment(experiment: Experiment, options: RunOptions): Promise<ExperimentReport> {
    const { onCheck, signal } = options;
    checkJudge(experiment, options.judge !== undefined);
    const files = await describeModelFiles(experiment, options.folder, (file, fraction) => {
        onCheck?.(file, fraction);
        if (signal?.aborted) throw interrupted(signal);
    });
    const ingredients = { files, ...(await describePrompts(experiment)) };
    const folder = path.join(options.folder, experiment.name);
    const lock = await lockAnswers(folder, signal);
    const ending = AbortSignal.any([lock.lost, ...(signal === undefined ? [] : [signal])]);
    // Each of the many prompts that advance together listens to it.
    setMaxListeners(0, ending);
    try {
        return await runLocked(experiment, ingredients, folder, { ...options, signal: ending });
    } catch (error) {
        throw lock.lost.aborted && signal?.aborted !== true ? busy(folder, error) : error;
    } finally {
        await lock.release();
    }
}

function interrupted(signal: AbortSignal): Error {
    return abortError("The evaluation was interrupted; run it again to go on.", signal);
}

async function runLocked(
    experiment: Experiment,
    ingredients: Ingredients,
    folder: string,
    options: RunOptions & { readonly signal: AbortSignal },
): Promise<ExperimentReport> {
    const { onProgress, judge, signal } = options;
    const store = await openAnswers(folder, experiment, ingredients, options.restart ?? false);
    const start = performance.now();
    const isWhole = store.list().length === 0;
    const sequences = experiment.interleaved ? 1 : (options.load?.sequences ?? DEFAULT_SEQUENCES);
    // Systems that take turns all stay loaded; else a system, and the one that it is compared to.
    const capacity = experiment.interleaved ? Infinity : 2;
    const contextSize = options.load?.contextSize ?? (await contextFor(experiment));
    const load = { ...options.load, contextSize, sequences, signal };
    const { gpuLayers, cacheType } = load;
    const given = { ...(gpuLayers !== undefined && { gpuLayers }), ...(cacheType !== undefined && { cacheType }) };
    let answering: AnswerSetup | undefined;
    await using pool = createEnsemblePool(capacity, load, (ensemble) => {
        answering ??= describeAnswering(ensemble, { contextSize, sequences, load: given });
    });
    const total = experiment.systems.length * experiment.tasks.reduce((sum, { items }) => sum + items.length, 0);
    const run: Run = {
        ...{ experiment, store, pool, signal, concurrency: sequences },
        async report(answer) {
            // Whoever answers has been loaded.
            const written = store.add(answer, answering as AnswerSetup);
            const done = store.list().length;
            await written;
            onProgress?.({ done, total, system: answer.system, task: answer.task });
        },
    };
    try {
        for (const task of experiment.tasks) {
            if (task.compareTo !== undefined) await compareSystems(run, task, task.compareTo);
            else if (experiment.interleaved) await takeTurns(run, task);
            else for (const system of experiment.systems) await answerAll(run, system, task);
        }
    } catch (error) {
        throw signal.aborted ? interrupted(signal) : error;
    }
    const answers = judge === undefined ? store.list() : await judgeAnswers(experiment, store.list(), judge);
    const seconds = (performance.now() - start) / 1000;
    // Whatever has been answered can be reported: a signal comes too late now.
    const setup: ExperimentSetup = {
        ...{ answered: store.answeredWith(), ...store.ingredients },
        ...(judge && usesJudge(experiment) && { judge: judge.describe() }),
        leftOut: options.leftOut ?? [],
    };
    return { ...summarise(experiment, answers, isWhole ? seconds : undefined), setup };
}

/** Items that have no answer yet, with their places in the task. */
function findOpen({ store }: Run, system: System, task: Task): [number, Item][] {
    return [...task.items.entries()].filter(([, item]) => store.get(system, task, item) === undefined);
}

async function answerAll(run: Run, system: System, task: Task): Promise<void> {
    const open = findOpen(run, system, task);
    if (open.length === 0) return;
    const ensemble = await run.pool.open(system);
    const answer = async ([index, item]: [number, Item]): Promise<void> => {
        const explain = index < SHOWN_ITEMS && isShown(run.experiment, system, task);
        const options = { ...optionsFor(run, index), isTimed: false, explain };
        await run.report(await answerItem(ensemble, system, task, item, options));
    };
    await pMap(open, answer, { concurrency: run.concurrency });
}

/** Item by item, so that what disturbs the machine for a while disturbs all systems; each begins as often as the others. */
async function takeTurns(run: Run, task: Task): Promise<void> {
    const { experiment, store, pool } = run;
    const open = experiment.systems.filter((system) => findOpen(run, system, task).length > 0);
    const views = new Map<string, readonly TokenView[]>();
    for (const system of open) {
        // Nothing is timed in the first items, which also pay for what happens only once.
        const ensemble = await pool.open(system);
        const explain = isShown(experiment, system, task);
        for (const [index, item] of task.items.slice(0, SHOWN_ITEMS).entries()) {
            const options = { ...optionsFor(run, index), isTimed: false, explain };
            const { tokens } = await answerItem(ensemble, system, task, item, options);
            if (tokens !== undefined) views.set(keyOf(system, item), tokens);
        }
    }
    for (const [index, item] of task.items.entries()) {
        const first = index % experiment.systems.length;
        for (const system of [...experiment.systems.slice(first), ...experiment.systems.slice(0, first)]) {
            if (store.get(system, task, item) !== undefined) continue;
            const options = { ...optionsFor(run, index), isTimed: true, explain: false };
            const answer = await answerItem(await pool.open(system), system, task, item, options);
            const tokens = views.get(keyOf(system, item));
            await run.report({ ...answer, ...(tokens && { tokens }) });
        }
    }
}

async function compareSystems(run: Run, task: Task, compareTo: string): Promise<void> {
    const { experiment, store, pool, signal } = run;
    const references = experiment.systems.filter(({ name }) => name === compareTo);
    for (const reference of references) await answerAll(run, reference, task);
    for (const system of experiment.systems) {
        const reference = references.find(({ settings }) => agree(settings, system.settings));
        const open = findOpen(run, system, task);
        if (reference === undefined || open.length === 0) continue;
        const theirs: Loaded = { system: reference, ensemble: await pool.open(reference) };
        const ours: Loaded = { system, ensemble: await pool.open(system) };
        const compare = async ([index, item]: [number, Item]): Promise<void> => {
            const { text = "", reason } = store.get(reference, task, item) ?? {};
            const prompt = item.kind === "question" ? item.prompt : "";
            const answered = { prompt, text, isEnded: reason === "stop" };
            await run.report({
                ...{ system: system.name, settings: system.settings, task: task.name, item: item.id },
                ...(item.group !== undefined && { group: item.group }),
                seed: optionsFor(run, index).seed,
                grades: await measureDistance(ours, theirs, answered, signal).catch((error: unknown) => {
                    throw nameItem(error, task, item);
                }),
            });
        };
        await pMap(open, compare, { concurrency: run.concurrency });
    }
}

/** Items have seeds of their own, so that their noise is independent; systems share them, so that they can be paired. */
function optionsFor({ experiment, signal }: Run, index: number) {
    return { maxTokens: experiment.maxTokens, seed: experiment.seed + index, ...(signal && { signal }) };
}

/** Whether a plot shows the system's answers to the task token by token. */
function isShown({ plots }: Experiment, { name, recipe }: System, task: Task): boolean {
    return plots.some(
        ({ kind, y, systems }) =>
            kind === "tokens" && y.includes(task.name) && (systems?.includes(name) ?? recipe.speculation !== undefined),
    );
}

function keyOf({ name, settings }: System, { id }: Item): string {
    return JSON.stringify([name, settings, id]);
}
