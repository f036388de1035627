// Folders for models, which may be large: they are gone when the process is, whatever ends it.

import { mkdtempSync, rmSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";

/** What ends a process from outside; the last one is for those whose terminal or connection is gone. */
export const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"];

export const exitCodeOf = (signal) => 128 + constants.signals[signal];

/** Calls `body` with a new folder in `parent`, and removes it, also where the process ends before `body` does. */
export async function withFolder(parent, prefix, body) {
    const folder = mkdtempSync(path.join(parent, prefix));
    const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    process.on("exit", remove);
    try {
        return await body(folder);
    } finally {
        process.off("exit", remove);
        remove();
    }
}
