/** Folders for files that tests make. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

/** A new, empty folder. */
export function temporaryFolder(): { readonly folder: string; readonly remove: () => void } {
    const folder = mkdtempSync(path.join(tmpdir(), "eft-llama-test-"));
    return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
