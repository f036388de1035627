// A server of ours and clients of it, for benchmarks.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import path from "node:path";
import { Agent, fetch } from "undici";
import { projectRoot } from "./families.mjs";
import { digits } from "./report.mjs";

/** A connection for each request: some servers close those that have had a few. */
const dispatcher = new Agent({ pipelining: 0 });
/** Different requests. */
const REQUESTS = 64;
/** Tokens of each answer. */
export const ANSWER = 32;

/** @param recipe - its name or file */
export async function startOurs(recipe, { parallel, threads }) {
    const program = path.join(projectRoot, "dist", "cli", "main.js");
    const queue = ["--parallel", String(parallel), "--queue", "1000", "--threads", String(threads)];
    const child = spawn(process.execPath, [program, "serve", recipe, "--port", "0", "--quiet", ...queue], {
        stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = await once(createInterface(child.stdout), "line");
    return { pid: child.pid, url: /http:\S+?(?=,)/.exec(line)[0], stop: () => stop(child, "SIGINT") };
}

export async function stop(child, signal) {
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
}

/** Between a few and some 150 tokens of prompt. */
export function chatRequest(index) {
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
export async function ask(url, { path: place, body }) {
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
    return {
        text,
        startMs: start,
        firstMs: (times[0] ?? performance.now()) - start,
        gaps,
        wholeMs: performance.now() - start,
    };
}

/** The texts that one client alone gets. */
export async function askAlone(url) {
    const texts = [];
    for (let index = 0; index < REQUESTS; index++) texts.push((await ask(url, chatRequest(index))).text);
    return texts;
}

/** So many clients that ask all the time. @param expected - what is right */
export async function load(url, count, seconds, expected) {
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

/** As a column of a table. */
export const three = ({ p50, p95, p99 }) => [p50, p95, p99].map(digits).join(" / ");
