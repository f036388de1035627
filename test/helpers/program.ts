/** Small programs in processes of their own: for what would end the tests' process, or needs one that is fresh. */

import { spawn } from "node:child_process";
import path from "node:path";
import { repository } from "./demo.js";

export interface ProgramResult {
    /** Exit code, or the signal that ended it. */
    readonly exit: number | NodeJS.Signals | null;
    readonly stdout: string;
    readonly stderr: string;
    /** From its last words on standard output to its end. */
    readonly leavingSeconds: number;
}

/**
 * Runs `test/engine/programs/<name>` on the compiled package (`npm run build`) and waits for its end. A program that does
 * not end within `seconds` is killed, which shows as the exit `SIGKILL`.
 */
export async function runProgram(
    name: string,
    {
        args = [],
        env = {},
        flags = [],
        seconds = 110,
    }: {
        readonly args?: readonly string[];
        readonly env?: Readonly<Record<string, string>>;
        /** Of Node. */
        readonly flags?: readonly string[];
        readonly seconds?: number;
    } = {},
): Promise<ProgramResult> {
    const child = spawn(
        process.execPath,
        [...flags, path.join(repository, "test", "engine", "programs", name), ...args],
        { env: { ...process.env, NODE_OPTIONS: "", ...env }, stdio: ["ignore", "pipe", "pipe"] },
    );
    const [stdout, stderr] = [collectText(child.stdout), collectText(child.stderr)];
    let last = performance.now();
    child.stdout.on("data", () => (last = performance.now()));
    const timer = setTimeout(() => child.kill("SIGKILL"), seconds * 1000);
    const exit = await new Promise<ProgramResult["exit"]>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => resolve(code ?? signal));
    });
    clearTimeout(timer);
    return { exit, stdout: stdout(), stderr: stderr(), leavingSeconds: (performance.now() - last) / 1000 };
}

function collectText(stream: NodeJS.ReadableStream): () => string {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    return () => Buffer.concat(chunks).toString("utf8");
}
