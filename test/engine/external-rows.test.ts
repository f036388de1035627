/** Members that are evaluated elsewhere: steps that are handed their rows make of them what they make of local members. */

import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { chooseBackend } from "../../src/native/backend.js";
import {
    TOKEN_KIND,
    type NativeDrawResult,
    type NativeEngine,
    type NativeEntryResult,
    type NativeExternalRow,
    type NativeFusion,
    type NativeModel,
    type NativeStepEntry,
} from "../../src/native/binding.js";
import { loadBinding } from "../../src/native/load-binding.js";
import { demoFile, QUESTIONS } from "../helpers/demo.js";
import { at, fuse, logSumExp, mask, normalize, nucleus, rank, topLogprobs } from "../helpers/reference.js";
import { UNSHAPED } from "../helpers/rows.js";
import { logprobTolerance } from "../helpers/tolerances.js";

const MEMBERS = ["large-base", "small-chat", "small-base"] as const;
/** Tokens of each text. */
const LENGTH = 12;
const TOP_P = 0.9;
const SEED = 3;
/** `native/math/known-ids.cpp`: of the tokens that do not stand apart, for known ids to be precise enough. */
const LEAST_SHARE = 0.01;

/** One engine with all members, or with an external context in the place of the large one. */
interface Side {
    readonly engine: NativeEngine;
    /** Of the three members together. */
    readonly target: number;
    /** Of each by itself, evaluated in contexts of their own. */
    readonly solo: readonly number[];
}

let local: Side;
let far: Side;
let model: NativeModel;
let kinds: Uint8Array;
let prompt: Int32Array;

const plain: NativeFusion = {
    weights: Float64Array.of(1, 1, -1),
    conservativeTopP: 1,
    controlTokensFallback: false,
};
const filtered: NativeFusion = { ...plain, fallback: Float64Array.of(0, 1, 0), conservativeTopP: TOP_P };
const withoutControl: NativeFusion = { ...filtered, controlTokensFallback: true };

async function open(isFar: boolean): Promise<Side> {
    const engine = loadBinding().createEngine({ threads: 1, batchSize: 128, sequences: 2 });
    const models: NativeModel[] = [];
    for (const name of MEMBERS)
        models.push(await engine.loadModel({ path: demoFile(name), gpuLayers: 0, devices: [] }));
    [model] = models as [NativeModel];
    const { vocabularySize } = model.info;
    const CONTROL = 1 << 3;
    kinds = Uint8Array.from(model.tokenAttributes(), (attributes) =>
        (attributes & CONTROL) === 0 ? TOKEN_KIND.combined : TOKEN_KIND.control,
    );
    const add = (member: number): Promise<number> =>
        engine.addContext({
            model: models[member] as NativeModel,
            cells: 512,
            rows: 512,
            offloadCache: false,
            cacheType: "f16",
        });
    const contexts: number[] = [];
    for (const [member] of [...MEMBERS, ...MEMBERS].entries())
        contexts.push(
            isFar && member === 0
                ? await engine.addExternalContext({ name: "far", vocabularySize })
                : await add(member % MEMBERS.length),
        );
    const target = (...ids: number[]): number =>
        engine.createTarget({
            contexts: Int32Array.from(ids),
            kinds,
            endOfGeneration: model.endOfGeneration(),
            lacking: ids.map(() => new Int32Array()),
        });
    return { engine, target: target(...contexts.slice(0, 3)), solo: contexts.slice(3).map((id) => target(id)) };
}

beforeAll(async () => {
    chooseBackend("cpu");
    [local, far] = [await open(false), await open(true)];
    prompt = model.tokenize(`[INST] ${QUESTIONS[0]} [/INST]`, true, true);
});
afterAll(async () => {
    await local.engine.dispose();
    await far.engine.dispose();
});

/** The entry that appends `tokens` after `length` tokens, and draws after the last of them. */
function drawing(side: Side, length: number, tokens: Int32Array, fusion: NativeFusion): NativeStepEntry {
    return {
        target: side.target,
        sequence: 0,
        keep: new Int32Array(3).fill(length),
        tokens: MEMBERS.map(() => tokens),
        fusion,
        draw: { ...UNSHAPED, seed: SEED, position: length + tokens.length, scores: true, members: true },
    };
}

