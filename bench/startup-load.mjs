// node startup-load.mjs <package> load|check <recipe>: does it once, and prints what it took, imports left out.

import path from "node:path";
import { pathToFileURL } from "node:url";

const [root, what, file] = process.argv.slice(2);
const importBuilt = (name) => import(pathToFileURL(path.join(root, "dist", name)));
const { loadEnsemble, loadRecipe } = await importBuilt("index.js");
const { checkLoading, createCheck } = await importBuilt("ensemble/check.js");
const recipe = await loadRecipe(file);
const options = { backend: "cpu", contextSize: 512, sequences: 1 };

const [cpu, clock] = [process.cpuUsage(), performance.now()];
if (what === "load") await loadEnsemble(recipe, { ...options, trust: true });
else await checkLoading(recipe, options, createCheck(fail));
const [{ user, system }, wallMs] = [process.cpuUsage(cpu), performance.now() - clock];
const peakMiB = process.resourceUsage().maxRSS / 1024;
process.stdout.write(JSON.stringify({ cpuMs: (user + system) / 1000, wallMs, peakMiB }), () => process.exit());

function fail({ check, state, text }) {
    if (state === "failed") throw new Error(`${check}: ${text}`);
}
