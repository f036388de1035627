/**
 * A program: loads a model, evaluates and draws a few tokens, and says what became of it. Started by trial.ts, for what
 * may end the process. Nobody imports it, and it uses the library as any dependent does.
 */

import { collect, complete, EftError, loadEnsemble, parseRecipe, score } from "../index.js";
import type { TrialOutcome, TrialTask } from "./trial.js";

/** How often memory is looked at, in milliseconds: a process fills some hundred megabytes meanwhile. */
const INTERVAL = 50;

const { file, threads, memory } = JSON.parse(process.argv[2] ?? "") as TrialTask;

function leave(outcome: TrialOutcome): void {
    // Not process.exit(): it would wait for the job in flight, which may never end.
    process.stdout.write(JSON.stringify(outcome), () => process.kill(process.pid, "SIGKILL"));
}

process.stdin.on("end", () => process.kill(process.pid, "SIGKILL")).resume();
setInterval(() => {
    if (process.memoryUsage.rss() > memory) leave({ outcome: "memory", reason: "" });
}, INTERVAL);

leave(await attempt());

async function attempt(): Promise<TrialOutcome> {
    const recipe = parseRecipe(
        JSON.stringify({
            eft: 1,
            name: "trial",
            members: { model: { model: file } },
            combination: "model",
            prompt: { template: "plain" },
        }),
    );
    try {
        const ensemble = await loadEnsemble(recipe, {
            trust: true,
            backend: "cpu",
            threads,
            contextSize: 64,
            sequences: 2,
        });
        await collect(complete(ensemble, { prompt: "Once upon a time", maxTokens: 3, raw: true }));
        await score(ensemble, [{ context: "Once", continuation: " upon a time" }]);
        return { outcome: "used" };
    } catch (error) {
        // An assertion that fails on this thread might fail on another one the next time, where nothing catches it.
        if (!EftError.isInstance(error)) return { outcome: "stopped", reason: `failed: ${String(error)}` };
        if (error.code !== "NATIVE_FAILURE") return { outcome: "refused" };
        return { outcome: "stopped", reason: `failed: ${error.message}` };
    }
}
