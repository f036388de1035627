/** What a conversation does besides talking: the commands that begin with a slash. */

import {
    combinationWeights,
    createChat,
    EftError,
    parseChat,
    saveChat,
    type ChatOptions,
    type ChatSession,
    type Completion,
    type Ensemble,
    type FinishPart,
    type TokenPart,
} from "../../index.js";
import wrapAnsi from "wrap-ansi";
import { compareAlone } from "../../chat/compare.js";
import { readConversation } from "../../chat/document.js";
import { expandHome } from "../../files.js";
import { suggestion } from "../../recipe/problems.js";
import { describeAnswers } from "./compare.js";
import type { Keeper } from "./keep.js";
import { applySettings, settingNames, showSettings } from "./settings.js";
import type { Surface } from "./surface.js";
import { describeDecisions, paintText } from "../explain.js";
import { describeMemberProbabilities } from "../member-probabilities.js";
import { describeEmpty, describeStatistics } from "../statistics.js";
import { describeSystem } from "../../prompts/system-prompt.js";
import { plural } from "../../plural.js";
import { colors, escapeControls, escapeLines, formatTable, printable } from "../terminal.js";

/** A conversation that goes on, and where. */
export interface Talk {
    readonly ensemble: Ensemble;
    /** What the flags say of every session. */
    readonly options: ChatOptions;
    readonly surface: Surface;
    readonly verbose: boolean;
    readonly keeper: Keeper;
    chat: ChatSession;
    /** What the last answer took. */
    finish?: FinishPart;
    over: boolean;
}

interface Command {
    readonly usage: string;
    readonly help: string;
    /** Whether it is obeyed in the middle of an answer, and does not wait for its end. */
    readonly atOnce?: boolean;
    readonly run: (talk: Talk, argument: string) => Promise<void>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
    set: {
        usage: "/set [name value ...]",
        help: "turn dials, also in the middle of an answer; temperature, top-p and so on from the next one",
        atOnce: true,
        run: set,
    },
    compare: {
        usage: "/compare [question]",
        help: "what members say alone, beside the target",
        run: compare,
    },
    explain: {
        usage: "/explain",
        help: "what each member thought of the last answer",
        run: explain,
    },
    prompt: { usage: "/prompt", help: "what each member saw before the last answer", run: showPrompts },
    recipe: { usage: "/recipe", help: "combination, dials and members", atOnce: true, run: showRecipe },
    system: { usage: "/system [text]", help: "show or change the system prompt; - for none", run: setSystem },
    regen: { usage: "/regen", help: "answer the last question anew", run: regenerate },
    edit: { usage: "/edit [text]", help: "ask something else in place of the last question", run: edit },
    undo: { usage: "/undo", help: "take back the last question and its answer", run: undo },
    new: { usage: "/new, /clear", help: "begin a new conversation, at the same dials", run: beginAnew },
    save: { usage: "/save <file>", help: "write the conversation to a file", run: save },
    load: { usage: "/load <file>", help: "go on with a conversation from a file", run: load },
    fork: { usage: "/fork [file]", help: "go on in a copy, in a new file; the old one stays as it is", run: fork },
    stats: { usage: "/stats", help: "what the last answer took", run: showStatistics },
    help: { usage: "/help, /?", help: "this list", atOnce: true, run: showHelp },
    quit: { usage: "/quit, /exit, /bye", help: "leave", atOnce: true, run: quit },
};
/** Other names, which people know from other programs. */
const ALIASES: Readonly<Record<string, string>> = { clear: "new", "?": "help", exit: "quit", bye: "quit" };
const NAMES = [...Object.keys(COMMANDS), ...Object.keys(ALIASES)];

function findCommand(name: string): Command | undefined {
    const own = Object.hasOwn(ALIASES, name) ? (ALIASES[name] ?? name) : name;
    return Object.hasOwn(COMMANDS, own) ? COMMANDS[own] : undefined;
}

