/** Runs the built program as a child process: what a shell sees of it. */

import { execFileSync, spawn, spawnSync } from "node:child_process";
import path from "node:path";
import { repository } from "../helpers/demo.js";

export const program = path.join(repository, "dist", "cli", "main.js");

export interface Run {
    readonly stdout: string;
    readonly stderr: string;
    readonly code: number | null;
}

export interface RunOptions {
    /** What standard input holds. Default: nothing. */
    readonly input?: string | Buffer;
    /** Ctrl-C comes as soon as standard output has this many characters, however late this process sees them. */
    readonly interruptAfter?: number;
    /** Added to the environment of the tests. */
    readonly env?: Readonly<Record<string, string>>;
    /** Default: the folder of the repository. */
    readonly cwd?: string;
}

export function run(
    args: readonly string[],
    { input = "", interruptAfter, env = {}, cwd = repository }: RunOptions = {},
): Promise<Run> {
    const preload = interruptAfter === undefined ? [] : ["--import", asModule(interruptItself(interruptAfter))];
    const child = spawn(process.execPath, [...preload, program, ...args], {
        ...{ cwd, env: { ...process.env, ...env }, stdio: "pipe" },
    });
    const output = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
        child[name].setEncoding("utf8").on("data", (text: string) => {
            output[name] += text;
        });
    }
    // A command that does not read its input may have ended before this is written.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    return new Promise((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code) => {
            resolve({ ...output, code });
        });
    });
}

/** Code that sends its own process Ctrl-C: from here it would come at one moment on an idle machine, at another on a busy one. */
function interruptItself(characters: number): string {
    return `
        const { write } = process.stdout;
        let length = 0;
        process.stdout.write = function (text, ...rest) {
            const isDue = length < ${characters} && (length += text.length) >= ${characters};
            const result = write.call(this, text, ...rest);
            if (isDue) process.kill(process.pid, "SIGINT");
            return result;
        };`;
}

function asModule(code: string): string {
    return `data:text/javascript,${encodeURIComponent(code)}`;
}

/** The objects of an output that has one JSON object a line. */
export function parseLines<T>(text: string): T[] {
    const lines = text.split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as T);
}

/** `script` of util-linux gives a command a terminal. */
export const hasTerminal = process.platform === "linux" && spawnSync("script", ["--version"]).status === 0;

/** What a terminal of 100 columns receives while a shell runs `command`. */
export function runOnTerminal(command: string, env: Readonly<Record<string, string>> = {}): string {
    // On a build server, which CI says this is, nobody would be shown colours.
    const { NO_COLOR: _, FORCE_COLOR: __, CI: ___, ...inherited } = process.env;
    return execFileSync("script", ["--quiet", "--return", "--command", `stty columns 100; ${command}`, "/dev/null"], {
        cwd: repository,
        encoding: "utf8",
        env: { ...inherited, TERM: "xterm-256color", ...env },
    });
}
