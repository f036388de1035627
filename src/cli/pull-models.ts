/** Downloads with a progress bar, for `eft-llama pull` and for commands that miss models. */

import { downloadModels, missingModels, planDownload, type DownloadPlan, type Recipe } from "../index.js";
import { formatBytes } from "../models/bytes.js";
import { canAsk, confirm } from "./ask.js";
import { abortable } from "./interrupt.js";
import { plural } from "../plural.js";
import { escapeControls, printError, startProgress } from "./terminal.js";

/**
 * Downloads what is missing. The first Ctrl-C ends it so that the next download can go on.
 *
 * @param tell - gets a line for each model that has arrived
 * @throws EftError what `downloadModels` throws
 */
export async function pullModels(plan: DownloadPlan, tell: (line: string) => void): Promise<void> {
    const missing = plan.models.filter(({ present }) => !present);
    const total = missing.reduce((sum, { bytes = NaN }) => sum + bytes, 0);
    const progress = startProgress("Downloading", true);
    // Told when the bar is gone, which would be written over them.
    const lines: string[] = [];
    try {
        await abortable((signal) =>
            downloadModels(plan, {
                onProgress: ({ reference }, bytes) => {
                    // A server that does not say how much is to come leaves the bar where it is.
                    if (Number.isNaN(total)) progress.update(0, `${reference}, ${formatBytes(bytes)} so far`);
                    else progress.update(bytes / total, reference);
                },
                onCheck: ({ reference }, fraction) => progress.update(fraction, `Checking ${reference}`),
                onModel: ({ reference, file }) => lines.push(`Downloaded ${reference}`, `  to ${file}`),
                signal,
            }),
        );
    } finally {
        progress.stop();
        lines.map(escapeControls).forEach(tell);
    }
}

/** How much is still to come, as far as servers say it. */
export function describeMissing({ models, missingBytes }: DownloadPlan): string {
    const isKnown = models.every(({ present, bytes }) => present || bytes !== undefined);
    if (isKnown) return formatBytes(missingBytes);
    return missingBytes === 0 ? "of a size that the server does not say" : `at least ${formatBytes(missingBytes)}`;
}

/**
 * Asks whether what a recipe misses is to be downloaded. Does nothing where nothing is missing or nobody can be asked: loading
 * then says what to do.
 *
 * @throws EftError what `planDownload` and `downloadModels` throw
 */
export async function offerDownload(recipe: Recipe): Promise<void> {
    const missing = missingModels(recipe);
    if (missing.length === 0 || !canAsk()) return;
    const plan = await planDownload(missing.map(({ model }) => model));
    const question = `${plural(plan.models.length, "model")} of ${escapeControls(recipe.name)} must be downloaded, ${describeMissing(plan)}. Do it now?`;
    if (await confirm(question)) await pullModels(plan, (line) => printError(`${line}\n`));
}
