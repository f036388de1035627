/** What is typed: how yargs is to understand it, and what is said where it does not. */

import { Parser } from "yargs/helpers";
import type { EftError } from "../errors.js";
import { suggestion } from "../recipe/problems.js";
import { loadOptions } from "./options.js";

export const COMMANDS = [
    "complete",
    "chat",
    "score",
    "serve",
    "eval",
    "inspect",
    "check",
    "doctor",
    "recipe",
    "pull",
    "models",
    "demo",
];
export const NO_COMMAND = `Name a command: ${COMMANDS.join(", ")}.`;
/** What a shell asks yargs with. */
export const SHELL_COMPLETIONS = "--get-yargs-completions";
const SUBCOMMANDS: Readonly<Record<string, readonly string[]>> = {
    recipe: ["init", "check", "show", "list"],
    models: ["list", "rm"],
};
/** What people write who come from llama.cpp. */
const FOREIGN: Readonly<Record<string, string>> = {
    ...{ ngl: "gpu-layers", "n-gpu-layers": "gpu-layers", c: "context-size", "ctx-size": "context-size" },
    ...{ t: "threads", "n-predict": "max-tokens", predict: "max-tokens", temp: "temperature", s: "seed" },
    ...{ sys: "system", "system-prompt": "system", np: "sequences", parallel: "sequences", dev: "backend" },
    ...{ device: "backend", ctk: "cache-type", ctv: "cache-type", "cache-type-k": "cache-type", j: "json-schema" },
};

/** Stands before words that are arguments whatever they begin with. No word that is typed can contain it. */
const ARGUMENT = "\0";

/** Names and letters of the flags of all commands, and whether a value follows them. */
type Flags = ReadonlyMap<string, boolean>;

/** What is typed, as yargs understands it; {@link plainWord} makes words of it again. */
export function readWords(words: readonly string[], flags: Flags): string[] {
    // What follows is a command line that has yet to be completed.
    if (words[0] === SHELL_COMPLETIONS) return [...words];
    const end = words.includes("--") ? words.indexOf("--") : words.length;
    const cut = words.slice(0, end).flatMap((word) => {
        // `-rdemo`, which would be five flags.
        const [, flag, value] = /^(-[fopr])([^=].*)$/s.exec(word) ?? [];
        return flag === undefined || value === undefined || isLongFlag(word, flags) ? [word] : [flag, value];
    });
    const [command, ...others] = cut;
    return [
        ...(command === "help" ? [...others, "--help"] : commandFirst(cut, flags, COMMANDS)),
        ...words.slice(end + 1).map((word) => ARGUMENT + word),
    ];
}

/** Whether a word with one hyphen was to have two: `-recipe`, `-promt`, but not `-rdemo` and `-ffile`. */
function isLongFlag(word: string, flags: Flags): boolean {
    const name = nameOf(word);
    if (flags.has(name) || Object.hasOwn(FOREIGN, name)) return true;
    // Of short names, many are near each other.
    const alike = [...flags.keys()].filter((flag) => flag.length > 3 && flag[0] === name[0]);
    return name.length > 3 && name[1] !== name[0] && suggestion(name, alike).startsWith("did");
}

/** Flags that stand before the command come behind it: yargs knows them only there. */
function commandFirst(words: readonly string[], flags: Flags, commands: readonly string[]): readonly string[] {
    const index = words.findIndex((word, at) => {
        if (word.startsWith("-")) return false;
        const isValue = followsAsValue(word, words[at - 1], flags);
        // Nobody knows what follows a flag that there is not.
        return isValue === undefined ? commands.includes(word) : !isValue;
    });
    const command = words[index];
    if (command === undefined) return words;
    const others = words.toSpliced(index, 1);
    const subcommands = subcommandsOf(command);
    return [command, ...(subcommands === undefined ? others : commandFirst(others, flags, subcommands))];
}

function subcommandsOf(command: string): readonly string[] | undefined {
    return Object.hasOwn(SUBCOMMANDS, command) ? SUBCOMMANDS[command] : undefined;
}

