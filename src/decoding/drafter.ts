/** Who drafts, and what a caller or a recipe may say about it. */

import type { DraftLengthPolicy } from "../host/drafts.js";
import { readsMember } from "../host/evaluations.js";
import { canTakeBack } from "../host/sequences.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import { EftError } from "../errors.js";
import type { NativeFusion } from "../native/binding.js";
import { checkInteger, checkOneOf, number, oneOf, optionsOf, show, string, type Check } from "../options.js";
import { findSelectiveObstacle } from "../recipe/build.js";
import { combinationWeights, parseCombination } from "../recipe/index.js";
import type { Combination, Coupling, DraftLength, Recipe, SamplingOptions, Some } from "../types.js";
import { MOST_DRAFTED } from "../models/context-memory.js";
import { createDraftLengthPolicy } from "./draft-length.js";
import { lookUp, type Proposer } from "./lookup.js";
import { resolveSampling, SAMPLING_OPTIONS } from "./sampling.js";

/** Speculative decoding of one completion. What is left out is as the recipe says, or has its default. */
export interface SpeculationOptions {
    /**
     * Form over the members that drafts, e.g. `chat`. Default: the conservative fallback, else the member with the largest
     * weight among those that are not the largest model.
     */
    readonly drafter?: string | undefined;
    /** Try what followed an earlier occurrence of the last tokens, or what a function of yours guesses. Default false. */
    readonly lookup?: boolean | Proposer | undefined;
    /** How many tokens a block drafts. Default `adaptive`. */
    readonly length?: DraftLength | undefined;
    /** How the random choices of drafter and target are tied together. Default `gumbel`. */
    readonly coupling?: Coupling | undefined;
    /**
     * Selective fusion: where the drafter's distribution, before penalties, bias, temperature and filters, has less entropy than
     * this, its token is taken, and the target is asked at the other tokens alone. The text is then no longer the target's. Nats,
     * 0..100. Default 0: the target is asked at every token. Not with lookup and `coupling: maximal`.
     */
    readonly selective?: number | undefined;
    /**
     * Where the drafter is to draw otherwise than the target, e.g. `{ temperature: 0 }`: its most probable token. Penalties
     * look as far back as the target's. Default: nowhere, which is accepted most often.
     */
    readonly drafterSampling?: Some<SamplingOptions> | undefined;
}

/** What speculation may be, if it is an object. */
const SPECULATION_OPTIONS = optionsOf<SpeculationOptions>("speculation", {
    drafter: string,
    lookup(name, value) {
        if (typeof value === "boolean" || typeof value === "function") return value as boolean | Proposer;
        throw new EftError("OPTION_INVALID", `${name} must be true, false or a function, not ${show(value)}.`);
    },
    length: (_name, value) => checkDraftLength(value),
    coupling: oneOf(["gumbel", "maximal"]),
    selective: number(0, 100),
    drafterSampling: SAMPLING_OPTIONS,
});

/** What speculation may be; an object has the options of {@link SpeculationOptions}. */
export const SPECULATION: Check<boolean | SpeculationOptions> = Object.assign(
    (name: string, value: unknown) => {
        if (typeof value === "boolean") return value;
        if (typeof value === "object" && value !== null) return SPECULATION_OPTIONS(name, value);
        throw new EftError("OPTION_INVALID", `${name} must be true, false or an object, not ${show(value)}.`);
    },
    { names: SPECULATION_OPTIONS.names },
);

/** Speculation with all defaults filled in. */
export interface Speculation {
    /** Whether a member drafts, or lookup does. */
    readonly hasDrafter: boolean;
    /** Whether text that the grammar forces is verified as drafts: as far as that pays, or always. */
    readonly forced: "never" | "adaptive" | "always";
    readonly propose?: Proposer;
    readonly length: DraftLength;
    readonly policy: DraftLengthPolicy;
    readonly coupling: Coupling;
    /** Entropy below which the drafter's tokens are taken; undefined: the target is asked at every token. */
    readonly selective?: number;
    /** How the drafter draws; undefined: as the target. */
    readonly drafterSampling?: SamplingOptions;
}

/** The drafter's form at the given parameters; undefined where no member drafts. */
export type DrafterForm = (parameters: Readonly<Record<string, number>>) => NativeFusion | undefined;

/** What is left of it where nobody drafts, and a grammar forces text. */
const FORCED_TEXT: Speculation = {
    ...{ hasDrafter: false, forced: "adaptive", coupling: "gumbel" },
    ...{ length: 0, policy: createDraftLengthPolicy(0) },
};

/**
 * What a completion speculates with; undefined: nothing.
 *
 * @param sampling - of the target
 * @param option - as {@link SPECULATION} returns it
 * @throws EftError OPTION_INVALID for selective fusion with what it cannot be together with
 */
