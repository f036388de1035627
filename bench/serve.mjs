// The server under load: streaming clients that ask all the time, with prompts of many lengths. Beside it, llama.cpp's own server
// with the three members, one after another, for whoever would fuse their answers by hand.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import path from "node:path";
import { Agent, fetch } from "undici";
import { projectRoot } from "./families.mjs";
import { digits, printTable, summarize } from "./report.mjs";

/** Different requests. */
const REQUESTS = 64;
/** A connection for each request: some servers close those that have had a few. */
const dispatcher = new Agent({ pipelining: 0 });
/** Tokens of each answer, where servers are compared. */
const ANSWER = 32;

/**
 * @param options - `clients`: numbers of them; `seconds` for each; `parallel`: answers at once; `threads`: of every server; `llamaServer`: its program, to compare with
 */
export async function benchServe(family, { clients, seconds, parallel, threads, llamaServer }) {
    const ours = await startOurs(family, parallel, threads);
    try {
        const expected = [];
        for (let index = 0; index < REQUESTS; index++) expected.push((await ask(ours.url, chatRequest(index))).text);
        const loads = [];
        for (const count of clients) loads.push(await load(ours.url, count, seconds, expected));
        const rates =
            llamaServer === undefined
                ? []
                : await compare(ours.url, family, { clients, parallel, threads, llamaServer });
        return { family: family.name, parallel, loads, rates };
    } finally {
        await ours.stop();
    }
}

async function startOurs({ recipe }, parallel, threads) {
    const program = path.join(projectRoot, "dist", "cli", "main.js");
    const queue = ["--parallel", String(parallel), "--queue", "1000", "--threads", String(threads)];
    const child = spawn(process.execPath, [program, "serve", recipe, "--port", "0", "--quiet", ...queue], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(createInterface(child.stdout), "line");
    return { url: /http:\S+?(?=,)/.exec(line)[0], stop: () => stop(child, "SIGINT") };
}

async function stop(child, signal) {
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
}

/** Between a few and some 150 tokens of prompt. */
function chatRequest(index) {
    const words = "Tell me about the capital of Peru and of Nepal, and who painted what. ".repeat(index % 7);
    return {
        path: "/v1/chat/completions",
        body: {
            messages: [{ role: "user", content: `${words}What is the capital of Nepal? ${index}` }],
            ...{ stream: true, seed: index, temperature: 1, max_tokens: ANSWER },
        },
    };
}

/** @returns the text, and milliseconds until the first piece of it and between the others */
async function ask(url, { path: place, body }) {
    const start = performance.now();
    const response = await fetch(url + place, {
        method: "POST",
        dispatcher,
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    const decoder = new TextDecoder();
    let buffer = "";
    let text = "";
    const times = [];
    for await (const bytes of response.body) {
        buffer += decoder.decode(bytes, { stream: true });
        const events = buffer.split("\n\n");
        buffer = events.pop();
        for (const event of events) {
            const data = event.replace(/^data: /, "");
            if (data === "[DONE]") continue;
            const [choice] = JSON.parse(data).choices;
            const piece = choice?.delta?.content ?? choice?.text ?? "";
            if (piece === "") continue;
            text += piece;
            times.push(performance.now());
        }
    }
    const gaps = times.slice(1).map((time, index) => time - times[index]);
    return { text, firstMs: (times[0] ?? performance.now()) - start, gaps, wholeMs: performance.now() - start };
}

async function load(url, count, seconds, expected) {
    const found = { answers: 0, tokens: 0, unequal: 0, errors: 0 };
    const [firsts, gaps] = [[], []];
    const start = performance.now();
    const end = start + seconds * 1000;
    let next = 0;
    const client = async () => {
        while (performance.now() < end) {
            const index = next++ % REQUESTS;
            try {
                const answer = await ask(url, chatRequest(index));
                found.answers++;
                found.tokens += answer.gaps.length + 1;
                found.unequal += Number(answer.text !== expected[index]);
                firsts.push(answer.firstMs);
                gaps.push(...answer.gaps);
            } catch (error) {
                found.errors++;
                found.lastError = String(error);
            }
        }
    };
    await Promise.all(Array.from({ length: count }, client));
    const elapsed = (performance.now() - start) / 1000;
    return {
        ...{ clients: count, seconds: elapsed, ...found },
        answersPerSecond: found.answers / elapsed,
        firstMs: percentiles(firsts),
        gapMs: percentiles(gaps),
    };
}

function percentiles(values) {
    const sorted = values.toSorted((a, b) => a - b);
    const at = (fraction) => sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? NaN;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Milliseconds of an answer of {@link ANSWER} tokens: ours, and the sum of those of the members in llama.cpp's server. */
async function compare(url, { members }, { clients, parallel, threads, llamaServer }) {
    const servers = [];
    try {
        for (const model of members) servers.push(await startTheirs(llamaServer, model, { parallel, threads }));
        const rates = [];
        for (const count of clients.filter((each) => each <= 16)) {
            const [ours, theirs] = [[], []];
            for (let round = 0; round < 3; round++) {
                ours.push(await msPerAnswer(url, count));
                let sum = 0;
                for (const server of servers) sum += await msPerAnswer(server.url, count);
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

async function msPerAnswer(url, count) {
    const each = 8;
    const start = performance.now();
    const client = async (number) => {
        for (let index = 0; index < each; index++) {
            const prompt = `${number} ${index} The capital of Nepal is`;
            // The end of a text is forbidden, so that all answers are equally long.
            const body = { prompt, stream: true, temperature: 1, max_tokens: ANSWER, logit_bias: { 2: -100 } };
            await ask(url, { path: "/v1/completions", body });
        }
    };
    await Promise.all(Array.from({ length: count }, (_, number) => client(number)));
    return (performance.now() - start) / (count * each);
}

export function printServe({ family, parallel, loads, rates }) {
    const three = ({ p50, p95, p99 }) => [p50, p95, p99].map(digits).join(" / ");
    printTable(
        `${family}: ${parallel} answers at once, streaming clients that ask all the time`,
        ["clients", "answers/s", "first token, ms p50/p95/p99", "between tokens, ms", "answers", "unequal", "errors"],
        loads.map(({ clients, answersPerSecond, firstMs, gapMs, answers, unequal, errors }) => [
            ...[String(clients), answersPerSecond.toFixed(1), three(firstMs), three(gapMs)],
            ...[answers, unequal, errors].map(String),
        ]),
    );
    if (rates.length === 0) return;
    printTable(
        `Milliseconds for an answer of ${ANSWER} tokens: fused, and the sum of the members' in llama.cpp's server`,
        ["clients", "fused", "sum", "sum / fused"],
        rates.map(({ clients, ours, theirs, ratio }) => [
            ...[String(clients), digits(ours.median), digits(theirs.median)],
            `${ratio.median.toFixed(2)} [${ratio.q1.toFixed(2)}, ${ratio.q3.toFixed(2)}]`,
        ]),
    );
}