/** A text as the local members write it, and the log-probabilities of each of them at each of its tokens. */
interface Recording {
    readonly draws: NativeDrawResult[];
    readonly rows: Float32Array[][];
}

async function record(fusion: NativeFusion): Promise<Recording> {
    const recording: Recording = { draws: [], rows: [] };
    let [length, tokens] = [0, prompt];
    while (recording.draws.length < LENGTH) {
        const alone = local.solo.map((target): NativeStepEntry => ({
            ...{ target, sequence: 0, keep: Int32Array.of(length), tokens: [tokens] },
            fusion: { weights: Float64Array.of(1), conservativeTopP: 1, controlTokensFallback: false },
            queries: { rows: 1, row: Int32Array.of(0), token: Int32Array.of(0), top: 0, scores: true },
        }));
        const { results } = await local.engine.step([drawing(local, length, tokens, fusion), ...alone]);
        const [draw] = results[0]?.draws as [NativeDrawResult];
        recording.draws.push(draw);
        recording.rows.push(results.slice(1).map((result) => result?.queries?.scores as Float32Array));
        length += tokens.length;
        tokens = Int32Array.of(draw.token);
    }
    return recording;
}

const largeRow = ({ rows }: Recording, position: number): Float32Array => rows[position]?.[0] as Float32Array;
const whole = (logits: Float32Array): NativeExternalRow => ({ member: 0, logits });
/** What a server says that was asked for some ids: of its whole distribution, in double precision, in no order. */
function known(row: Float32Array, ids: Iterable<number>): NativeExternalRow {
    const logprobs = normalize(row);
    const list = [...new Set(ids)].sort((a, b) => at(logprobs, b) - at(logprobs, a));
    return { member: 0, ids: Int32Array.from(list), logprobs: Float64Array.from(list, (id) => at(logprobs, id)) };
}

async function farStep(entry: NativeStepEntry, ...rows: NativeExternalRow[]): Promise<NativeEntryResult> {
    const { results } = await far.engine.step([{ ...entry, rows }]);
    return results[0] as NativeEntryResult;
}

/** Ids of which the large member's probabilities have to be known, worked out from its own and the chat member's row. */
function needed([, chat]: readonly Float32Array[], fusion: NativeFusion): number[] {
    const isControl = (id: number): boolean => fusion.controlTokensFallback && kinds[id] === TOKEN_KIND.control;
    const others = mask(normalize(chat as Float32Array), (id) => !isControl(id));
    const set = nucleus(rank(others), (id) => Math.exp(at(others, id)), TOP_P);
    const apart = [...kinds.keys()].filter(isControl);
    return [...new Set([...set, ...apart])].sort((a, b) => a - b);
}

/** Probability of the tokens that do not stand apart. */
function shareOfOthers(row: Float32Array, fusion: NativeFusion): number {
    const isApart = (id: number): boolean => fusion.controlTokensFallback && kinds[id] === TOKEN_KIND.control;
    return Math.exp(logSumExp(mask(normalize(row), (id) => !isApart(id))));
}

function expectRow(actual: Float32Array | undefined, expected: ArrayLike<number>): void {
    expect(actual).toHaveLength(expected.length);
    const wrong = Array.from(actual ?? []).flatMap((value, id) => {
        const right = at(expected, id);
        // Infinities must be equal.
        return value === right || Math.abs(value - right) <= logprobTolerance(right) ? [] : [{ id, value, right }];
    });
    expect(wrong).toEqual([]);
}