export function resolveSpeculation(
    ensemble: Ensemble,
    sampling: SamplingOptions,
    option: boolean | SpeculationOptions | undefined,
    hasGrammar: boolean,
): Speculation | undefined {
    if (option === false) return undefined;
    // Apart, since a declaration must not name what is internal.
    const { recipe, target } = ensemble;
    if (option === undefined && recipe.speculation === undefined) return hasGrammar ? FORCED_TEXT : undefined;
    const own = option === undefined || option === true ? {} : option;
    const lookup = own.lookup ?? recipe.speculation?.lookup ?? false;
    const asked = own.length ?? recipe.speculation?.length ?? "adaptive";
    const coupling = own.coupling ?? recipe.speculation?.coupling ?? "gumbel";
    const selective = own.selective ?? recipe.speculation?.selective ?? 0;
    const obstacle = findSelectiveObstacle({ selective, coupling, lookup });
    if (obstacle !== undefined) throw new EftError("OPTION_INVALID", `${obstacle.text}.`);
    // What the drafter is sure of needs no verdict, so there is nothing to weigh up.
    const length = selective > 0 && typeof asked !== "number" ? MOST_DRAFTED : asked;
    const isAdaptive = asked === "adaptive";
    // The text would depend on where blocks begin, which is later where a state has to be evaluated again.
    if (coupling === "maximal" && length !== 0 && !canTakeBack(target)) return undefined;
    // Under rejection sampling the text depends on where blocks begin, and with a length that is given it is to repeat itself.
    const isForced = hasGrammar && (coupling === "gumbel" || isAdaptive);
    return {
        hasDrafter: true,
        forced: !isForced ? "never" : isAdaptive ? "adaptive" : "always",
        ...(lookup === false ? {} : { propose: lookup === true ? lookUp : lookup }),
        ...(own.drafterSampling && { drafterSampling: resolveSampling(sampling, own.drafterSampling) }),
        ...(selective > 0 && { selective }),
        ...{ length, policy: createDraftLengthPolicy(length), coupling },
    };
}

function checkDraftLength(length: unknown): DraftLength {
    if (typeof length === "number") return checkInteger("the draft length", length, 0, MOST_DRAFTED);
    return checkOneOf("the draft length, if it is no number,", length, ["adaptive", "confidence"] as const);
}

/**
 * The form that drafts: the caller's, else the recipe's, else the default.
 *
 * @param sizes - bytes of each member's model
 * @param text - the caller's form
 * @throws EftError COMBINATION_*
 */
export function createDrafterForm(recipe: Recipe, sizes: readonly number[], text?: string): DrafterForm {
    const names = recipe.members.map(({ name }) => name);
    const form: Combination | undefined =
        text === undefined
            ? (recipe.speculation?.drafter ?? recipe.conservative?.fallback)
            : parseCombination(text, { members: names, parameters: recipe.parameters });
    const largest = Math.max(...sizes);
    return (parameters) => {
        const weights =
            form === undefined
                ? heaviestOf(
                      combinationWeights(recipe.combination, names, parameters),
                      (member) => (sizes[member] ?? largest) < largest,
                  )
                : combinationWeights(form, names, parameters);
        return weights.every((weight) => weight === 0)
            ? undefined
            : { weights, conservativeTopP: 1, controlTokensFallback: false };
    };
}

/** Weight 1 for the eligible member with the largest positive weight, 0 for all others. */
function heaviestOf(weights: Float64Array, isEligible: (member: number) => boolean): Float64Array {
    const eligible = [...weights.keys()].filter((member) => isEligible(member) && (weights[member] ?? 0) > 0);
    const best = Math.max(...eligible.map((member) => weights[member] ?? 0));
    const chosen = eligible.find((member) => weights[member] === best);
    return weights.map((_, member) => (member === chosen ? 1 : 0));
}

/** What acceptance depends on beside files and text, so coarsely that what was seen elsewhere says something. */
export function wayOfDrafting(
    { fusion, drafter }: { readonly fusion: NativeFusion; readonly drafter: NativeFusion | undefined },
    { coupling, drafterSampling }: Speculation,
    { temperature }: SamplingOptions,
): unknown {
    const coarse = (value: number, steps: number): number => Math.round(value * steps) / steps;
    const formOf = ({ weights, conservativeTopP }: NativeFusion): unknown => [
        Array.from(weights, (weight) => coarse(weight, 4)),
        conservativeTopP < 1,
    ];
    const temperatures = [temperature, drafterSampling?.temperature ?? temperature].map((each) => coarse(each, 2));
    return [formOf(fusion), drafter && formOf(drafter), coupling, temperatures];
}

/** With the tokens that were added for some members: where the drafter decides alone, it decides about them too. */
export function decidingAlone(form: DrafterForm, { addedTokens }: Ensemble["vocabulary"]): DrafterForm {
    if (!addedTokens.includes(1)) return form;
    return (parameters) => {
        const fusion = form(parameters);
        return fusion && { ...fusion, fallback: fusion.weights };
    };
}

/**
 * A dial may take other members out of the target for a while, which costs nothing but what would have been saved.
 *
 * @throws EftError OPTION_INVALID if selective fusion would ask all members at every token
 */
export function checkLeavesOut({ recipe }: Ensemble, drafter: NativeFusion | undefined): void {
    if (drafter === undefined || recipe.members.some((_, member) => !readsMember(drafter, member))) return;
    const names = recipe.members.map(({ name }) => name);
    throw new EftError(
        "OPTION_INVALID",
        `Selective fusion spares members that do not draft, and the drafter reads all that the target reads (${names.join(", ")}): ` +
            "name a smaller drafter, such as the small fine-tuned member, or leave `selective` out.",
    );
}

/** @throws EftError OPTION_INVALID if there is nothing that could draft */
export function checkCanDraft(drafter: NativeFusion | undefined, { propose }: Partial<Speculation>): void {
    if (drafter !== undefined || propose !== undefined) return;
    throw new EftError(
        "OPTION_INVALID",
        "No member can draft: the combination gives no positive weight to a model smaller than the largest. Name a drafter " +
            "(`speculation: { drafter: <member> }`), or turn speculation off.",
    );
}
