/** The token view of the paper's distance figure: where the target leaves its drafter, and which member made it do so. */

import type { Ensemble } from "../ensemble/ensemble.js";
import type { NativeDrawResult, NativeFusion } from "../native/binding.js";
import type { DrafterView, TokenPart } from "./completion.js";
import { tokenText } from "./token-text.js";

/**
 * The shift of member m between the target's token t and the drafter's token d is
 *
 *     (weight of m in the combination - weight of m in the drafter) * (log p_m(t) - log p_m(d))
 *
 * Without conservative filter, penalties and filters, the shifts add up to the log-odds by which the target prefers t to d
 * more than the drafter does.
 *
 * @param draw - one that was asked for comparison with the drafter, and for the members' log-probabilities
 */
export function viewDrafter(
    ensemble: Ensemble,
    { token, drafter: compared, memberLogprobs }: NativeDrawResult,
    { fusion, drafter }: { readonly fusion: NativeFusion; readonly drafter: NativeFusion },
): DrafterView | undefined {
    if (compared === undefined) return undefined;
    const text = tokenText(ensemble, compared.token);
    const view = { id: compared.token, text, totalVariation: compared.totalVariation };
    if (compared.token === token || memberLogprobs === undefined) return view;
    const shifts = ensemble.members.flatMap(({ name }, member): [string, number][] => {
        const weight = (fusion.weights[member] ?? 0) - (drafter.weights[member] ?? 0);
        if (weight === 0) return [];
        return [[name, weight * ((memberLogprobs[member] ?? NaN) - (compared.memberLogprobs[member] ?? NaN))]];
    });
    const [largest] = shifts.toSorted(([, a], [, b]) => b - a);
    return { ...view, shifts: Object.fromEntries(shifts), ...(largest && { changedBy: largest[0] }) };
}

/** What a member finds most probable, where the target's top tokens are enough to be sure of it. */
export function findMostProbable({ top = [] }: TokenPart, member: string): { id: number; text: string } | undefined {
    const candidates = top.map(({ id, text, members }) => ({
        id,
        text,
        probability: Math.exp(members?.[member] ?? NaN),
    }));
    const [best] = candidates.toSorted((a, b) => b.probability - a.probability);
    const rest = 1 - candidates.reduce((sum, { probability }) => sum + probability, 0);
    return best !== undefined && best.probability > rest ? best : undefined;
}

/** Where a text leaves its drafter, in numbers. */
export interface DrafterComparison {
    /** Tokens in whose place the drafter would have drawn another one. */
    readonly differing: number;
    /** Mean of the total-variation distances, 0..1; NaN without tokens. */
    readonly meanDistance: number;
}

/** Of tokens that were asked for with `explain`. */
export function compareWithDrafter(parts: readonly TokenPart[]): DrafterComparison {
    const views = parts.flatMap((part) => (part.drafter === undefined ? [] : [{ id: part.id, drafter: part.drafter }]));
    const distance = views.reduce((sum, { drafter }) => sum + drafter.totalVariation, 0);
    return {
        differing: views.filter(({ id, drafter }) => drafter.id !== id).length,
        meanDistance: distance / views.length,
    };
}