describe.each<[string, NativeFusion]>([
    ["without a filter", plain],
    ["with the conservative filter", filtered],
    ["with the filter, control tokens apart", withoutControl],
])("%s, rows that are handed over", (_, fusion) => {
    let recording: Recording;
    beforeAll(async () => {
        recording = await record(fusion);
    });

    /** Writes the text again with the rows that `rowOf` makes of the recorded ones. */
    async function replay(
        rowOf: (
            row: Float32Array,
            entry: NativeStepEntry,
            position: number,
        ) => NativeExternalRow | Promise<NativeExternalRow>,
    ): Promise<void> {
        let [length, tokens] = [0, prompt];
        for (const [position, expected] of recording.draws.entries()) {
            const entry = drawing(far, length, tokens, fusion);
            const row = await rowOf(largeRow(recording, position), entry, position);
            const { draws, uncovered } = await farStep(entry, row);
            expect(uncovered).toBeUndefined();
            expect(draws).toHaveLength(1);
            expect(draws[0]?.token).toBe(expected.token);
            expectRow(draws[0]?.scores, expected.scores as Float32Array);
            expectRow(draws[0]?.scores, fuse(recording.rows[position] as Float32Array[], fusion, kinds));
            length += tokens.length;
            tokens = Int32Array.of(expected.token);
        }
    }

    test("whole, give the same text as local members", async () => {
        await replay(whole);
    });

    test("whole, as logits that are not normalised, too", async () => {
        await replay((row) => whole(row.map((logprob) => logprob + 8)));
    });

    test("whole, verify drafts in one step", async () => {
        const drafts = Int32Array.from(recording.draws.slice(0, 5), ({ token }) => token);
        // The fifth is not what would be drawn.
        drafts[4] = (drafts[4] as number) + 1;
        const entry = drawing(far, 0, prompt, fusion);
        const { draws } = await farStep(
            {
                ...entry,
                draw: { ...(entry.draw as object as NonNullable<typeof entry.draw>), position: prompt.length },
                speculation: { drafts, coupling: "gumbel" },
            },
            ...[0, 1, 2, 3, 4, 5].map((position) => whole(largeRow(recording, position))),
        );
        expect(draws.map(({ token }) => token)).toEqual(recording.draws.slice(0, 5).map(({ token }) => token));
        for (const [row, { scores }] of draws.entries())
            expectRow(scores, fuse(recording.rows[row] as Float32Array[], fusion, kinds));
    });

    test("as known ids alone, give the same text, or say what is missing", async () => {
        if (fusion.fallback === undefined) {
            const { draws, uncovered } = await farStep(
                drawing(far, 0, prompt, fusion),
                known(largeRow(recording, 0), kinds.keys()),
            );
            expect(draws).toEqual([]);
            expect(uncovered).toMatchObject([{ member: 0, missing: new Int32Array() }]);
            expect(uncovered?.[0]?.knownMass).toBeCloseTo(1, 10);
            return;
        }
        let [asked, wholeRows] = [0, 0];
        await replay(async (row, entry, position) => {
            // What a client without a better idea does: it begins with the server's most probable tokens.
            const top = topLogprobs(row, 3).map(({ token }) => token);
            const ids = needed(recording.rows[position] as Float32Array[], fusion);
            asked += ids.length;
            const lacking = ids.filter((id) => !top.includes(id));
            if (lacking.length > 0) {
                const { draws, uncovered } = await farStep(entry, known(row, top));
                expect(draws).toEqual([]);
                expect(uncovered).toMatchObject([{ member: 0, missing: Int32Array.from(lacking) }]);
                const mass = Math.exp(logSumExp(mask(normalize(row), (id) => top.includes(id))));
                expect(uncovered?.[0]?.knownMass).toBeCloseTo(mass, 10);
            }
            const enough = known(row, [...top, ...ids]);
            if (shareOfOthers(row, fusion) >= LEAST_SHARE) return enough;
            const { draws, uncovered } = await farStep(entry, enough);
            expect(draws).toEqual([]);
            expect(uncovered).toMatchObject([{ member: 0, missing: new Int32Array() }]);
            wholeRows++;
            return whole(row);
        });
        expect(wholeRows).toBeLessThan(LENGTH / 2);
        expect(asked).toBeGreaterThan(LENGTH);
        expect(asked / LENGTH).toBeLessThan(model.info.vocabularySize / 10);
    });
});

