// Interrupts the search for all tokens that a grammar allows, where that takes long. Prints milliseconds of processor time, which
// other processes do not change: of a whole search, of an aborted one after the abort, of the exit in the middle of one.
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

const used = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
};
const whenUsed = async (milliseconds) => {
    for (const end = used() + milliseconds; used() < end;) await delay(5);
};

let start = used();
await run();
const whole = used() - start;

const controller = new AbortController();
const aborted = run(controller.signal);
await whenUsed(whole / 4);
start = used();
controller.abort();
const { reason, tokens } = await aborted;
const abort = used() - start;
// What comes after it is not held up.
const { text } = await collect(complete(ensemble, { prompt: "Hi", grammar: 'root ::= "yes"' }));

void run();
await whenUsed(whole / 4);
start = used();
process.once("exit", () => console.log(JSON.stringify({ whole, abort, reason, tokens, text, exit: used() - start })));
process.exit(0);
