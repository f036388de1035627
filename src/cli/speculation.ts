/** The flags of speculative decoding, and what they mean to the library. */

import type { InferredOptionTypes, Options } from "yargs";
import type { DraftLength, Recipe, SpeculationOptions } from "../index.js";
import { MOST_DRAFTED } from "../models/context-memory.js";
import { parseCombination } from "../recipe/index.js";

const LENGTHS = `off, auto, confidence or a number of drafts from 0 to ${MOST_DRAFTED}`;

export const speculationOptions = {
    speculation: {
        type: "string",
        requiresArg: true,
        group: "Speculation:",
        description: `How many tokens to draft: ${LENGTHS}; default: as the recipe says`,
    },
    drafter: {
        type: "string",
        requiresArg: true,
        group: "Speculation:",
        description: "Member that drafts, or a combination of members",
    },
    coupling: {
        choices: ["gumbel", "maximal"],
        requiresArg: true,
        group: "Speculation:",
        description:
            "gumbel = the text that there would be without drafts; maximal = another one, and fewer rejections",
    },
    lookup: {
        type: "boolean",
        group: "Speculation:",
        description: "Draft what followed an earlier occurrence of the last tokens, where there is one",
    },
    selective: {
        type: "number",
        requiresArg: true,
        group: "Speculation:",
        description: "Ask the target only where the drafter's entropy is at least this, in nats; 0 = everywhere",
    },
} as const satisfies Record<string, Options>;

type SpeculationFlags = InferredOptionTypes<typeof speculationOptions>;

/** For `check()`. @throws Error for a length that there is not, and for flags that need speculation where it is off */
export function checkSpeculation(flags: SpeculationFlags): void {
    if (flags.speculation === undefined || parseLength(flags.speculation) !== "off") return;
    const [flag] = (["drafter", "coupling", "lookup", "selective"] as const).filter(
        (name) => flags[name] !== undefined,
    );
    if (flag !== undefined) throw new Error(`--${flag} needs speculation, which --speculation off turns off.`);
}

/** What the flags say, for `complete()`; undefined where they leave all of it to the recipe. */
export function chooseSpeculation(flags: SpeculationFlags): false | SpeculationOptions | undefined {
    const { drafter, coupling, lookup, selective } = flags;
    const length = flags.speculation === undefined ? undefined : parseLength(flags.speculation);
    if (length === "off") return false;
    const options = { drafter, coupling, lookup, selective, length };
    return Object.values(options).every((value) => value === undefined) ? undefined : options;
}

function parseLength(text: string): DraftLength | "off" {
    // The second one is what recipes call it.
    if (text === "auto" || text === "adaptive") return "adaptive";
    if (text === "off" || text === "confidence") return text;
    if (/^\d+$/.test(text) && Number(text) <= MOST_DRAFTED) return Number(text);
    throw new Error(`--speculation takes ${LENGTHS}, not ${JSON.stringify(text)}.`);
}

/** Before anything is loaded, which may take minutes. @throws EftError COMBINATION_* that names the flag */
export function checkDrafter({ members, parameters }: Recipe, drafter: string | undefined): void {
    if (drafter === undefined) return;
    const location = (offset: number) => ({ file: "--drafter", line: 1, column: offset + 1 });
    parseCombination(drafter, { members: members.map(({ name }) => name), parameters, location });
}