/** Whether a word is the value of the flag before it; undefined if there is no such flag. */
function followsAsValue(word: string, before: string | undefined, flags: Flags): boolean | undefined {
    if (before === undefined || !/^-[^\d.]/.test(before) || before.includes("=")) return false;
    const name = nameOf(before);
    // Of several letters in one word, the value is the last one's; after a digit, it is in the word.
    const letter = /^-[A-Za-z]+$/.test(before) && !flags.has(name) ? name.slice(-1) : name;
    if (/^-[A-Za-z]\d/.test(before)) return false;
    const takesValue = flags.get(letter);
    return takesValue === false ? word === "true" || word === "false" : takesValue;
}

/** The name of a flag as it is in the tables. */
function nameOf(flag: string): string {
    return Parser.decamelize(flag.replace(/^-+/, "").replace(/=.*$/s, ""), "-");
}

function plainWord(word: string): string {
    return word.replace(ARGUMENT, "");
}

/** Puts plain words into the values of flags and arguments. */
export function plainValues(values: Record<string, unknown>): void {
    const plain = (value: unknown): unknown =>
        typeof value === "string" ? plainWord(value) : Array.isArray(value) ? value.map(plain) : value;
    for (const [name, value] of Object.entries(values)) if (name !== "_") values[name] = plain(value);
}

export function asksForHelp(words: readonly string[]): boolean {
    return words.some((word) => word === "--help" || word === "-h");
}

/**
 * What is wrong with flags; undefined if nothing is.
 *
 * @param words - that were typed, as {@link readWords} gives them
 * @param parsed - what yargs made of them
 * @param known - names of flags, in all their spellings
 * @param positionals - names of the command's arguments, which are flags as well for yargs, and are lost if both are there
 * @param flags - of all commands
 */
export function explainFlags(
    words: readonly string[],
    parsed: { readonly _: readonly (string | number)[] },
    known: readonly string[],
    positionals: readonly string[],
    flags: Flags,
): string | undefined {
    // Which flags there are depends on the command.
    if (!COMMANDS.includes(words[0] ?? "")) return words[0]?.startsWith("-") ? guessFlag(words, flags) : undefined;
    const [command = "", subcommand = "-"] = words;
    // Of a command that is mistyped, no flags are known.
    if (!subcommand.startsWith("-") && subcommandsOf(command)?.includes(subcommand) === false) return undefined;
    const named = positionals.find((name) => words.some((word) => word.split("=")[0] === `--${name}`));
    if (named !== undefined) return `There is no --${named}; write the ${named} without a flag.`;
    const isUnknown = (word: string): boolean => {
        const [, dashes = "", name = ""] = /^(--?)([A-Za-z][^=]*)/.exec(word) ?? [];
        if (dashes === "--") return name in parsed && !known.includes(Parser.decamelize(name, "-"));
        // Yargs takes `-temperature` for a group of letters.
        return name.length > 1 && known.includes(name);
    };
    // Yargs takes an unknown flag for the value of the one before it.
    const needy = words.find(
        (word, index) =>
            /^--[A-Za-z][\w-]*(?:=|$)/.test(words[index + 1] ?? "") &&
            followsAsValue(words[index + 1] ?? "", word, flags) === true &&
            followsAsValue(word, words[index - 1], flags) !== true,
    );
    if (needy !== undefined) return explainNeedy(needy);
    const unknown = [...words.filter(isUnknown), ...parsed._.map(String).filter((word) => /^-[^\d.]/.test(word))];
    const mistaken = new Set(unknown.map((word) => word.split("=")[0] ?? ""));
    return mistaken.size === 0
        ? undefined
        : [...mistaken].map((flag) => explainFlag(flag, known, positionals)).join("\n");
}

/** The flag for a number whose value is an empty text, such as that of a variable that is not set; yargs takes it for 0. */
export function findEmptyNumber(words: readonly string[], numeric: readonly string[]): string | undefined {
    const flags = numeric.map((name) => flagNamed(name));
    return flags.find((flag) =>
        words.some((word, index) => word === `${flag}=` || (word === flag && words[index + 1] === "")),
    );
}

/** Where there is no command: what was meant by the first flag that no command has. */
function guessFlag(words: readonly string[], flags: Flags): string | undefined {
    const unknown = words.find(
        (word) => /^--?[A-Za-z]{2}/.test(word) && !(word.startsWith("--") && flags.has(nameOf(word))),
    );
    const text = unknown === undefined ? "" : explainFlag(unknown.split("=")[0] ?? "", [...flags.keys()]);
    return /[;:]/.test(text) ? `${text} ${NO_COMMAND}` : undefined;
}

