/** What `eft-llama inspect` says about how a recipe speculates. */

import { createDrafterForm } from "../../decoding/drafter.js";
import type { GgufSummary, Recipe, SpeculationSpec } from "../../index.js";

export interface SpeculationInspection extends Required<Pick<SpeculationSpec, "length" | "coupling" | "lookup">> {
    /** Whether the recipe turns it on. If not, the rest says how it would be if a caller turned it on. */
    readonly enabled: boolean;
    /** Undefined where no member can draft, and where that depends on files that are missing. */
    readonly drafter?: {
        /** A form that the recipe has, or the name of the member that is chosen by default. */
        readonly text: string;
        /** Where the dials stand, by member. */
        readonly weights: Readonly<Record<string, number>>;
    };
}

/**
 * @param parameters - where the dials stand
 * @param files - headers by path; without those that are missing
 */
export function inspectSpeculation(
    recipe: Recipe,
    parameters: Readonly<Record<string, number>>,
    files: ReadonlyMap<string, Pick<GgufSummary, "tensorBytes">>,
): SpeculationInspection {
    const { length = "adaptive", coupling = "gumbel", lookup = false, drafter } = recipe.speculation ?? {};
    const sizes = recipe.members.map(({ model }) => files.get(model)?.tensorBytes ?? NaN);
    const weights = createDrafterForm(recipe, sizes)(parameters)?.weights;
    const names = recipe.members.map(({ name }) => name);
    const form = drafter ?? recipe.conservative?.fallback;
    return {
        enabled: recipe.speculation !== undefined,
        ...(weights && {
            drafter: {
                text: form?.text ?? names.filter((_, member) => weights[member] !== 0).join(),
                weights: Object.fromEntries(names.map((name, member) => [name, weights[member] ?? 0])),
            },
        }),
        ...{ length, coupling, lookup },
    };
}

/** Lines for people. */
export function describeSpeculation(
    { speculation }: Recipe,
    { enabled, drafter, length, coupling, lookup }: SpeculationInspection,
    isMissing: boolean,
): string[] {
    const unknown = isMissing ? "depends on the missing models" : "none, for no member can draft";
    const byDefault = speculation?.drafter === undefined ? " (by default)" : "";
    return [
        `Speculation: ${enabled ? "on" : "off unless asked for"}`,
        `  drafter: ${drafter === undefined ? unknown : `${drafter.text}${byDefault}`}`,
        `  length ${length}, coupling ${coupling}, lookup ${lookup ? "on" : "off"}`,
    ];
}