describe("a row that is not good enough", () => {
    let recording: Recording;
    beforeAll(async () => {
        recording = await record(withoutControl);
    });
    /** The first draw, which a row that is good gives. */
    const first = (rows: readonly NativeExternalRow[] | undefined): Promise<NativeEntryResult> =>
        (async () => {
            const entry = drawing(far, 0, prompt, withoutControl);
            const { results } = await far.engine.step([rows === undefined ? entry : { ...entry, rows }]);
            return results[0] as NativeEntryResult;
        })();

    test("ends its own entry and no other", async () => {
        const row = largeRow(recording, 0);
        const entry = drawing(far, 0, prompt, withoutControl);
        const { results, lengths } = await far.engine.step([
            { ...entry, rows: [known(row, [])] },
            { ...entry, sequence: 1, rows: [whole(row)] },
        ]);
        const missing = Int32Array.from(needed(recording.rows[0] as Float32Array[], withoutControl));
        expect(results[0]).toEqual({ draws: [], uncovered: [{ member: 0, knownMass: 0, missing }] });
        expect(results[1]?.draws.map(({ token }) => token)).toEqual([recording.draws[0]?.token]);
        expect(results[1]?.uncovered).toBeUndefined();
        expect([...lengths]).toEqual(new Array(6).fill(prompt.length));
    });

    test("is asked for whole where control tokens leave the others next to nothing", async () => {
        const [control] = [...kinds.keys()].filter((id) => kinds[id] === TOKEN_KIND.control) as [number];
        const row = largeRow(recording, 0).map((logprob, id) => (id === control ? 20 : logprob));
        const { draws, uncovered } = await first([known(row, kinds.keys())]);
        expect(draws).toEqual([]);
        expect(uncovered).toMatchObject([{ missing: new Int32Array() }]);
    });

    const V = () => kinds.length;
    const ids = (...list: number[]): Int32Array => Int32Array.from(list);
    const logprobs = (...list: number[]): Float64Array => Float64Array.from(list);
    const filled = (value: number, length = V()): Float32Array => {
        const row = new Float32Array(length);
        row[length >> 1] = value;
        return row;
    };
    const one = (row: object): NativeExternalRow[] => [{ member: 0, ...row }];
    test.each<[string, string, () => unknown]>([
        ["no rows", "OPTION_INVALID", () => undefined],
        ["an empty list of rows", "OPTION_INVALID", () => []],
        [
            "more rows than are read",
            "OPTION_INVALID",
            () => [...one({ logits: filled(0) }), ...one({ logits: filled(0) })],
        ],
        ["a row that is too short", "OPTION_INVALID", () => one({ logits: filled(0, V() - 1) })],
        ["a row that is too long", "OPTION_INVALID", () => one({ logits: filled(0, V() + 1) })],
        ["a row of nothing", "OPTION_INVALID", () => one({ logits: new Float32Array() })],
        ["a row without logits", "OPTION_INVALID", () => one({})],
        ["a row of another type", "OPTION_INVALID", () => one({ logits: Array.from(filled(0)) })],
        ["a row in double precision", "OPTION_INVALID", () => one({ logits: new Float64Array(V()) })],
        ["NaN", "NON_FINITE_LOGITS", () => one({ logits: filled(NaN) })],
        ["+Infinity", "NON_FINITE_LOGITS", () => one({ logits: filled(Infinity) })],
        ["nothing that is possible", "NO_TOKEN_LEFT", () => one({ logits: filled(0).fill(-Infinity) })],
        ["a negative id", "OPTION_INVALID", () => one({ ids: ids(-1), logprobs: logprobs(-1) })],
        ["an id behind the vocabulary", "OPTION_INVALID", () => one({ ids: ids(V()), logprobs: logprobs(-1) })],
        ["an id far away", "OPTION_INVALID", () => one({ ids: ids(2 ** 31 - 1), logprobs: logprobs(-1) })],
        ["an id that comes twice", "OPTION_INVALID", () => one({ ids: ids(5, 3, 5), logprobs: logprobs(-1, -2, -3) })],
        ["fewer log-probabilities than ids", "OPTION_INVALID", () => one({ ids: ids(5, 3), logprobs: logprobs(-1) })],
        ["more log-probabilities than ids", "OPTION_INVALID", () => one({ ids: ids(5), logprobs: logprobs(-1, -2) })],
        ["ids without log-probabilities", "OPTION_INVALID", () => one({ ids: ids(5) })],
        ["ids of another type", "OPTION_INVALID", () => one({ ids: [5], logprobs: logprobs(-1) })],
        ["log-probabilities in float32", "OPTION_INVALID", () => one({ ids: ids(5), logprobs: Float32Array.of(-1) })],
        ["a log-probability that is NaN", "NON_FINITE_LOGITS", () => one({ ids: ids(5), logprobs: logprobs(NaN) })],
        ["one of +Infinity", "OPTION_INVALID", () => one({ ids: ids(5), logprobs: logprobs(Infinity) })],
        ["logits for log-probabilities", "OPTION_INVALID", () => one({ ids: ids(5, 3), logprobs: logprobs(8, 2) })],
        ["probabilities beyond 1", "OPTION_INVALID", () => one({ ids: ids(5, 3), logprobs: logprobs(-0.5, -0.5) })],
        ["rows for a member that there is not", "OPTION_INVALID", () => [{ member: 3, logits: filled(0) }]],
        ["rows for a member before the first", "OPTION_INVALID", () => [{ member: -1, logits: filled(0) }]],
        ["rows for nobody", "OPTION_INVALID", () => [{ logits: filled(0) }]],
        [
            "rows for a local member",
            "OPTION_INVALID",
            () => [...one({ logits: filled(0) }), { member: 1, logits: filled(0) }],
        ],
        ["no list", "OPTION_INVALID", () => 7],
        ["no row", "OPTION_INVALID", () => [7]],
    ])("is refused: %s", async (_, code, make) => {
        await expect(first(make() as NativeExternalRow[])).rejects.toMatchObject({ name: "EftError", code });
        // Nothing has happened.
        const { draws } = await first([whole(largeRow(recording, 0))]);
        expect(draws[0]?.token).toBe(recording.draws[0]?.token);
    });

    test("is refused where a member has nothing to do, or rows that nobody reads", async () => {
        const row = whole(largeRow(recording, 0));
        const entry = drawing(far, 0, prompt, withoutControl);
        const idle = { ...entry, tokens: [new Int32Array(), prompt, prompt], rows: [row] };
        await expect((async () => far.engine.step([idle]))()).rejects.toMatchObject({ code: "OPTION_INVALID" });
        const { target, sequence, keep, tokens } = entry;
        const unread = { target, sequence, keep, tokens, rows: [row] };
        await expect(far.engine.step([unread])).rejects.toMatchObject({ code: "OPTION_INVALID" });
    });
});

