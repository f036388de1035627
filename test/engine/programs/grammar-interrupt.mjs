// Interrupts the search for all tokens that a grammar allows, where that takes long. Prints milliseconds: of a whole search, of
// an aborted one after the abort, of the exit of the process in the middle of one.
import { setTimeout as delay } from "node:timers/promises";
import { collect, complete } from "../../../dist/index.js";
import { load } from "./demo.mjs";

const ensemble = await load();
// Each text leads to other ones of some thousand readings.
let state = 1;
const random = () => (state = (state * 48271) % 2147483647);
const letters = () => [..."abcdefghijklmnopqrstuvwxyz"].filter(() => random() % 2 === 0).join("") + "a";
const grammar = `root ::= ${Array.from({ length: 1200 }, () => `[a-z ]* [${letters()}] [a-z ]{3}`).join(" | ")}`;
// With so many to choose from, all tokens are looked at.
const sampling = { temperature: 1, topK: 2000 };
const run = (signal) => collect(complete(ensemble, { prompt: "Hi", grammar, maxTokens: 1, sampling, signal }));

let start = performance.now();
await run();
const whole = performance.now() - start;

const controller = new AbortController();
const aborted = run(controller.signal);
await delay(whole / 4);
start = performance.now();
controller.abort();
const { reason, tokens } = await aborted;
const abort = performance.now() - start;
// What comes after it is not held up.
const { text } = await collect(complete(ensemble, { prompt: "Hi", grammar: 'root ::= "yes"' }));

void run();
await delay(whole / 4);
start = performance.now();
process.once("exit", () =>
    console.log(JSON.stringify({ whole, abort, reason, tokens, text, exit: performance.now() - start })),
);
process.exit(0);
