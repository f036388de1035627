// Loads every file of a folder as a model, or as an adapter of the model that the second argument names, and lets those
// that load say something. Prints a JSON object a line:
// {"file"} before it touches one, then {"file", "outcome", "peak"}: what became of it, and the process's peak MiB so far.
// On one thread a failed assertion of llama.cpp becomes NATIVE_FAILURE; on several it could end the process.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { collect, complete, EftError, loadEnsemble, parseRecipe, score } from "../../../dist/index.js";

const [folder, base] = process.argv.slice(2);
// Whether models are loaded here without a trial; after which file to begin, and whether to end after one.
const { EFT_TEST_TRUST: trust = "", EFT_TEST_AFTER: after = "", EFT_TEST_ONLY: only = "" } = process.env;
const print = (object) => process.stdout.write(`${JSON.stringify(object)}\n`);

for (const file of readdirSync(folder).sort()) {
    if (file <= after || /-0000[2-9]-of-/.test(file)) continue;
    print({ file });
    print({ file, outcome: await attempt(file), peak: peakMebibytes() });
    if (only !== "") break;
}

// The operating system's other account, maxRSS, begins with what the parent process had.
function peakMebibytes() {
    const kibibytes =
        process.platform === "linux"
            ? Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1])
            : process.resourceUsage().maxRSS;
    return Math.round(kibibytes / 1024);
}

async function attempt(file) {
    const named = JSON.stringify(path.join(folder, file));
    const member = base === undefined ? `{ model: ${named} }` : `{ model: ${JSON.stringify(base)}, lora: ${named} }`;
    const recipe = parseRecipe(
        `{ eft: 1, name: damaged, members: { m: ${member} }, combination: m, prompt: { template: plain } }`,
    );
    let ensemble;
    try {
        ensemble = await loadEnsemble(recipe, {
            backend: "cpu",
            threads: 1,
            contextSize: 64,
            sequences: 1,
            trust: trust !== "",
        });
        await collect(complete(ensemble, { prompt: "Lima", maxTokens: 2 }));
        await score(ensemble, [{ context: "\n", continuation: "Lima 日本 🇵🇪 <s> \u0000 \u200b\ud800" }]);
        return "works";
    } catch (error) {
        return EftError.isInstance(error) ? error.code : `not an EftError: ${error}`;
    } finally {
        await ensemble?.dispose();
    }
}