/** Says something or obeys a command. */
export async function handle(talk: Talk, input: string): Promise<void> {
    // A path or a comment is no command: `/etc/hosts`, `/* ... */`.
    const [, name, argument = ""] = /^\/(\w*|\?)(?:\s+([^]*))?$/.exec(input) ?? [];
    if (name === undefined) {
        const text = input.replace(/^\/\//, "/");
        await answer(talk, (signal) => talk.chat.send(text, { signal }));
        return;
    }
    const command = findCommand(name);
    if (command !== undefined) return command.run(talk, argument.trim());
    const guess = suggestion(
        `/${name}`,
        NAMES.map((known) => `/${known}`),
    );
    await talk.surface.fail(`There is no command /${name} (${guess}). To say it: /${input}`);
}

/** Obeys a command that does not wait for the end of an answer; false for anything else. */
export function handleAtOnce(talk: Talk, input: string): boolean {
    const [, name = ""] = /^\/(\w+|\?)(?!\S)/.exec(input) ?? [];
    if (findCommand(name)?.atOnce !== true) return false;
    void report(talk, () => handle(talk, input));
    return true;
}

/** Says what went wrong, where it is the user's to know. */
export async function report(talk: Talk, body: () => Promise<void>): Promise<void> {
    try {
        await body();
    } catch (error) {
        if (!EftError.isInstance(error) || error.code === "NATIVE_FAILURE") throw error;
        await talk.surface.fail(error.message);
    }
}

/** Names of commands, and of what can be set. */
export function completeWord(talk: Talk, line: string): [string[], string] {
    const [, before = "", dial] = /^(\/set\s+)?(\S*)$/.exec(line) ?? [];
    const words =
        before === "" ? NAMES.map((name) => `/${name} `) : settingNames(talk.chat).map((name) => `${before}${name} `);
    if (dial === undefined || !line.startsWith("/")) return [[], line];
    return [words.filter((word) => word.startsWith(line)), line];
}

async function answer(talk: Talk, begin: (signal: AbortSignal) => Completion): Promise<void> {
    const { surface } = talk;
    let length = 0;
    await surface.work(async (signal) => {
        let begun = false;
        let thoughts = "";
        try {
            for await (const part of begin(signal)) {
                if (part.type === "thinking") thoughts += part.thinking;
                if (thoughts !== "" && (part.text !== "" || part.type === "finish")) {
                    await surface.note(escapeLines(thoughts));
                    thoughts = "";
                }
                begun = true;
                length += part.text.length;
                await surface.write(part.text);
                if (part.type === "finish") talk.finish = part;
            }
        } finally {
            if (begun) await surface.endAnswer();
        }
    });
    if (talk.finish?.reason === "abort") await surface.note("(stopped)");
    if (talk.finish?.reason === "length") await surface.note(`(cut after ${plural(talk.finish.tokens, "token")})`);
    if (length === 0 && talk.finish?.reason === "stop")
        await surface.note(`(${describeEmpty(talk.finish, talk.ensemble)})`);
    if (talk.verbose) await showStatistics(talk);
}

async function set({ ensemble, chat, surface }: Talk, argument: string): Promise<void> {
    await surface.note(argument === "" ? showSettings(chat) : applySettings(ensemble.recipe, chat, argument));
}

async function compare(talk: Talk, argument: string): Promise<void> {
    const { ensemble, options, chat, surface } = talk;
    const last = chat.turns.at(-1);
    const question = argument === "" ? last?.user : argument;
    if (question === undefined) return surface.fail("Nothing has been asked yet; write /compare and a question.");
    const turns = argument === "" ? chat.turns.slice(0, -1) : chat.turns;
    const forgotten = Math.min(chat.forgotten, turns.length);
    const { system, parameters, sampling } = chat;
    const base: ChatOptions = { ...options, system, turns, forgotten, parameters, sampling };
    const onStep = (member?: string): Promise<void> | undefined =>
        surface.tell?.(member === undefined ? "target …" : `${member} alone …`);
    const answers = await surface.work((signal) => compareAlone(ensemble, base, question, { signal, onStep }));
    await surface.print(describeAnswers(answers, parameters, surface.width));
}

async function explain(talk: Talk): Promise<void> {
    const { ensemble, chat, surface } = talk;
    const parts: TokenPart[] = [];
    let text = "";
    await surface.tell?.("the last answer once more …");
    await surface.work(async (signal) => {
        for await (const part of repeatWithReports(chat, signal)) {
            if (part.type === "token") parts.push(part);
            text += paintText(part);
        }
    });
    const hasDrafter = parts.some(({ drafter }) => drafter !== undefined);
    await surface.print(text.trim() + (hasDrafter ? describeDecisions(ensemble, parts) : ""));
    await surface.print(describeMemberProbabilities(ensemble, parts, "target"));
}

/** Without anybody who could draft, the target is compared with nobody. */
function repeatWithReports(chat: ChatSession, signal: AbortSignal): Completion {
    const reports = { signal, memberLogprobs: true, topLogprobs: 100 };
    try {
        return chat.repeat({ ...reports, explain: true });
    } catch (error) {
        if (EftError.isInstance(error) && error.code === "OPTION_INVALID") return chat.repeat(reports);
        throw error;
    }
}

async function showPrompts({ chat, surface }: Talk): Promise<void> {
    const last = chat.turns.at(-1);
    if (last === undefined) return surface.fail("Nothing has been asked yet; ask something first.");
    const prompts = Object.entries(await chat.fork(chat.turns.length - 1).render(last.user));
    const distinct = new Set(prompts.map(([, prompt]) => prompt));
    for (const text of distinct) {
        const names = prompts.filter(([, prompt]) => prompt === text).map(([name]) => name);
        // Tabs are shown as what they are, too.
        const lines = text.split("\n").map(escapeControls).join("\n");
        await surface.print(`${colors.bold(names.join(", "))}\n${lines}`);
    }
}

async function showRecipe({ ensemble, chat, surface }: Talk): Promise<void> {
    const { name, description, combination, members, parameters } = printable(ensemble.recipe);
    const names = members.map((member) => member.name);
    const weights = combinationWeights(combination, names, chat.parameters);
    await surface.print(
        [
            `${colors.bold(name)}${description === undefined ? "" : `: ${description}`}`,
            `target = ${combination.text}`,
            ...Object.entries(parameters).map(([dial, { min, max, description: what }]) => {
                const range = `from ${min} to ${max}`;
                return `  ${dial} = ${chat.parameters[dial]}, ${range}${what === undefined ? "" : `: ${what}`}`;
            }),
            formatTable(
                ["member", "weight", "model"],
                members.map(({ name: member, model, lora }, index) => [
                    member,
                    `${Number((weights[index] ?? 0).toPrecision(4))}`,
                    lora === undefined ? model : `${model} + ${lora.path}`,
                ]),
            ),
        ].join("\n"),
    );
}

async function setSystem(talk: Talk, argument: string): Promise<void> {
    const { chat, surface } = talk;
    if (argument === "") return surface.print(escapeLines(chat.system ?? "There is no system prompt."));
    chat.setSystem(argument === "-" ? undefined : argument);
    await warnOfSystem(talk);
}

/** Says what becomes of a system prompt. */
export async function warnOfSystem({ chat, ensemble, surface }: Talk): Promise<void> {
    for (const sentence of describeSystem(chat.system, ensemble.members)) await surface.note(sentence);
}

function regenerate(talk: Talk): Promise<void> {
    return answer(talk, (signal) => talk.chat.regenerate({ signal }));
}

async function edit(talk: Talk, argument: string): Promise<void> {
    const { chat, surface } = talk;
    const last = chat.turns.at(-1);
    if (last === undefined) return surface.fail("Nothing has been asked yet; ask something first.");
    if (argument !== "") return answer(talk, (signal) => chat.edit(chat.turns.length - 1, argument, { signal }));
    if (surface.suggest === undefined || last.user.includes("\n")) return surface.fail("Write /edit and the new text.");
    surface.suggest(`/edit ${last.user}`);
}

async function undo(talk: Talk): Promise<void> {
    const { chat, surface } = talk;
    const last = chat.turns.at(-1);
    if (last === undefined) return surface.fail("Nothing has been asked yet; there is nothing to take back.");
    talk.chat = chat.fork(chat.turns.length - 1);
    delete talk.finish;
    await surface.note(`Taken back: ${escapeControls(last.user)}`);
}

async function beginAnew(talk: Talk): Promise<void> {
    talk.chat = talk.chat.fork(0);
    talk.keeper.switchTo(talk.chat);
    delete talk.finish;
    await talk.surface.note("Nothing has been said in this conversation.");
}

async function save({ chat, surface }: Talk, argument: string): Promise<void> {
    if (argument === "") return surface.fail("Write /save and the name of a file.");
    const file = fileNamed(argument);
    await saveChat(file, chat);
    await surface.note(`${plural(chat.turns.length, "turn")} written to ${escapeControls(file)}`);
}

async function load(talk: Talk, argument: string): Promise<void> {
    if (argument === "") return talk.surface.fail("Write /load and the name of a file.");
    await loadFrom(talk, fileNamed(argument));
}

async function fork(talk: Talk, argument: string): Promise<void> {
    const { chat, keeper, surface } = talk;
    if (chat.turns.length === 0) return surface.fail("Nothing has been asked yet; ask something first.");
    // What has been said since is kept with the old one. Where it cannot be, a copy is the way out.
    let old: string | undefined;
    await report(talk, async () => {
        await keep(talk);
        old = keeper.file;
    });
    await keeper.branch(chat, argument === "" ? undefined : fileNamed(argument));
    await surface.note(`From here on, the conversation is kept in ${escapeControls(keeper.file ?? "")}`);
    if (old !== undefined) await surface.note(`As it is here, it stays in ${escapeControls(old)}`);
}

/** Writes what is new where the conversation is kept, if it is. */
export async function keep({ chat, keeper, surface }: Talk): Promise<void> {
    const old = keeper.file;
    if (!(await keeper.keep(chat))) return;
    const [other, file] = [old, keeper.file].map((name) => escapeControls(name ?? ""));
    await surface.note(`Somebody else goes on with ${other}, too; this conversation is now kept in ${file}`);
}

/**
 * Goes on with a conversation from a file.
 *
 * @param goesOn - in the file itself; else it stays as it is
 * @throws EftError CHAT_INVALID, FILE_UNREADABLE
 */
export async function loadFrom(talk: Talk, file: string, goesOn = false): Promise<void> {
    const { ensemble, options, surface } = talk;
    const text = await readConversation(file);
    const { parameters, ...state } = parseChat(text, file);
    const { sampling } = talk.chat;
    const chat = createChat(ensemble, { ...options, sampling, system: undefined, ...state });
    const dials = Object.entries(parameters ?? {}).filter(([name]) => name in ensemble.recipe.parameters);
    chat.setParameters(Object.fromEntries(dials));
    talk.chat = chat;
    talk.keeper.switchTo(chat, goesOn ? { file, text } : undefined);
    delete talk.finish;
    await surface.note(`${plural(chat.turns.length, "turn")} of ${escapeControls(file)}`);
    const last = chat.turns.at(-1);
    if (last !== undefined) await surface.note(escapeLines(`> ${last.user}\n${last.answer}`));
    await warnOfSystem(talk);
}

async function showStatistics({ ensemble, chat, finish, surface }: Talk): Promise<void> {
    if (finish === undefined) return surface.fail("Nothing has been answered yet; ask something first.");
    const names = ensemble.members.map(({ name }) => name);
    const { turns, forgotten } = chat;
    const used = finish.usage.totalTokens;
    const left = forgotten === 0 ? "" : `, the oldest ${forgotten} no longer shown to the models`;
    const context = `${"context".padEnd(19)}${used} of ${ensemble.contextSize} tokens, ${plural(turns.length, "turn")}${left}`;
    await surface.note(`${describeStatistics(finish, names).trim()}\n${context}`);
}

/** Lines for each command, of at most so many columns. */
export function listCommands(columns: number): string[] {
    const indent = 2 + Math.max(...Object.values(COMMANDS).map(({ usage }) => usage.length));
    return Object.values(COMMANDS).flatMap(({ usage, help }) => {
        const [first = "", ...rest] = wrapAnsi(help, Math.max(20, columns - indent)).split("\n");
        return [usage.padEnd(indent) + first, ...rest.map((line) => " ".repeat(indent) + line)];
    });
}

async function showHelp({ surface }: Talk): Promise<void> {
    const more = [
        'A line that ends with \\ goes on in the next one; so does a block between """ and """.',
        "A line that begins with // is said with one slash. Ctrl-C stops an answer.",
    ];
    const lines = [...listCommands(surface.width), "", ...more.map((line) => wrapAnsi(line, surface.width))];
    await surface.print(lines.join("\n"));
}

function quit(talk: Talk): Promise<void> {
    talk.over = true;
    talk.surface.close();
    return Promise.resolve();
}

/** Without the quotes that a shell would want around it. */
function fileNamed(argument: string): string {
    return expandHome(argument.replace(/^(["'])(.+)\1$/, "$2"));
}
