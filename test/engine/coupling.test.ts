/** Both couplings draw from the target exactly, and accept as often as their theory says: on the demo family. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { normalize, shape } from "../helpers/reference.js";
import { acceptanceGumbel, acceptanceMaximal } from "../helpers/speculative-reference.js";
import { collect, complete, DEFAULT_SAMPLING, type Coupling, type Ensemble } from "../../src/index.js";
import { loadOnCpu } from "../helpers/demo.js";
import { writeFloat32Family } from "../helpers/float32.js";
import { chiSquareTest } from "../helpers/statistics.js";
import { DEVIATIONS, P_VALUE } from "../helpers/tolerances.js";

const RUNS = 2000;
const SEQUENCES = 8;
const SAMPLING = { ...DEFAULT_SAMPLING, temperature: 1.4, topK: 4 };
/** What follows is a name, which the drafter does not know. */
const PROMPT = { prompt: "The currency of Eritrea is the", raw: true };
const TARGET = { l: 1, c: 1, s: -1 };
const DRAFTER = { l: 0, c: 1, s: 0 };

const family = writeFloat32Family(["large-base", "small-chat", "small-base"]);
let ensemble: Ensemble;
beforeAll(async () => {
    ensemble = await loadOnCpu(
        family.recipe(`
members:
    large: { model: large-base.gguf }
    chat: { model: small-chat.gguf }
    small: { model: small-base.gguf }
parameters: { l: { default: 1 }, c: { default: 1 }, s: { default: -1 } }
combination: l * large + c * chat + s * small
prompt: { template: from chat }
`),
        { sequences: SEQUENCES },
    );
});
afterAll(async () => {
    await ensemble.dispose();
    family.remove();
});

const rows = new Map<string, Float64Array>();
/** The shaped distribution after the prompt and up to two tokens, in which a plain run is led by biases. */
async function distribution(parameters: Record<string, number>, prefix: readonly number[]): Promise<Float64Array> {
    const key = JSON.stringify([parameters, prefix]);
    const known = rows.get(key);
    if (known !== undefined) return known;
    const [first = 0, second = first] = prefix;
    const { parts } = await collect(
        complete(ensemble, {
            ...PROMPT,
            parameters,
            scores: true,
            maxTokens: prefix.length + 1,
            // The token before is held back, so the first one gives way to the second.
            sampling: { temperature: 0, presencePenalty: first === second ? 0 : 20, penaltyLastN: 1 },
            logitBias: { [first]: 1010, [second]: first === second ? 1010 : 1000 },
        }),
    );
    expect(parts.slice(0, -1).map(({ id }) => id)).toEqual(prefix);
    const shaped = shape(normalize(parts.at(-1)?.scores ?? []), SAMPLING);
    rows.set(key, shaped);
    return shaped;
}

/** Tokens of positive probability. */
const support = (probabilities: Float64Array): number[] =>
    [...probabilities.keys()].filter((id) => (probabilities[id] ?? 0) > 0);

interface Path {
    readonly tokens: readonly number[];
    readonly probability: number;
}

/** All beginnings of `length` tokens, with their exact probabilities. */
async function paths(length: number): Promise<Path[]> {
    let all: Path[] = [{ tokens: [], probability: 1 }];
    for (let depth = 0; depth < length; depth++) {
        const longer: Path[] = [];
        for (const { tokens, probability } of all) {
            const next = await distribution(TARGET, tokens);
            for (const id of support(next)) {
                longer.push({ tokens: [...tokens, id], probability: probability * (next[id] ?? NaN) });
            }
        }
        all = longer;
    }
    return all;
}

interface Runs {
    readonly tokens: readonly (readonly number[])[];
    readonly verified: number;
    readonly accepted: number;
}

/**
 * First tokens of many runs, and what became of the drafts. The first token comes with the prompt, then there is a block, and
 * with one draft there is no room for another block.
 */
async function draw(coupling: Coupling, drafts: number): Promise<Runs> {
    const tokens: number[][] = [];
    const { statistics: before } = ensemble;
    for (let seed = 0; seed < RUNS; seed += SEQUENCES) {
        const results = await Promise.all(
            Array.from({ length: SEQUENCES }, (_, index) =>
                collect(
                    complete(ensemble, {
                        ...PROMPT,
                        sampling: SAMPLING,
                        seed: 1000 + seed + index,
                        maxTokens: drafts + 2,
                        speculation: { drafter: "chat", length: drafts, coupling },
                    }),
                ),
            ),
        );
        tokens.push(...results.map(({ parts }) => parts.map(({ id }) => id)));
    }
    const { verifiedAt, accepted } = ensemble.statistics;
    return {
        tokens,
        verified: (verifiedAt[0] ?? 0) - (before.verifiedAt[0] ?? 0),
        accepted: accepted - before.accepted,
    };
}

describe.each<[Coupling, (p: Float64Array, q: Float64Array) => number]>([
    ["maximal", acceptanceMaximal],
    ["gumbel", acceptanceGumbel],
])("%s coupling", (coupling, acceptance) => {
    let one: Runs;
    let two: Runs;
    beforeAll(async () => {
        one = await draw(coupling, 1);
        two = await draw(coupling, 2);
    });

    test.each([1, 2, 3])("the first %d tokens are distributed as the target", async (length) => {
        const expected = await paths(length);
        const places = new Map(expected.map(({ tokens }, place) => [tokens.join(), place]));
        const probabilities = expected.map(({ probability }) => probability);
        for (const { tokens } of [one, two]) {
            const counts = new Uint32Array(expected.length);
            for (const text of tokens) {
                const place = places.get(text.slice(0, length).join());
                expect(place).toBeDefined();
                counts[place ?? 0] = (counts[place ?? 0] ?? 0) + 1;
            }
            expect(chiSquareTest(counts, probabilities).pValue).toBeGreaterThan(P_VALUE);
        }
    });

    test("accepts the first draft as often as its theory says", async () => {
        let mean = 0;
        for (const { tokens, probability } of await paths(1)) {
            mean += probability * acceptance(await distribution(TARGET, tokens), await distribution(DRAFTER, tokens));
        }
        const { verified, accepted } = one;
        expect(verified).toBe(RUNS);
        expect(Math.abs(accepted / verified - mean)).toBeLessThan(
            DEVIATIONS * Math.sqrt((mean * (1 - mean)) / verified),
        );
        // Where everything is accepted, nothing would be shown.
        expect(mean).toBeLessThan(0.9);
    });
});

test("rejection sampling gives the same text whenever it is asked for the next token", async () => {
    for (let seed = 0; seed < 12; seed++) {
        const texts: number[][] = [];
        for (const turns of [0, 1, 40]) {
            const ids: number[] = [];
            const speculation = { length: 6, coupling: "maximal" } as const;
            for await (const part of complete(ensemble, {
                ...PROMPT,
                seed,
                maxTokens: 30,
                speculation,
                sampling: SAMPLING,
            })) {
                if (part.type === "token") ids.push(part.id);
                for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
            }
            texts.push(ids);
        }
        expect(texts[1]).toEqual(texts[0]);
        expect(texts[2]).toEqual(texts[0]);
    }
});
