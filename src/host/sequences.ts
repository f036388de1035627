/**
 * A sequence: the text that caches are to hold for somebody, and the slot where they hold it, if it has one. What a cache lacks is
 * the text without what it holds; so a slot can be taken away at any time, which costs time and never changes a text.
 */

import type { Acceptance } from "./acceptance.js";
import type { Cells } from "./cells.js";
import type { Chain } from "./chains.js";
import type { Trust } from "./trust.js";

/** A model with its adapter, loaded, and its cache. */
export interface HostContext {
    /** What the engine calls it. */
    readonly id: number;
    readonly cells: Cells;
    /** Rows of logits that texts which are scored may ask for in one step, all together. */
    readonly scoredRows: number;
}

/** A recipe, as the jobs of a host know it. */
export interface HostTarget {
    /** What the engine calls it. */
    readonly id: number;
    /** The context of each member. */
    readonly contexts: readonly HostContext[];
    /** Most tokens of a sequence. */
    readonly contextSize: number;
    /** How far forecasts of drafts can be believed. */
    readonly trust: Trust;
    /**
     * The acceptance to begin a text with, by what was seen in earlier texts, on other days too.
     *
     * @param about - what it depends on beside the recipe's files, as data
     * @param usual - what is expected where nothing is known
     */
    acceptance(about: unknown, usual?: number): Acceptance;
    /** Why nothing runs for it any more. */
    readonly closed: Error | undefined;
}

/** Whether what its sequences have evaluated can be taken back token by token. */
export function canTakeBack({ contexts }: HostTarget): boolean {
    return contexts.every(({ cells }) => cells.rewinds);
}

/** One token sequence with one KV sequence per member. Members may hold different prompts; generated tokens are shared. */
export interface Sequence {
    readonly target: HostTarget;
    /**
     * Per member: the text, as the member reads it. Whoever opened the sequence adds to it. Never changed where it has been
     * evaluated.
     */
    readonly texts: readonly number[][];
    /** Per member: how many tokens of the text were found in a cache at the beginning. */
    readonly reused: readonly number[];
}

/** What only the scheduler knows of a sequence. */
export interface Lease extends Sequence {
    reused: readonly number[];
    /** The llama.cpp sequence id, the same in every context; undefined while it waits for one or rests without. */
    slot: number | undefined;
    /** Per member: so many tokens of the text that caches hold are to be found by others, also where they hold a state. 0: none in particular. */
    readonly bookmarks: readonly number[];
    /** Order of arrival: the youngest has to give way. */
    readonly order: number;
    /** Settles when the caches really hold what they are said to. Jobs run in order, so nobody has to wait before the first evaluation. */
    ready: Promise<void>;
    /** When it got its slot. */
    since: number;
    /** How many milliseconds it took from then to its first rest: what it costs to get it there again. */
    cost: number | undefined;
    /** Since when its reader has done nothing with it. */
    restingSince: number | undefined;
    /** Whether it has had a slot before. */
    hasStarted: boolean;
    /** How it goes on by itself in its slot. */
    chain: Chain | undefined;
}
