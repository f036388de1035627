/** Wrong types, in every option of every function: an error with a code, at the call, and the ensemble goes on. */

import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { JUDGE_OPTIONS } from "../../src/eval/judge/index.js";
import { COMPLETION_OPTIONS } from "../../src/decoding/complete.js";
import { DEFAULT_SAMPLING } from "../../src/decoding/sampling.js";
import { LOAD_OPTIONS } from "../../src/ensemble/options.js";
import * as library from "../../src/index.js";
import {
    adHocRecipe,
    checkModels,
    chooseBackend,
    collect,
    combinationWeights,
    complete,
    createHost,
    createChat,
    describeDifference,
    EftError,
    downloadModels,
    evaluate,
    findModel,
    isRemote,
    loadChat,
    loadEnsemble,
    listModels,
    loadRecipe,
    memoryRoom,
    missingModels,
    parseChat,
    parseRecipe,
    planDownload,
    planMemory,
    readGguf,
    readVocabularies,
    recommendControlTokens,
    removeModels,
    resolveParameters,
    saveChat,
    score,
    soloView,
    tokenText,
    type Ensemble,
} from "../../src/index.js";
import { demoFile, loadOnCpu, QUESTIONS, upscalingRecipe } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();

/** Nothing of this is right anywhere, but for an object or a list here and there. */
const WRONG: Record<string, unknown> = {
    null: null,
    "a number": -7.5,
    "not a number": NaN,
    "a text": join(folder, "no such thing"),
    true: true,
    "a bigint": 5n,
    "a symbol": Symbol("s"),
    "an empty object": {},
    "an object without prototype": Object.assign(Object.create(null) as object, { a: Object.create(null) as object }),
    "an object of nulls": { 5: null, a: null, role: null, name: null, drafter: null, temperature: null },
    "an object of objects": { 5: {}, a: {}, drafter: {}, temperature: [], length: {}, lookup: {} },
    "a list": [5],
    "a list of null": [null],
    "a sparse list": Object.assign([], { length: 2 }),
    "a function": () => "x",
    "an AbortController": new AbortController(),
    "a promise": Promise.resolve(5),
    "a date": new Date(0),
    "typed numbers": new Float32Array(3),
    "a list of nothing, without end": Object.assign([], { length: 2 ** 32 - 1 }),
    "a getter that throws": Object.defineProperty({}, "temperature", {
        enumerable: true,
        get() {
            throw new TypeError("Cannot read this");
        },
    }),
    "a message whose getter throws": [
        Object.defineProperty({ role: "user" }, "content", {
            enumerable: true,
            get() {
                throw new TypeError("Cannot read this");
            },
        }),
    ],
};
/** For options; what is handed over whole (a recipe, an ensemble, a chat's state) is not looked at so closely. */
const REVOKED = ["a revoked Proxy", revoked()] as const;

/** Whatever is done with it throws. */
function revoked(): unknown {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
}

let ensemble: Ensemble;
beforeAll(async () => (ensemble = await loadOnCpu(upscalingRecipe(), { sequences: 2 })));
afterAll(async () => {
    await ensemble.dispose();
    remove();
});

/** What came of it: nothing bad, or an error of ours. Whatever else is thrown is returned. */
async function outcomeOf(act: () => unknown): Promise<unknown> {
    try {
        await act();
        return undefined;
    } catch (error) {
        return EftError.isInstance(error) &&
            !/ is not a function|Cannot (read properties|convert)|is not iterable/.test(error.message)
            ? undefined
            : error;
    }
}

async function expectSound(acts: Readonly<Record<string, () => unknown>>): Promise<void> {
    const faults: Record<string, unknown> = {};
    for (const [name, act] of Object.entries(acts)) {
        const outcome = await outcomeOf(act);
        if (outcome !== undefined) faults[name] = outcome;
    }
    expect(faults).toEqual({});
}