describe("an external context", () => {
    test.each<[string, unknown]>([
        ["no name", { vocabularySize: 10 }],
        ["a name that is none", { name: 7, vocabularySize: 10 }],
        ["no vocabulary", { name: "far" }],
        ["an empty vocabulary", { name: "far", vocabularySize: 0 }],
        ["a negative one", { name: "far", vocabularySize: -1 }],
        ["half a token", { name: "far", vocabularySize: 10.5 }],
        ["more tokens than memory", { name: "far", vocabularySize: 2 ** 31 - 1 }],
    ])("is refused with %s", async (_, options) => {
        const add = async (): Promise<number> => far.engine.addExternalContext(options as never);
        await expect(add()).rejects.toMatchObject({ name: "EftError", code: "OPTION_INVALID" });
    });

    test("cannot be drafted with", async () => {
        const entry = drawing(far, 0, prompt, plain);
        const drafter = { ...plain, weights: Float64Array.of(1, 0, 0) };
        const draft = far.engine.step([
            {
                ...entry,
                speculation: { drafts: new Int32Array(), coupling: "gumbel", drafter },
                plan: { length: 2, minConfidence: 0, compare: false, forced: 0, leastForced: 0 },
            },
        ]);
        await expect(draft).rejects.toMatchObject({ code: "OPTION_INVALID", message: /rows of far/ as never });
    });

    test("can be forgotten and removed", async () => {
        const { vocabularySize } = model.info;
        const id = await far.engine.addExternalContext({ name: "other", vocabularySize });
        const target = far.engine.createTarget({
            contexts: Int32Array.of(id),
            kinds,
            endOfGeneration: model.endOfGeneration(),
            lacking: [new Int32Array()],
        });
        const entry: NativeStepEntry = {
            ...{ target, sequence: 0, keep: Int32Array.of(0), tokens: [prompt] },
            fusion: { weights: Float64Array.of(1), conservativeTopP: 1, controlTokensFallback: false },
            draw: { ...UNSHAPED, temperature: 0 },
        };
        const row = new Float32Array(vocabularySize);
        row[77] = 1;
        const { results, lengths } = await far.engine.step([{ ...entry, rows: [whole(row)] }]);
        expect(results[0]?.draws[0]?.token).toBe(77);
        expect([...lengths]).toEqual([prompt.length]);
        await far.engine.forget(id, 0, 0);
        const one = { ...entry, keep: Int32Array.of(1), rows: [whole(row)] };
        await expect(far.engine.step([one])).rejects.toMatchObject({ code: "DECODE_FAILED" });
        await far.engine.removeContexts(Int32Array.of(id));
        await expect(far.engine.step([one])).rejects.toMatchObject({ code: "DISPOSED" });
    });
});
