// What running texts notice of others: the longest pause between two of their tokens while a long prompt arrives, and how much
// is evaluated when many prompts with the same beginning arrive together.

import { withDisposables } from "./disposables.mjs";
import { createRecipe } from "./families.mjs";
import { describeSetting, format, printTable, summarize } from "./report.mjs";

/** Texts that run, tokens of the prompt that arrives, requests that arrive together and tokens of their common beginning. */
const [TEXTS, PROMPT, REQUESTS, BEGINNING] = [8, 3000, 16, 1000];

/** @param options - `backend`, `threads` (default: the library's), `rounds` */
export async function benchPauses(library, family, { backend, threads, rounds }) {
    return withDisposables(async (keep) => {
        const ensemble = await keep(
            library.loadEnsemble(createRecipe(library, family), {
                ...{ backend, threads, contextSize: 4096, sequences: REQUESTS, cacheTokens: 16_384 },
            }),
        );
        const [{ model }] = ensemble.members;
        const { eos } = model.info;
        const request = { raw: true, logitBias: { [eos]: -Infinity } };
        // Another text each time, so that no cache holds it.
        const textOf = (tokens, mark) => {
            const words = `${mark} ${family.prompt} `.repeat(tokens / 4);
            return model.detokenize(model.tokenize(words, false, false).subarray(0, tokens - 1), false).toString();
        };
        const pauses = [];
        for (let round = 0; round <= rounds; round++) pauses.push(await pause(round));

        async function pause(round) {
            const gaps = { before: [], during: [] };
            let phase = "before";
            let isOver = false;
            const controller = new AbortController();
            const started = deferred();
            let running = 0;
            const read = async (seed) => {
                const options = { ...request, prompt: `${seed} ${family.prompt}`, seed, signal: controller.signal };
                let last;
                for await (const part of library.complete(ensemble, options)) {
                    if (part.type !== "token") continue;
                    const now = performance.now();
                    if (last !== undefined) gaps[phase].push(now - last);
                    else if (++running === TEXTS) setTimeout(started.resolve, 500);
                    last = now;
                    if (isOver) controller.abort();
                }
            };
            const texts = Array.from({ length: TEXTS }, (_, seed) => read(seed));
            await started.promise;
            const prompt = textOf(PROMPT, `round ${round}`);
            phase = "during";
            const start = performance.now();
            const arriving = library.complete(ensemble, { ...request, prompt, maxTokens: 1 });
            await arriving.next();
            const firstTokenMs = performance.now() - start;
            await arriving.return();
            isOver = true;
            await Promise.all(texts);
            return { stepMs: median(gaps.before), longestMs: Math.max(...gaps.during), firstTokenMs };
        }

        const evaluated = { ...ensemble.host?.counts };
        const common = textOf(BEGINNING, "common");
        const start = performance.now();
        await Promise.all(
            Array.from({ length: REQUESTS }, (_, index) =>
                library.collect(
                    library.complete(ensemble, { ...request, prompt: `${common} number ${index}`, maxTokens: 1 }),
                ),
            ),
        );
        const togetherMs = performance.now() - start;
        const measured = pauses.slice(1);
        return {
            ...{
                family: family.name,
                shape: family.shape,
                backend: ensemble.backend.backend,
                threads: ensemble.threads,
            },
            stepMs: summarize(measured.map(({ stepMs }) => stepMs)),
            longestMs: summarize(measured.map(({ longestMs }) => longestMs)),
            firstTokenMs: summarize(measured.map(({ firstTokenMs }) => firstTokenMs)),
            togetherMs,
            evaluatedTokens: (ensemble.host?.counts.evaluatedTokens ?? NaN) - evaluated.evaluatedTokens,
            rounds: pauses,
        };
    });
}

function median(values) {
    return values.toSorted((a, b) => a - b)[values.length >> 1];
}

function deferred() {
    let resolve;
    const promise = new Promise((settle) => (resolve = settle));
    return { promise, resolve };
}

export function printPauses({ stepMs, longestMs, firstTokenMs, togetherMs, evaluatedTokens, ...result }) {
    printTable(
        describeSetting(result),
        ["", "ms"],
        [
            [`step of ${TEXTS} texts`, format(stepMs, 1)],
            [`longest pause while a prompt of ${PROMPT} tokens arrives`, format(longestMs, 1)],
            ["until its first token", format(firstTokenMs, 0)],
            [`${REQUESTS} prompts with ${BEGINNING} tokens in common, arriving together`, togetherMs.toFixed(0)],
            ["tokens that were evaluated for these, of all members", String(evaluatedTokens)],
        ],
    );
}