const request = { prompt: QUESTIONS[0], maxTokens: 2, sampling: { temperature: 0 } };
const options: Record<string, { names: readonly string[]; act: (options: object) => unknown }> = {
    complete: {
        names: Object.keys(COMPLETION_OPTIONS),
        act: (own) => collect(complete(ensemble, { ...request, ...own })),
    },
    "complete with speculation": {
        names: ["drafter", "lookup", "length", "coupling", "drafterSampling"],
        act: (own) => collect(complete(ensemble, { ...request, speculation: own })),
    },
    "complete with sampling": {
        names: Object.keys(DEFAULT_SAMPLING),
        act: (own) => collect(complete(ensemble, { ...request, sampling: own })),
    },
    "complete with a message": {
        names: ["role", "content"],
        act: (own) => collect(complete(ensemble, { ...request, prompt: [{ role: "user", content: "", ...own }] })),
    },
    score: {
        names: ["chat", "stride", "parameters", "topLogprobs", "scores", "signal", "onProgress"],
        act: (own) => score(ensemble, [{ continuation: "Lima" }], own),
    },
    "score of an item": {
        names: ["context", "continuation"],
        act: (own) => score(ensemble, [{ continuation: "Lima", ...own }]),
    },
    loadEnsemble: {
        names: Object.keys(LOAD_OPTIONS),
        async act(own) {
            const loaded = await loadEnsemble(upscalingRecipe(), { backend: "cpu", threads: 1, ...own });
            await loaded.dispose();
        },
    },
    createChat: {
        names: ["system", "turns", "forgotten", "onForget", ...Object.keys(COMPLETION_OPTIONS)],
        act: (own) => collect(createChat(ensemble, { ...request, prompt: undefined, ...own } as object).send("Lima")),
    },
    "an answer of a chat": {
        names: Object.keys(COMPLETION_OPTIONS).slice(2),
        act: (own) => collect(createChat(ensemble, { maxTokens: 2 }).send("Lima", own)),
    },
    countTokens: {
        names: ["templateVariables", "tools"],
        act: (own) => ensemble.countTokens([{ role: "user", content: "Lima" }], own),
    },
    setSampling: {
        names: [...Object.keys(DEFAULT_SAMPLING), "seed"],
        act: (own) => createChat(ensemble).setSampling(own),
    },
    planMemory: {
        names: ["contextSize", "sequences", "batchSize", "gpuLayers", "cacheType"],
        act: (own) => planMemory(upscalingRecipe(), own),
    },
    planDownload: { names: ["folder", "signal"], act: (own) => planDownload([], { folder, ...own }) },
    downloadModels: {
        names: ["onProgress", "onCheck", "onModel", "signal"],
        act: async (own) => downloadModels(await planDownload([], { folder }), own),
    },
    evaluate: {
        names: ["folder", "family", "limit", "restart", "load", "judge", "onProgress", "onCheck", "signal"],
        act: (own) => evaluate([], { folder, ...own }),
    },
    "evaluate with a judge": {
        names: Object.keys(JUDGE_OPTIONS),
        act: (own) => evaluate([], { folder, judge: { url: "http://127.0.0.1:9/v1", model: "m", ...own } }),
    },
    adHocRecipe: {
        names: ["base", "tuned", "lora", "reference", "beta"],
        act: (own) => adHocRecipe({ base: "a.gguf", tuned: "b.gguf", reference: "c.gguf", ...own }),
    },
    parseRecipe: { names: ["file", "directory"], act: (own) => parseRecipe("eft: 1", own) },
};

describe.each(Object.keys(options))("options of %s", (name) => {
    const { names, act } = options[name] ?? { names: [], act: () => undefined };

    test("of any wrong type are an error with a code", async () => {
        const cases = names.flatMap((option) =>
            [...Object.entries(WRONG), ...(name === "createChat" ? [] : [REVOKED])]
                // That would be a folder here.
                .filter(([kind]) => option !== "folder" || kind !== "a text")
                .map(([kind, value]) => [`${option}: ${kind}`, () => act({ [option]: value })] as const),
        );
        await expectSound(Object.fromEntries(cases));
    });

    test("that are null are refused, and undefined counts as absent", async () => {
        for (const option of names) {
            if (option === "jsonSchema") continue;
            const refused: unknown = await Promise.resolve()
                .then(() => act({ [option]: null }))
                .catch((error: unknown) => error);
            expect({ option, refused }).toMatchObject({ option, refused: { name: "EftError" } });
        }
        const required = [
            "prompt",
            "continuation",
            "role",
            "content",
            "folder",
            "base",
            "tuned",
            "reference",
            "url",
            "model",
        ];
        const absent = names.filter((option) => !required.includes(option));
        const eftErrorOrNothing = await outcomeOf(() =>
            act(Object.fromEntries(absent.map((each) => [each, undefined]))),
        );
        expect(eftErrorOrNothing).toBeUndefined();
    });

    test("of another name are refused, with a guess", async () => {
        const [first = ""] = names;
        const wrong = `${first}s`;
        const error: unknown = await Promise.resolve()
            .then(() => act({ [wrong]: 1 }))
            .catch((thrown: unknown) => thrown);
        if (name === "complete with a message") return;
        expect(error).toMatchObject({ code: "OPTION_INVALID" });
        expect((error as Error).message).toContain(`has no option ${wrong}; did you mean "${first}"?`);
    });
});