/** Options of the library whose flags are one word, and which begin its messages. */
const WORDS =
    /^(?:threads|sequences|backend|seed|stop|temperature|speculation|drafter|coupling|lookup|selective|grammar|stride)(?= must| cannot)/;
/** Options of several words and their flags. Other words in camel case are names of files, members or parameters. */
const FLAGS: Readonly<Record<string, string>> = {
    ...{ topK: "top-k", topP: "top-p", minP: "min-p", maxTokens: "max-tokens" },
    ...{ repeatPenalty: "repeat-penalty", frequencyPenalty: "frequency-penalty", presencePenalty: "presence-penalty" },
    ...Object.fromEntries(
        Object.keys(loadOptions)
            .filter((flag) => flag.includes("-"))
            .map((flag) => [flag.replaceAll(/-(.)/g, (_, letter: string) => letter.toUpperCase()), flag]),
    ),
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
 * What yargs does not understand, and what was meant.
 *
 * @param words - that were typed, as {@link readWords} gives them
 */
export function explainUsage(message: string, words: readonly string[]): string {
    const [, flag, given, choices = ""] = /Argument: (\S+), Given: (.*), Choices: (.*)$/m.exec(message) ?? [];
    if (flag !== undefined) return `--${flag} takes ${choices.replaceAll('"', "")}, not ${given}.`;
    const [, needy] = /^Not enough arguments following: (.+)$/.exec(message) ?? [];
    if (needy !== undefined) return explainNeedy(flagNamed(needy));
    if (message.startsWith("Not enough non-option arguments")) return "An argument is missing.";
    const [, list] = /^Unknown arguments?: (.+)$/s.exec(message) ?? [];
    if (list === undefined) return message;
    const [command = "", subcommand = ""] = words.map(plainWord);
    if (/^[-\0]/.test(words[0] ?? "")) return NO_COMMAND;
    if (!COMMANDS.includes(command))
        return `There is no command ${JSON.stringify(command)}; ${suggestion(command, COMMANDS)}`;
    const subcommands = SUBCOMMANDS[command] ?? [subcommand];
    if (!subcommand.startsWith("-") && !subcommands.includes(subcommand))
        return `There is no command "${command} ${subcommand}"; ${suggestion(subcommand, subcommands)}`;
    const takesText = ["complete", "score"].includes(command);
    const hasRecipe = words.some((word) => /^(?:-r$|--recipe(?:=|$))/.test(word));
    const remedies = [
        ...(takesText && !hasRecipe ? ["Name a recipe with --recipe."] : []),
        ...(takesText ? ["Put a text of several words into quotes."] : []),
    ];
    return [`Too many arguments: ${list.replaceAll(ARGUMENT, "")}.`, ...remedies].join(" ");
}

function explainNeedy(flag: string): string {
    return `${flag} takes a value; write one that begins with "-" as ${flag}=-x.`;
}

function flagNamed(name: string): string {
    return name.length === 1 ? `-${name}` : `--${name}`;
}

/** @param flag - as it was typed */
function explainFlag(flag: string, known: readonly string[], positionals: readonly string[] = []): string {
    const name = Parser.decamelize(flag.replace(/^-+/, ""), "-");
    const flags = [...new Set(known.filter((key) => key.length > 1).map((key) => Parser.decamelize(key, "-")))];
    const positive = name.replace(/^no-/, "");
    if (positive !== name && flags.includes(positive)) return `There is no ${flag}; write --${positive}=false.`;
    const takesRecipe = positionals.some((each) => ["recipe", "source", "sources"].includes(each));
    if ((name === "r" || name === "recipe") && takesRecipe && !flags.includes("recipe"))
        return `There is no ${flag}; write the recipe without a flag.`;
    if (name === "m" || name === "model")
        return `There is no ${flag}: name the models with --recipe, or with --base, --tuned and --reference.`;
    const own = FOREIGN[name];
    if (own !== undefined && flags.includes(own)) return `There is no ${flag}; write --${own}.`;
    const guess = suggestion(name, flags);
    return `There is no ${flag}${guess.startsWith("did") ? `; ${guess.replace(/"(.*)"/, "--$1")}` : "."}`;
}
