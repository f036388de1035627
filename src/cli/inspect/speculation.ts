/** What `eft-llama inspect` says about how a recipe speculates. */

import type { SpeculationInspection } from "../../decoding/recipe-forms.js";
import type { Recipe } from "../../index.js";

/** Lines for people. */
export function describeSpeculation(
    { speculation }: Recipe,
    { enabled, drafter, length, coupling, lookup, selective }: SpeculationInspection,
    isMissing: boolean,
): string[] {
    const unknown = isMissing ? "depends on the missing models" : "none, for no member can draft";
    const byDefault = speculation?.drafter === undefined ? " (by default)" : "";
    return [
        `Speculation: ${enabled ? "on" : "off unless asked for"}`,
        `  drafter: ${drafter === undefined ? unknown : `${drafter.text}${byDefault}`}`,
        `  length ${length}, coupling ${coupling}, lookup ${lookup ? "on" : "off"}`,
        ...(selective === undefined
            ? []
            : [`  selective: the target is asked where the drafter's entropy is ${selective} nats or more`]),
    ];
}
