// Healthy clients of the server beside hostile ones: that leave, send noise, read slowly, send byte by byte, hold back headers.

import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { digits, printTable, summarize } from "./report.mjs";
import { ask, askAlone, chatRequest, load, startOurs, three } from "./serve-clients.mjs";

const HEALTHY = 4;
/** Of each kind. */
const HOSTILE = 2;
const ROUNDS = 3;
/** Times that a place is given up for somebody who waits. */
const HANDOVERS = 20;
const CHAT = "/v1/chat/completions";
/** No answer of the demo family ends by itself. */
const ENDLESS = { stream: true, logit_bias: { 1: -100, 2: -100 } };
const question = [{ role: "user", content: "What is the capital of Nepal?" }];
/** All that can be said of each token. */
const WIDE = { logprobs: true, top_logprobs: 20, eft: { members: true, explain: true, top: 20 } };

function requestOf(body) {
    const text = JSON.stringify({ messages: question, ...body });
    const head = `POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n`;
    return `${head}connection: close\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

/** What each kind does with a connection, again and again until all are stopped. */
const KINDS = {
    leaves(socket) {
        const limit = Math.random() * 20_000;
        let count = 0;
        socket.on("data", ({ length }) => (count += length) > limit && socket.destroy());
        socket.write(requestOf(ENDLESS));
    },
    noise(socket) {
        socket.on("data", () => undefined);
        socket.end(Buffer.from(Array.from({ length: 5000 }, () => Math.random() * 256)));
    },
    "reads slowly"(socket, stopped) {
        socket.write(requestOf({ ...ENDLESS, ...WIDE }));
        const sip = setInterval(() => (stopped.aborted ? socket.destroy() : socket.resume()), 100);
        socket.on("close", () => clearInterval(sip));
    },
    async "byte by byte"(socket, stopped) {
        socket.setNoDelay(true);
        socket.on("data", () => undefined);
        for (const byte of Buffer.from(requestOf({ max_tokens: 8 }))) {
            if (stopped.aborted || socket.destroyed) return;
            await new Promise((resolve) => socket.write(Buffer.of(byte), resolve));
        }
    },
    "holds headers"(socket, stopped) {
        socket.write(`POST ${CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-`);
        stopped.addEventListener("abort", () => socket.destroy());
    },
};

async function harass(port, kind, stopped) {
    let connections = 0;
    while (!stopped.aborted) {
        connections++;
        const slow = { onread: { buffer: Buffer.alloc(256), callback: () => false } };
        const socket = connect({ port, host: "127.0.0.1", ...(kind === "reads slowly" && slow) });
        const closed = new Promise((resolve) => socket.on("close", resolve));
        socket.on("error", () => undefined);
        const leave = () => socket.destroy();
        stopped.addEventListener("abort", leave);
        await KINDS[kind](socket, stopped);
        await closed;
        stopped.removeEventListener("abort", leave);
        // What they cost here is not what they cost the server.
        await sleep(10);
    }
    return connections;
}

/** Megabytes of memory. */
function memoryOf(pid) {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024;
}

async function idle(url) {
    for (;;) {
        const text = await (await fetch(`${url}/metrics`)).text();
        if (/^eft_llama_answers_running 0$/m.test(text)) return;
        await sleep(10);
    }
}

/** @param options - `seconds` of each half of a round */
export async function benchHostile(recipe, { seconds, parallel, threads }) {
    const server = await startOurs(recipe, { parallel, threads });
    try {
        const expected = await askAlone(server.url);
        // Until memory has found its size.
        await load(server.url, HEALTHY, seconds / 4, expected);
        const port = Number(new URL(server.url).port);
        const rounds = [];
        for (let round = 0; round < ROUNDS; round++) {
            const quiet = await load(server.url, HEALTHY, seconds, expected);
            const before = memoryOf(server.pid);
            const stopping = new AbortController();
            setMaxListeners(0, stopping.signal);
            const crowd = Object.keys(KINDS).flatMap((kind) =>
                Array.from({ length: HOSTILE }, () => harass(port, kind, stopping.signal)),
            );
            const beside = await load(server.url, HEALTHY, seconds, expected);
            const during = memoryOf(server.pid);
            stopping.abort();
            const connections = (await Promise.all(crowd)).reduce((sum, count) => sum + count, 0);
            await idle(server.url);
            rounds.push({ quiet, beside, connections, megabytes: { before, during, after: memoryOf(server.pid) } });
        }
        return {
            healthy: HEALTHY,
            hostile: HOSTILE * Object.keys(KINDS).length,
            rounds,
            handover: await handOver(recipe, threads),
        };
    } finally {
        await server.stop();
    }
}

/** How long somebody waits for his first token behind a client that leaves the only place, and without. */
async function handOver(recipe, threads) {
    const server = await startOurs(recipe, { parallel: 1, threads });
    try {
        const [alone, behind, gaps] = [[], [], []];
        for (let time = 0; time < HANDOVERS; time++) {
            const free = await ask(server.url, chatRequest(0));
            alone.push(free.firstMs);
            gaps.push(...free.gaps);
            const leaving = new AbortController();
            const { body } = await fetch(server.url + CHAT, {
                ...{ method: "POST", signal: leaving.signal, headers: { "content-type": "application/json" } },
                body: JSON.stringify({ messages: question, ...ENDLESS }),
            });
            await body.getReader().read();
            const waiting = ask(server.url, chatRequest(0));
            await sleep(50);
            const left = performance.now();
            leaving.abort();
            behind.push((await waiting).startMs + (await waiting).firstMs - left);
        }
        return { alone: summarize(alone), behind: summarize(behind), step: summarize(gaps) };
    } finally {
        await server.stop();
    }
}

export function printHostile({ healthy, hostile, rounds, handover }) {
    const row = (name, { answersPerSecond, firstMs, gapMs, unequal, errors }, megabytes) => [
        ...[name, answersPerSecond.toFixed(1), three(firstMs), three(gapMs)],
        ...[String(unequal), String(errors), megabytes.toFixed(0)],
    ];
    printTable(
        `${healthy} clients, alone and beside ${hostile} hostile ones, by turns`,
        ["", "answers/s", "first token, ms p50/p95/p99", "between tokens, ms", "unequal", "errors", "MB"],
        rounds.flatMap(({ quiet, beside, megabytes }) => [
            row("alone", quiet, megabytes.before),
            row("beside", beside, megabytes.during),
        ]),
    );
    const { before, after } = { before: rounds[0].megabytes.before, after: rounds.at(-1).megabytes.after };
    const connections = rounds.reduce((sum, round) => sum + round.connections, 0);
    console.log(
        `${connections} hostile connections; ${before.toFixed(0)} MB before, ${after.toFixed(0)} MB after all had gone.`,
    );
    const [alone, behind, step] = [handover.alone, handover.behind, handover.step].map(({ median }) => digits(median));
    console.log(
        `First token where a place is free: ${alone} ms; behind a client that leaves the only place: ${behind} ms; a step: ${step} ms.`,
    );
}
