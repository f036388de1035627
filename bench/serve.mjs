// The server under load: streaming clients that ask all the time, with prompts of many lengths. Beside it, llama.cpp's own server
// with the three members, one after another, for whoever would fuse their answers by hand.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fetch } from "undici";
import { digits, printTable, summarize } from "./report.mjs";
import { ANSWER, ask, askAlone, load, startOurs, stop, three } from "./serve-clients.mjs";
import { benchHostile, printHostile } from "./serve-hostile.mjs";

/**
 * @param family - with `recipe`, its name or file, and `members`, the files of its models
 * @param options - `clients`: numbers of them; `seconds` for each, 0 leaves the load out; `parallel`: answers at once; `threads`:
 * of every server; `llamaServer`: its program, to compare with; `answers`: of each client then; `hostile`: whether to ask beside
 * hostile clients, too
 */
export async function benchServe(family, options) {
    const { clients, seconds, parallel, llamaServer } = options;
    const ours = await startOurs(family.recipe, options);
    const loads = [];
    let rates = [];
    try {
        if (seconds > 0) {
            const expected = await askAlone(ours.url);
            for (const count of clients) loads.push(await load(ours.url, count, seconds, expected));
        }
        if (llamaServer !== undefined) rates = await compare(ours.url, family, options);
    } finally {
        await ours.stop();
    }
    const hostile = options.hostile ? await benchHostile(family.recipe, options) : undefined;
    return { family: family.name, parallel, loads, rates, hostile };
}

/** Milliseconds of an answer of {@link ANSWER} tokens: ours, and the sum of those of the members in llama.cpp's server. */
async function compare(url, { members }, { clients, parallel, threads, llamaServer, answers }) {
    const servers = [];
    try {
        for (const model of members) servers.push(await startTheirs(llamaServer, model, { parallel, threads }));
        const rates = [];
        for (const count of clients.filter((each) => each <= 16)) {
            const [ours, theirs] = [[], []];
            for (let round = 0; round < 3; round++) {
                ours.push(await msPerAnswer(url, { count, answers, round }));
                let sum = 0;
                for (const server of servers) sum += await msPerAnswer(server.url, { count, answers, round });
                theirs.push(sum);
            }
            const ratios = ours.map((ms, round) => theirs[round] / ms);
            rates.push({ clients: count, ours: summarize(ours), theirs: summarize(theirs), ratio: summarize(ratios) });
        }
        return rates;
    } finally {
        for (const server of servers) await server.stop();
    }
}

async function freePort() {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address();
    taken.close();
    await once(taken, "close");
    return port;
}

async function startTheirs(program, model, { parallel, threads }) {
    const port = await freePort();
    const context = String(512 * parallel);
    const size = ["--parallel", String(parallel), "--ctx-size", context, "--threads", String(threads)];
    const args = ["--model", model, "--port", String(port), ...size];
    const child = spawn(program, [...args, "--no-webui"], { stdio: "ignore" });
    const url = `http://127.0.0.1:${port}`;
    for (;;) {
        const isReady = await fetch(`${url}/health`).then(
            ({ ok }) => ok,
            () => false,
        );
        if (isReady) return { url, stop: () => stop(child, "SIGTERM") };
        if (child.exitCode !== null) throw new Error(`${program} ended with ${child.exitCode}.`);
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}

/** Every prompt is one that the server has not seen, with a beginning that it has. */
async function msPerAnswer(url, { count, answers, round }) {
    const start = performance.now();
    const client = async (number) => {
        for (let index = 0; index < answers; index++) {
            const prompt = `The capital of Nepal is: ${round} ${number} ${index}`;
            // The end of a text is forbidden, so that all answers are equally long.
            const body = { prompt, stream: true, temperature: 1, max_tokens: ANSWER, logit_bias: { 2: -100 } };
            await ask(url, { path: "/v1/completions", body });
        }
    };
    await Promise.all(Array.from({ length: count }, (_, number) => client(number)));
    return (performance.now() - start) / (count * answers);
}

export function printServe({ family, parallel, loads, rates, hostile }) {
    if (loads.length > 0) printLoads(family, parallel, loads);
    if (rates.length > 0) printRates(family, rates);
    if (hostile !== undefined) printHostile(hostile);
}

function printLoads(family, parallel, loads) {
    printTable(
        `${family}: ${parallel} answers at once, streaming clients that ask all the time`,
        ["clients", "answers/s", "first token, ms p50/p95/p99", "between tokens, ms", "answers", "unequal", "errors"],
        loads.map(({ clients, answersPerSecond, firstMs, gapMs, answers, unequal, errors }) => [
            ...[String(clients), answersPerSecond.toFixed(1), three(firstMs), three(gapMs)],
            ...[answers, unequal, errors].map(String),
        ]),
    );
}

function printRates(family, rates) {
    printTable(
        `${family}: milliseconds for an answer of ${ANSWER} tokens: fused, and the sum of the members' in llama.cpp's server`,
        ["clients", "fused", "sum", "sum / fused"],
        rates.map(({ clients, ours, theirs, ratio }) => [
            ...[String(clients), digits(ours.median), digits(theirs.median)],
            `${ratio.median.toFixed(2)} [${ratio.q1.toFixed(2)}, ${ratio.q3.toFixed(2)}]`,
        ]),
    );
}
