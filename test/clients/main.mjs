// Programs of other languages against a server: OpenAI's Python client, lm-evaluation-harness, and schemathesis, which makes
// requests of the OpenAPI document and holds the answers against it. Their packages are in a virtual environment.
//
//     node test/clients/main.mjs <virtual environment>

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { collect, complete, evaluate, loadEnsemble, loadRecipe, score } from "eft-llama";
import { startServer } from "eft-llama/server";

const [environment = ""] = process.argv.slice(2);
const here = import.meta.dirname;
const root = path.join(here, "..", "..");
const folder = await mkdtemp(path.join(tmpdir(), "eft-clients-"));
const env = { ...process.env, HF_HOME: folder, HF_HUB_OFFLINE: "1", HF_DATASETS_OFFLINE: "1", OPENAI_API_KEY: "none" };
const run = (program, args) =>
    promisify(execFile)(path.join(environment, "bin", program), args, { cwd: folder, env, maxBuffer: 2 ** 26 });

/** f16 weights in batches of other sizes. */
const LOGPROB = 5e-3;
/** The last ones, which are asked about what is rarely mentioned: not all of them are answered rightly. */
const ITEMS = 60;

const recipe = await loadRecipe("demo");
const dial = await loadRecipe("demo-dial");
const server = await startServer({ recipes: [recipe, dial], port: 0, contextSize: 1024 });
const ensemble = await loadEnsemble(recipe, { contextSize: 1024 });

for (const task of ["choices", "facts"]) {
    const lines = await readFile(path.join(root, "models", "demo", "tasks", `${task}.jsonl`), "utf8");
    await writeFile(path.join(folder, `${task}.jsonl`), `${lines.trimEnd().split("\n").slice(-ITEMS).join("\n")}\n`);
}
const checks = { "OpenAI's Python client": openaiClient, "lm-evaluation-harness": harness, schemathesis };
let failed = 0;
for (const [name, check] of Object.entries(checks)) {
    try {
        await check();
        console.log(`ok      ${name}`);
    } catch (error) {
        failed++;
        console.log(`FAILED  ${name}: ${error.stdout ?? ""}${error.stderr ?? ""}${error.stack ?? error}`);
    }
}
await ensemble.dispose();
await server.close();
await rm(folder, { recursive: true });
process.exitCode = failed === 0 ? 0 : 1;

async function openaiClient() {
    const { stdout } = await run("python", [path.join(here, "openai_client.py"), server.url]);
    const found = JSON.parse(stdout);
    const own = await collect(
        complete(ensemble, { prompt: "What is the capital of Nepal?", sampling: { temperature: 0 }, topLogprobs: 2 }),
    );
    const [scored] = await score(ensemble, [{ continuation: "The capital of Nepal is" }]);
    assert.deepEqual(found.models, ["demo", "demo-dial"]);
    assert.equal(found.answer, own.text);
    assert.equal(found.streamed, own.text);
    assert.equal(found.response, own.text);
    assert.equal(found.tokens, 0);
    assertNear(
        found.logprobs,
        own.parts.map(({ logprob }) => logprob),
    );
    assert.ok(["Lima", "Kathmandu"].includes(found.structured.city));
    assert.equal(found.call.name, "look_up");
    assert.ok(["Lima", "Kathmandu"].includes(found.call.arguments.city));
    assertNear(found.echo, scored.logprobs);
    assert.deepEqual(found.errors, [
        ["NotFoundError", 404],
        ["BadRequestError", 400],
    ]);
}

