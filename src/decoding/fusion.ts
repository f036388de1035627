/** The recipe's combination at the current dials, in the form that the native step takes. */

import { addedTokensForm } from "../prompts/added-tokens.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { Sequence } from "../host/sequences.js";
import { EftError } from "../errors.js";
import type { NativeFusion } from "../native/binding.js";
import { mapping } from "../options.js";
import { combinationWeights, resolveParameters } from "../recipe/index.js";
import type { DrafterForm } from "./drafter.js";

/**
 * @param parameters - a value for each parameter of the recipe
 * @param conservativeTopP - in the place of the recipe's
 * @throws EftError PARAMETER_RANGE where weights are too large, or all of them 0; OPTION_INVALID for a filter that the recipe has not
 */
export function createFusion(
    { recipe, vocabulary }: Pick<Ensemble, "recipe" | "vocabulary">,
    parameters: Readonly<Record<string, number>>,
    conservativeTopP?: number,
): NativeFusion {
    const names = recipe.members.map(({ name }) => name);
    const { combination, conservative } = recipe;
    const weights = combinationWeights(combination, names, parameters);
    if (weights.every((weight) => weight === 0)) {
        throw new EftError(
            "PARAMETER_RANGE",
            `With the parameters ${JSON.stringify(parameters)}, "${combination.text}" gives every member the weight 0, and ` +
                "nothing is left; set one of them to another value.",
        );
    }
    if (conservative === undefined && conservativeTopP !== undefined)
        throw new EftError(
            "OPTION_INVALID",
            `conservativeTopP needs something to fall back to, and the recipe "${recipe.name}" has no conservative filter; ` +
                "write one into it: conservative: { topP: 0.9, fallback: <member> }.",
        );
    const fallback =
        conservative === undefined
            ? addedTokensForm(weights, vocabulary)
            : combinationWeights(conservative.fallback, names, parameters);
    return {
        weights,
        ...(fallback && { fallback }),
        conservativeTopP: conservativeTopP ?? conservative?.topP ?? 1,
        controlTokensFallback: recipe.controlTokens === "fallback",
    };
}

/** Dials of one completion: the ensemble's, overlaid with its own. */
export interface Dials {
    /** At the current values. Computed again when a dial has been turned, and not for every token. */
    readonly fusion: NativeFusion;
    /** The form that drafts, at the current values; undefined where there is none. */
    readonly drafter: NativeFusion | undefined;
    /** Turns the completion's own dials. @throws EftError PARAMETER_* */
    readonly turn: (values: Readonly<Record<string, number>>) => void;
}

/** @throws EftError PARAMETER_* */
export function createDials(
    ensemble: Ensemble,
    own: Readonly<Record<string, number>>,
    drafterForm: DrafterForm = () => undefined,
    conservativeTopP?: number,
): Dials {
    const { recipe } = ensemble;
    const compute = (values: Readonly<Record<string, number>>): Pick<Dials, "fusion" | "drafter"> => {
        const parameters = resolveParameters(recipe, { ...ensemble.parameters, ...values });
        return { fusion: createFusion(ensemble, parameters, conservativeTopP), drafter: drafterForm(parameters) };
    };
    let seen = ensemble.parameters;
    let forms = compute(own);
    const current = (): Pick<Dials, "fusion" | "drafter"> => {
        if (seen !== ensemble.parameters) {
            forms = compute(own);
            seen = ensemble.parameters;
        }
        return forms;
    };
    return {
        get fusion() {
            return current().fusion;
        },
        get drafter() {
            return current().drafter;
        },
        turn(values) {
            const turned = mapping<number>("What setParameters takes", values);
            resolveParameters(recipe, turned);
            forms = compute({ ...own, ...turned });
            own = { ...own, ...turned };
        },
    };
}

/** The tokens of a text, and the sequence that they are added to. */
export interface Continuation {
    /** Its tokens. */
    readonly tokens: readonly number[];
    /** The next token; a member that lacks it reads its text instead, in several tokens. */
    push(token: number): void;
}

/** @internal */
export function createContinuation({ texts }: Pick<Ensemble, "texts">, sequence: Sequence): Continuation {
    const tokens: number[] = [];
    return {
        tokens,
        push(token) {
            tokens.push(token);
            sequence.texts.forEach((text, member) => text.push(...texts.feed(member, token)));
        },
    };
}