test("arguments of any wrong type are an error with a code", async () => {
    const any = (value: unknown): never => value as never;
    const recipe = upscalingRecipe();
    const functions: Record<string, (value: never) => unknown> = {
        complete: (value) => complete(value, request),
        "complete, options": (value) => complete(ensemble, value),
        collect,
        score: (value) => score(value, []),
        "score, items": (value) => score(ensemble, value),
        "score, options": (value) => score(ensemble, [], value),
        "score, item": (value) => score(ensemble, [value]),
        checkModels: (value) => checkModels(value),
        "checkModels, file": (value) => checkModels([value]),
        "checkModels, options": (value) => checkModels([], value),
        createHost: (value) => createHost(value).dispose(),
        loadEnsemble: (value) => loadEnsemble(value),
        "loadEnsemble, options": (value) => loadEnsemble(recipe, value).then((loaded) => loaded.dispose()),
        createChat: (value) => createChat(value),
        "createChat, options": (value) => createChat(ensemble, value),
        soloView: (value) => soloView(value, "chat"),
        "soloView, member": (value) => soloView(ensemble, value),
        tokenText: (value) => tokenText(value, 1),
        "tokenText, token": (value) => tokenText(ensemble, value),
        tokenize: (value) => ensemble.tokenize(value),
        detokenize: (value) => ensemble.detokenize(value),
        countTokens: (value) => ensemble.countTokens(value),
        "countTokens, options": (value) => ensemble.countTokens("Lima", value),
        loadRecipe,
        parseRecipe: (value) => parseRecipe(value),
        adHocRecipe: (value) => adHocRecipe(value),
        readGguf,
        readVocabularies,
        recommendControlTokens: (value) => recommendControlTokens(value, demoFile("small-base")),
        "recommendControlTokens, reference": (value) => recommendControlTokens(demoFile("small-chat"), value),
        planMemory: (value) => planMemory(value),
        "planMemory, options": (value) => planMemory(recipe, value),
        planDownload: (value) => planDownload(value, { folder }),
        evaluate: (value) => evaluate(value, { folder }),
        chooseBackend,
        resolveParameters: (value) => resolveParameters(recipe, value),
        "resolveParameters, recipe": (value) => resolveParameters(value, {}),
        combinationWeights: (value) => combinationWeights(recipe.combination, value, {}),
        missingModels,
        findModel: (value) => findModel(value),
        "findModel, folder": (value) => findModel("hf:a/b:c", value),
        isRemote,
        listModels: (value) => listModels(value),
        removeModels: (value) => removeModels(value, folder),
        "removeModels, folder": (value) => removeModels(["hf:a/b:c"], value),
        loadChat,
        parseChat: (value) => parseChat(value),
        "parseChat, source": (value) => parseChat("x", value),
        saveChat: (value) => saveChat(value, createChat(ensemble)),
        "saveChat, chat": (value) => saveChat(join(folder, "chat.json"), value),
        memoryRoom: (value) => memoryRoom(value),
        downloadModels: (value) => downloadModels(value),
        describeDifference: (value) => describeDifference(value),
        "setParameters of an ensemble": (value) => ensemble.setParameters(value),
        "setParameters of a completion": (value) => complete(ensemble, request).setParameters(value),
        "setParameters of a chat": (value) => createChat(ensemble).setParameters(value),
        "chat.send": (value) => createChat(ensemble).send(value),
        "chat.edit": (value) => createChat(ensemble, { turns: [{ user: "a", answer: "b" }] }).edit(value, "c"),
        "chat.fork": (value) => createChat(ensemble).fork(value),
        "chat.render": (value) => createChat(ensemble).render(value),
        "chat.setSystem": (value) => createChat(ensemble).setSystem(value),
        "chat.setSampling": (value) => createChat(ensemble).setSampling(value),
    };
    const exported = Object.entries(library).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
    const others = ["EftError", "listRecipes", "modelFolder", "diagnose"];
    expect(exported.filter((name) => !others.includes(name) && !(name in functions))).toEqual([]);
    const acts = Object.entries(functions).flatMap(([name, act]) =>
        Object.entries({ ...WRONG, undefined: undefined }).map(
            ([kind, value]) => [`${name}: ${kind}`, () => act(any(value))] as const,
        ),
    );
    await expectSound(Object.fromEntries(acts));
});

