/** What is typed: how yargs is to understand it, and what is said where it does not. */

import { Parser } from "yargs/helpers";
import type { EftError } from "../errors.js";
import { suggestion } from "../recipe/problems.js";

export const COMMANDS = ["complete", "chat", "score", "eval", "inspect", "recipe", "pull", "demo"];
const RECIPE_COMMANDS = ["init", "check", "show", "list"];
/** The argument of a command that is a text. */
const TEXTS: Readonly<Record<string, string>> = { complete: "prompt", score: "text" };

/** What is typed, as yargs understands it. */
export function readWords(words: readonly string[]): string[] {
    const flags = flagsOf(words).flatMap((word) => {
        // `-rdemo`, which would be five flags.
        const [, flag, value] = /^(-[fnopr])([^=].*)$/s.exec(word) ?? [];
        return flag === undefined || value === undefined ? [word] : [flag, value];
    });
    const [command = "", ...others] = flags;
    if (command === "help") return [...others, "--help"];
    // What follows `--` would not be the command's argument.
    const [text, ...rest] = words.slice(flagsOf(words).length + 1);
    const name = TEXTS[command];
    if (name !== undefined && text !== undefined) return [...flags, `--${name}=${text}`, ...rest];
    return [...flags, ...words.slice(flagsOf(words).length)];
}

/** Without what follows `--`, which is never a flag. */
function flagsOf(words: readonly string[]): string[] {
    return words.slice(0, words.includes("--") ? words.indexOf("--") : undefined);
}

export function asksForHelp(words: readonly string[]): boolean {
    return flagsOf(words).some((word) => word === "--help" || word === "-h");
}

/** Options of the library whose flags are one word, and which begin its messages. */
const WORDS =
    /^(?:threads|sequences|backend|seed|stop|temperature|speculation|drafter|coupling|lookup|grammar)(?= must| cannot)/;
/** Options of several words and their flags. Other words in camel case are names of files, members or parameters. */
const FLAGS: Readonly<Record<string, string>> = {
    ...{ topK: "top-k", topP: "top-p", minP: "min-p", maxTokens: "max-tokens" },
    ...{ repeatPenalty: "repeat-penalty", frequencyPenalty: "frequency-penalty", presencePenalty: "presence-penalty" },
    ...{ contextSize: "context-size", gpuLayers: "gpu-layers", cacheType: "cache-type" },
    ...{ topLogprobs: "top-logprobs", memberLogprobs: "members", jsonSchema: "json-schema" },
    templateVariables: "template-variable",
};
/** Texts in quotes, which stay, and options: whole words that are no part of a path. */
const OPTIONS = new RegExp(
    `"(?:[^"\\\\]|\\\\.)*"|(?<![\\w./\\\\-])(${Object.keys(FLAGS).join("|")})(?![\\w/\\\\-]|\\.\\w)`,
    "gs",
);

/** The message, with flags where the library speaks of its options: `--top-k`, not `topK`. */
export function nameFlags({ code, message }: EftError): string {
    if (code !== "OPTION_INVALID" && code !== "CONTEXT_OVERFLOW") return message;
    return message
        .replace(WORDS, "--$&")
        .replaceAll(OPTIONS, (text, option?: string) => (option === undefined ? text : `--${FLAGS[option]}`));
}

/**
 * Yargs' words for what it does not know, each once, and with what was meant.
 *
 * @param words - that were typed
 * @param known - names of flags, in all their spellings
 */
export function explainUsage(message: string, words: readonly string[], known: readonly string[]): string {
    const [, flag, given, choices = ""] = /Argument: (\S+), Given: (.*), Choices: (.*)$/m.exec(message) ?? [];
    if (flag !== undefined) return `--${flag} takes ${choices.replaceAll('"', "")}, not ${given}.`;
    const [, list] = /^Unknown arguments?: (.+)$/s.exec(message) ?? [];
    if (list === undefined) return message;
    const [command = "", subcommand = ""] = words;
    if (!command.startsWith("-") && !COMMANDS.includes(command))
        return `There is no command ${JSON.stringify(command)}; ${suggestion(command, COMMANDS)}`;
    if (command === "recipe" && !subcommand.startsWith("-") && !RECIPE_COMMANDS.includes(subcommand))
        return `There is no command "recipe ${subcommand}"; ${suggestion(subcommand, RECIPE_COMMANDS)}`;
    // In camel case, yargs reports them once more.
    const names = [...new Set(list.split(", ").map((name) => Parser.decamelize(name, "-")))];
    const flags = names.filter((name) =>
        words.some((word) => word === flagNamed(name) || word.startsWith(`--${name}=`)),
    );
    if (flags.length > 0) return flags.map((name) => explainFlag(name, known)).join("\n");
    return `Too many arguments: ${list}. Put a text of several words into quotes.`;
}

function flagNamed(name: string): string {
    return name.length === 1 ? `-${name}` : `--${name}`;
}

function explainFlag(name: string, known: readonly string[]): string {
    const flag = flagNamed(name);
    const flags = [...new Set(known.filter((key) => key.length > 1).map((key) => Parser.decamelize(key, "-")))];
    const positive = name.replace(/^no-/, "");
    if (positive !== name && flags.includes(positive)) return `There is no ${flag}; write --${positive}=false.`;
    if (name === "m" || name === "model")
        return `There is no ${flag}: name the models with --recipe, or with --base, --tuned and --reference.`;
    const guess = suggestion(name, flags);
    return `There is no ${flag}${guess.startsWith("did") ? `; ${guess.replace(/"(.*)"/, "--$1")}` : "."}`;
}