async function harness() {
    const choices = await runHarness("local-completions", "demo_choices", [
        `base_url=${server.url}/v1/completions,tokenizer_backend=remote,tokenized_requests=False,num_concurrent=4,max_length=1024`,
    ]);
    const items = choices.samples.map(({ doc }) => doc);
    const scores = await score(
        ensemble,
        items.flatMap(({ prompt, choices: each }) => each.map((choice) => ({ context: prompt, continuation: choice }))),
    );
    const likelihoods = choices.samples.flatMap(({ resps }) => resps.map(([[logprob]]) => Number(logprob)));
    assertNear(
        likelihoods,
        scores.map(({ logprobs }) => logprobs.reduce((sum, each) => sum + each, 0)),
    );
    const facts = await runHarness("local-chat-completions", "demo_facts", [
        `base_url=${server.url}/v1/chat/completions,num_concurrent=4`,
        "--apply_chat_template",
    ]);
    const own = await evaluateOwn();
    assert.equal(choices.results["acc,none"], own.choices);
    assert.equal(facts.results["contains,none"], own.facts);
    console.log(`        choices ${own.choices}, facts ${own.facts}, as eft-llama eval has them`);
}

async function runHarness(model, task, [args, ...more]) {
    const out = path.join(folder, task);
    await run("lm_eval", [
        ...["--model", model, "--model_args", `model=demo,${args}`, "--tasks", task],
        ...["--include_path", path.join(here, "lm-eval"), "--output_path", out, "--log_samples", ...more],
    ]);
    const files = await readdir(out, { recursive: true });
    const read = (prefix) =>
        readFile(path.join(out, files.find((file) => path.basename(file).startsWith(prefix)) ?? ""), "utf8");
    const samples = (await read("samples_")).trimEnd().split("\n");
    return {
        results: JSON.parse(await read("results_")).results[task],
        samples: samples.map((line) => JSON.parse(line)),
    };
}

/** The same items by `evaluate()`: choices without a template, as the harness asks for them. */
async function evaluateOwn() {
    const member = (file) => JSON.stringify({ model: path.join(root, "models", "demo", file) });
    const members = `members: { large: ${member("large-base-f16.gguf")}, chat: ${member("small-chat-f16.gguf")}, small: ${member("small-base-f16.gguf")} }`;
    const shown = {};
    for (const [task, prompt, graders] of [
        ["choices", "", ""],
        ["facts", "prompt: { template: from chat }", ", graders: { right: contains }"],
    ]) {
        const file = path.join(folder, `${task}.yaml`);
        const tasks = `tasks: { ${task}: { file: ${task}.jsonl${graders} } }`;
        const systems = "systems: { EFT: { combination: large + chat - small } }";
        const lines = ["eval: 1", `name: ${task}`, `title: ${task}`, members, prompt, systems, tasks];
        await writeFile(file, [...lines, "sampling: { temperature: 0 }", "maxTokens: 24", ""].join("\n"));
        const { reports } = await evaluate([file], { folder: path.join(folder, `eval-${task}`) });
        shown[task] = reports[0].cells.find(
            ({ measure, group }) => group === undefined && measure === (graders === "" ? "choice" : "right"),
        ).mean;
    }
    return shown;
}

async function schemathesis() {
    // Answers have to be what the document says, events included.
    const conformance = ["status_code", "response_headers", "content_type", "response_schema"];
    const checks = ["not_a_server_error", ...conformance.map((part) => `${part}_conformance`)];
    const { stdout } = await run("schemathesis", [
        ...["run", `${server.url}/openapi.json`, "--phases", "coverage,fuzzing"],
        ...["--checks", checks.join(",")],
        ...["--max-examples", "40", "--max-time", "60", "--request-timeout", "30", "--no-shrink"],
        // A fixed one, so that what fails can be tried again.
        ...["--seed", "20231"],
    ]);
    console.log(`        ${/\d+ generated[^\n]*/.exec(stdout)?.[0] ?? stdout}`);
}

function assertNear(found, expected) {
    assert.equal(found.length, expected.length);
    found.forEach((value, index) =>
        assert.ok(
            Math.abs(value - expected[index]) < LOGPROB * Math.max(1, Math.abs(expected[index])),
            `${value} at ${index}, not ${expected[index]}`,
        ),
    );
}