test("methods of a model take only what they say", async () => {
    const { model } = ensemble.members[0] as Ensemble["members"][number];
    const any = (value: unknown): never => value as never;
    const methods: Record<string, (value: unknown) => unknown> = {
        tokenize: (value) => model.tokenize(any(value), true, true),
        addSpecial: (value) => model.tokenize("a", any(value), true),
        parseSpecial: (value) => model.tokenize("a", true, any(value)),
        detokenize: (value) => model.detokenize(any(value), true),
        renderSpecial: (value) => model.detokenize(Int32Array.of(1), any(value)),
        from: (value) => model.tokenTexts(any(value), 2),
        to: (value) => model.tokenTexts(0, any(value)),
        vocabularyHash: (value) => model.vocabularyHash(any(value)),
    };
    const arrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Uint32Array, Float32Array];
    const wrong = {
        ...WRONG,
        ...Object.fromEntries([...arrays, Float64Array, BigInt64Array].map((each) => [each.name, new each(3)])),
        DataView: new DataView(new ArrayBuffer(8)),
        "nothing at all": undefined,
        "a huge number": 1e300,
    };
    const acts = Object.entries(methods).flatMap(([name, act]) =>
        Object.entries(wrong).map(([kind, value]) => [`${name}: ${kind}`, () => act(value)] as const),
    );
    await expectSound(Object.fromEntries(acts));
    for (const each of [...arrays, Float64Array, BigInt64Array])
        expect(() => model.detokenize(any(new each(3)), true)).toThrow(
            expect.objectContaining({ code: "OPTION_INVALID", message: "tokens must be an Int32Array." }),
        );
    expect(model.tokenize("Lima", false, false).length).toBeGreaterThan(0);
});

describe("a wrong signal", () => {
    test.each<[string, unknown, RegExp]>([
        ["an AbortController", new AbortController(), /an AbortController; give its `signal`\.$/],
        ["a number", 5, /must be an AbortSignal, not 5\.$/],
        ["half of one", { aborted: false }, /must be an AbortSignal, not an object\.$/],
    ])("%s is refused at the call, and nothing hangs", async (_name, wrong, message) => {
        const options = { ...request, signal: wrong as AbortSignal };
        expect(() => complete(ensemble, options)).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
        await expect(score(ensemble, [], options as object)).rejects.toMatchObject({ code: "OPTION_INVALID" });
        await expect(score(ensemble, [], { signal: options.signal })).rejects.toThrow(message);
        expect((await collect(complete(ensemble, request))).tokens).toBe(2);
    });
});

test("a model of another copy or thread is refused by name", async () => {
    const stranger = Object.create(ensemble, {
        members: {
            value: ensemble.members.map((member) => ({
                ...member,
                model: { ...member.model, ...copyOf(member.model) },
            })),
        },
    }) as Ensemble;
    await expect(
        Promise.resolve().then(() => collect(complete(stranger, { ...request, grammar: 'root ::= "x"' }))),
    ).rejects.toMatchObject({ code: "OPTION_INVALID", message: /another copy of eft-llama/ });

    function copyOf(model: Ensemble["members"][number]["model"]) {
        return { endOfGeneration: () => model.endOfGeneration(), tokenize: () => Int32Array.of() };
    }
});

test.each<[object, string]>([
    [{ contextt: "a" }, 'items[1] has no option contextt; did you mean "context"?'],
    [{ withEnd: "yes" }, 'items[1].withEnd must be true or false, not "yes".'],
    [{ continuation: 5 }, "items[1].continuation must be a text"],
])("an item to score is named by its index: %j", async (wrong, message) => {
    const items = [{ continuation: "a" }, { continuation: "b", ...wrong }];
    await expect(score(ensemble, items)).rejects.toThrow(message);
});

test.each<[object, string]>([
    [{ topP: 0.5 }, "complete has no option topP; it belongs in sampling: { sampling: { topP: ... } }."],
    [{ temprature: 1 }, 'complete has no option temprature; did you mean "temperature" in sampling?'],
    [{ lookup: true }, "complete has no option lookup; it belongs in speculation: { speculation: { lookup: ... } }."],
    [{ drafterSampling: {} }, "complete has no option drafterSampling; it belongs in speculation: "],
    [{ drafters: "chat" }, 'complete has no option drafters; did you mean "drafter" in speculation?'],
    [{ beta: 1.5 }, "parameters of the recipe belong in parameters."],
    [{ speculation: "auto" }, 'speculation must be true, false or an object, not "auto".'],
])("%j is said to belong elsewhere", (wrong, message) => {
    expect(() => complete(ensemble, { ...request, ...wrong })).toThrow(message);
});
