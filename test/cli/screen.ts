/** A program on a real terminal: tmux types, and says what is on the screen. */

import { execFileSync, spawnSync } from "node:child_process";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

export const hasTmux = process.platform !== "win32" && spawnSync("tmux", ["-V"]).status === 0;

export interface Screen {
    /** Text and keys in tmux's names, such as `Enter` and `C-c`. */
    type(...keys: readonly string[]): void;
    /** Text that arrives at once. @param marked - with the marks of a paste, if the program has asked for them */
    paste(text: string, marked: boolean): void;
    /** What is on the screen, without trailing spaces. */
    read(): string;
    /** Waits until the screen has it, and returns the screen. @throws Error with the screen when that takes too long */
    wait(pattern: RegExp): Promise<string>;
    /** Sends the program SIGTERM. */
    terminate(): void;
    close(): void;
}

interface ScreenOptions {
    readonly columns?: number;
    readonly rows?: number;
    readonly env?: Readonly<Record<string, string>>;
}

const PATIENCE_MS = 60_000;

/** @param command - program and arguments; the screen says `exit <code>` when it has ended */
export function openScreen(
    command: readonly string[],
    { columns = 100, rows = 50, env = {} }: ScreenOptions = {},
): Screen {
    const { folder, remove } = temporaryFolder();
    // A server of its own, which knows nothing of the user's and ends with this screen.
    const tmux = (...args: readonly string[]): string =>
        execFileSync("tmux", ["-S", path.join(folder, "socket"), "-f", "/dev/null", ...args], { encoding: "utf8" });
    const quoted = command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
    const settings = Object.entries(env).flatMap(([name, value]) => ["-e", `${name}=${value}`]);
    tmux(
        ...["new-session", "-d", "-x", `${columns}`, "-y", `${rows}`, "-c", repository, ...settings],
        `${quoted}; echo "exit $?"; sleep 600`,
    );
    const read = (): string => tmux("capture-pane", "-p").replaceAll(/ +$/gm, "").trimEnd();
    return {
        read,
        type: (...keys) => void tmux("send-keys", ...keys),
        paste(text, marked) {
            tmux("set-buffer", text);
            tmux("paste-buffer", ...(marked ? ["-p"] : []));
        },
        async wait(pattern) {
            const end = performance.now() + PATIENCE_MS;
            for (;;) {
                const screen = read();
                if (pattern.test(screen)) return screen;
                if (performance.now() > end) throw new Error(`The screen never had ${String(pattern)}:\n${screen}`);
                await sleep(20);
            }
        },
        terminate() {
            // The program is what the pane's shell has started.
            execFileSync("pkill", ["-TERM", "-P", tmux("display-message", "-p", "#{pane_pid}").trim()]);
        },
        close() {
            tmux("kill-server");
            remove();
        },
    };
}
