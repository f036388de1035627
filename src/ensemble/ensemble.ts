/** A recipe on a host: which members are which contexts, prompts, dials, statistics. */

import { EftError } from "../errors.js";
import type { CostTable } from "../host/costs.js";
import type { Runtime } from "../host/runtime.js";
import type { Scheduler } from "../host/scheduler.js";
import type { HostContext, HostTarget } from "../host/sequences.js";
import { createStatistics, type SpeculationStatistics, type StatisticsRecorder } from "../host/statistics.js";
import type { MemoryPlan } from "../models/memory-plan.js";
import { flaggedIds } from "../models/token-tables.js";
import { checkVocabularies, type VocabularyReport } from "../models/vocabulary.js";
import type { BackendChoice } from "../native/backend.js";
import { TOKEN_KIND, type NativeVocabulary } from "../native/binding.js";
import { mapping, show } from "../options.js";
import { createTokenTexts, examineVocabularies, type TokenTexts } from "../prompts/added-tokens.js";
import { resolveParameters } from "../recipe/index.js";
import type { CacheType, Recipe } from "../types.js";
import type { Host } from "./host.js";
import type { Member } from "./members.js";
import { createTokenizer, type Tokenizer } from "./tokenizer.js";

/** A loaded recipe. Created by {@link loadEnsemble} or a {@link Host}; used through `complete()` and `score()`. */
export interface Ensemble extends Tokenizer {
    readonly recipe: Recipe;
    /** In the order of the recipe; all arrays over members follow it. */
    readonly members: readonly Member[];
    readonly vocabulary: VocabularyReport;
    readonly backend: BackendChoice;
    readonly threads: number;
    /** Tokens each sequence of each member can hold. */
    readonly contextSize: number;
    /** Sequences that can be active at once. */
    readonly sequences: number;
    /** Most tokens that one member evaluates in one step. */
    readonly batchSize: number;
    /** In what form every member keeps keys and values. */
    readonly cacheType: CacheType;
    /** What was planned before loading; undefined where the models are so small that nothing had to be. */
    readonly plan: MemoryPlan | undefined;
    /** Current values of the recipe's parameters, used by every call that does not bring its own. */
    readonly parameters: Readonly<Record<string, number>>;
    /** Turns dials; takes effect at the next token. @throws EftError PARAMETER_UNKNOWN, PARAMETER_RANGE, OPTION_INVALID */
    setParameters(values: Readonly<Record<string, number>>): void;
    /** What speculation has done so far, in all completions that have ended. */
    readonly statistics: SpeculationStatistics;
    /** What it runs on. Other recipes can be loaded there, and share what is loaded. */
    readonly host: Host;
    /** @internal Measured while the host works. */
    readonly costs: CostTable;
    /** @internal Where completions report what they have done. */
    readonly speculation: StatisticsRecorder;
    /** @internal How the members spell tokens, those included that some of them lack. */
    readonly texts: TokenTexts;
    /** @internal What the host's jobs know of it. */
    readonly target: HostTarget;
    /** @internal Sequences and continuous batching. @throws EftError DISPOSED after dispose() */
    readonly scheduler: Scheduler;
    /**
     * @internal The same members under another recipe, loaded at once; the recipe names the same members with the same files. It is
     * disposed of with this ensemble at the latest.
     */
    derive(recipe: Recipe): Ensemble;
    readonly disposed: boolean;
    /** Aborts what runs, waits for it, and frees what no other recipe on the host uses. May be called again. */
    dispose(): Promise<void>;
    /** The same as dispose(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/** @param owner - the function that was given it, for the message. @throws EftError OPTION_INVALID */
export function checkEnsemble(owner: string, ensemble: unknown): asserts ensemble is Ensemble {
    if (typeof ensemble === "object" && ensemble !== null && "recipe" in ensemble && "scheduler" in ensemble) return;
    const remedy = ensemble instanceof Promise ? "; write `await` before loadEnsemble()" : "";
    throw new EftError("OPTION_INVALID", `${owner} takes an ensemble, not ${show(ensemble)}${remedy}.`);
}

/** What loading has found out. */
export type LoadedParts = Pick<
    Ensemble,
    "recipe" | "members" | "vocabulary" | "contextSize" | "cacheType" | "plan" | "host"
>;

/** What an ensemble stands on. */
export interface Foundation {
    readonly runtime: Runtime;
    /** Of each member. */
    readonly contexts: readonly HostContext[];
    /** Ends together with the ensemble, such as a host of its own. */
    readonly onDispose: () => Promise<void>;
}

export function createEnsemble(parts: LoadedParts, foundation: Foundation): Ensemble {
    const { runtime, contexts, onDispose } = foundation;
    const { recipe, vocabulary, contextSize, host } = parts;
    const target = runtime.createTarget(contexts, toNativeVocabulary(vocabulary), contextSize);
    const speculation = createStatistics(parts.members.length);
    let parameters = resolveParameters(recipe, {});
    let disposal: Promise<void> | undefined;
    const derived: Ensemble[] = [];

    const disposedError = (): EftError =>
        new EftError("DISPOSED", `The ensemble "${recipe.name}" has been disposed; load it again.`);
    function alive<T>(part: T): T {
        if (disposal === undefined && !host.disposed) return part;
        throw disposedError();
    }
    function dispose(): Promise<void> {
        disposal ??= Promise.all([
            runtime.closeTarget(target, disposedError()),
            ...derived.map((each) => each.dispose()),
        ]).then(onDispose);
        return disposal;
    }

    /** Whose tokens disputed ids are is for each recipe to say. */
    function examine(other: Recipe): VocabularyReport {
        if (vocabulary.disputed.length === 0) return vocabulary;
        const report = examineVocabularies(other, parts.members);
        checkVocabularies(report);
        return report;
    }

    const { backend, threads, sequences, batchSize, costs } = runtime;
    const texts = createTokenTexts(parts.members, vocabulary);
    return {
        ...parts,
        ...createTokenizer(parts.members, vocabulary, texts, alive),
        ...{ backend, threads, sequences, batchSize, costs, target, speculation, texts },
        derive: (other) => {
            const vocabulary = alive(examine)(other);
            runtime.retain(contexts);
            const ensemble = createEnsemble(
                { ...parts, recipe: other, vocabulary },
                { runtime, contexts, onDispose: () => Promise.resolve() },
            );
            derived.push(ensemble);
            return ensemble;
        },
        get statistics() {
            return speculation.read();
        },
        get parameters() {
            return parameters;
        },
        setParameters(values) {
            const own = mapping<number>("What setParameters takes", values);
            parameters = alive(resolveParameters(recipe, { ...parameters, ...own }));
        },
        get scheduler() {
            return alive(runtime.scheduler);
        },
        get disposed() {
            return disposal !== undefined || host.disposed;
        },
        dispose,
        [Symbol.asyncDispose]: dispose,
    };
}

function toNativeVocabulary({ size, members, controlTokens, addedTokens, endOfGeneration }: VocabularyReport) {
    const kinds = new Uint8Array(size).fill(TOKEN_KIND.combined);
    for (let token = 0; token < size; token++) {
        if (controlTokens[token] === 1) kinds[token] = TOKEN_KIND.control;
        if (addedTokens[token] === 1) kinds[token] = TOKEN_KIND.added;
    }
    return {
        ...{ kinds, endOfGeneration },
        lacking: members.map(({ lacks }) => flaggedIds(lacks)),
    } satisfies NativeVocabulary;
}
