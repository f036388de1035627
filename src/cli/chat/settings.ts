/** `/set`: dials, which turn in the middle of an answer, and how the next answers are drawn. */

import { EftError, resolveParameters, type ChatSession, type Recipe } from "../../index.js";
import { suggestion } from "../../recipe/problems.js";

/** What sampling is called, as by the flags. */
const SAMPLING = { temperature: "temperature", "top-k": "topK", "top-p": "topP", "min-p": "minP" } as const;

function isSampling(name: string): name is keyof typeof SAMPLING {
    return Object.hasOwn(SAMPLING, name);
}

/** What can be set. */
export function settingNames({ parameters }: ChatSession): string[] {
    return [...new Set([...Object.keys(parameters), ...Object.keys(SAMPLING), "seed"])];
}

/** Where everything stands, line by line. Of the seed only the session knows. */
export function showSettings({ parameters, sampling }: ChatSession): string {
    const drawn = Object.entries(SAMPLING).map(([name, key]) => [name, sampling[key]] as const);
    // A dial goes before what has its name.
    return Object.entries({ ...parameters, ...Object.fromEntries(drawn), ...parameters })
        .map(([name, value]) => `${name} = ${value}`)
        .join("\n");
}

/**
 * Sets all of it or nothing.
 *
 * @param argument - names and values: `beta 0.5 temperature=0`
 * @returns what is so now, line by line
 * @throws EftError OPTION_INVALID, PARAMETER_RANGE
 */
export function applySettings(recipe: Recipe, chat: ChatSession, argument: string): string {
    const pairs = readPairs(argument, settingNames(chat));
    const isDial = ([name]: readonly [string, number]): boolean => Object.hasOwn(chat.parameters, name);
    const dials = Object.fromEntries(pairs.filter(isDial));
    const drawn = pairs.filter((pair) => !isDial(pair));
    resolveParameters(recipe, dials);
    chat.setSampling(
        Object.fromEntries(drawn.map(([name, value]) => [isSampling(name) ? SAMPLING[name] : name, value])),
    );
    chat.setParameters(dials);
    const later = chat.busy ? ", from the next answer on" : "";
    return pairs.map((pair) => `${pair[0]} = ${pair[1]}${isDial(pair) ? "" : later}`).join("\n");
}

function readPairs(argument: string, names: readonly string[]): [string, number][] {
    const words = argument.split(/[\s=]+/).filter((word) => word !== "");
    const pairs: [string, number][] = [];
    for (let index = 0; index < words.length; index += 2) {
        const [name = "", value = ""] = words.slice(index, index + 2);
        if (!names.includes(name)) {
            throw new EftError("OPTION_INVALID", `There is no "${name}" to set (${suggestion(name, names)}).`);
        }
        if (value === "" || Number.isNaN(Number(value))) {
            throw new EftError("OPTION_INVALID", `/set takes a name and a number, such as /set ${names[0]} 1.`);
        }
        pairs.push([name, Number(value)]);
    }
    return pairs;
}
