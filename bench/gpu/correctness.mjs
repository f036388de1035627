// Whether the device says what the CPU says: texts of the demo family, whose differences are measured and judged by the rule of
// near-ties.mjs. The reference is the CPU with one thread, as in the tests.

import path from "node:path";
import { inflateModel } from "../../scripts/inflate-model.mjs";
import { FAMILIES, projectRoot } from "../families.mjs";
import { forbidEnd } from "../speculation-run.mjs";
import { compareScores, compareTexts, F16_BATCHING, F32_FORCED, QUANTIZED } from "./near-ties.mjs";

const demoFolder = path.join(projectRoot, "models", "demo");
/** Three members, each of which may err. */
const [TOLERANCE, FORCED_TOLERANCE, QUANTIZED_TOLERANCE] = [3 * F16_BATCHING, 3 * F32_FORCED, 3 * QUANTIZED];
const QUESTIONS = [
    "What money do people in Eritrea use?",
    "What is the capital of Peru?",
    "What language do people in Chad speak?",
    "What is the capital of Japan?",
    "What money do people in Peru use?",
    "What is the capital of Kenya?",
    "What language do people in Brazil speak?",
    "In which continent is Laos?",
];
/** Texts that are given, of some hundred tokens. */
const GIVEN = ["Norway is a country in", "[INST] What is the capital of Peru? [/INST]"].map((context) => ({
    context,
    continuation: " Lima is the capital of Peru. Tokyo is the capital of Japan.".repeat(8),
}));
const SCHEMA = {
    type: "object",
    properties: {
        capital: { type: "string", maxLength: 12 },
        continent: { enum: ["Africa", "America", "Asia", "Europe"] },
    },
    required: ["capital", "continent"],
};
/** Widths of feed-forward layers: with their own, inflating makes float32 of the weights and nothing else. */
const WIDTHS = { "large-base": 768, "small-chat": 192, "small-base": 192 };

export async function measure(kit) {
    const checks = await listChecks(kit);
    for (const [index, [name, body]] of checks.entries()) {
        await kit.attempt(name, checks.length - index, async () => {
            const check = { what: name, ...(await body()) };
            kit.result.checks.push(check);
            const { tokens, largest, tolerance, first = "none", margin, isGood } = check;
            kit.addRow(
                "What the device says against what it should say; log-probabilities in nats",
                ["checked", "tokens", "largest difference", "allowed", "first other token", "its margin", "verdict"],
                [
                    ...[name, tokens, largest.toExponential(1), tolerance.toFixed(2), first],
                    ...[margin?.toExponential(1) ?? "", isGood ? "ok" : "FAILED"],
                ],
            );
        });
    }
}

/** @returns pairs of a name and a function that gives what {@link compareTexts} does */
async function listChecks(kit) {
    const { backend, quick } = kit;
    const { onCpu, onDevice } = createPlaces(kit);
    const { ask, answer } = createQuestions(kit);
    const f16 = demoRecipe(kit, "f16");
    /** The same asked on the CPU and on the device. */
    const bothWith = async (recipe, body, deviceRecipe = recipe) =>
        zip(await onCpu(recipe, body), await onDevice(deviceRecipe, body));
    const likeCpu = (recipe, tolerance, deviceRecipe) => async () =>
        compareTexts(await bothWith(recipe, answer({}), deviceRecipe), { tolerance });

    const checks = {
        "up-scaling, F16": likeCpu(f16, TOLERANCE),
        "up-scaling, Q8_0": likeCpu(demoRecipe(kit, "q8_0"), QUANTIZED_TOLERANCE),
        "up-scaling, Q4_0": likeCpu(demoRecipe(kit, "q4_0"), QUANTIZED_TOLERANCE),
        "up-scaling, F32": async () => likeCpu(await float32Recipe(kit), TOLERANCE)(),
        "drawn at temperature 1": async () => {
            const pairs = await bothWith(f16, answer({ sampling: { temperature: 1 } }));
            return compareTexts(pairs, { temperature: 1, tolerance: TOLERANCE });
        },
        "chat as a LoRA adapter": likeCpu(
            demoRecipe(kit, "f16", { chat: { model: "small-base-f16.gguf", lora: "small-chat-lora.gguf" } }),
            TOLERANCE,
        ),
        "JSON schema": async () => {
            const asked = await bothWith(f16, async (ensemble) => {
                const results = [];
                for (const prompt of QUESTIONS.slice(0, quick ? 3 : 8))
                    results.push(await ask(ensemble, { prompt, jsonSchema: SCHEMA, maxTokens: 64 }));
                return results;
            });
            const broken = asked.flat().filter(({ reason, text }) => reason === "stop" && !isJson(text));
            for (const { text } of broken) kit.remark(`JSON schema: ended by itself and is no JSON: ${text}`);
            const check = compareTexts(asked, { tolerance: FORCED_TOLERANCE });
            return { ...check, isGood: check.isGood && broken.length === 0 };
        },
        "log-probabilities of given texts, in large batches": async () => {
            const scoreAll = (ensemble) => kit.library.score(ensemble, GIVEN);
            return compareScores(await bothWith(f16, scoreAll), { tolerance: FORCED_TOLERANCE });
        },
        "eight texts at once, against one by one": async () => {
            const one = (ensemble) => (prompt) => ask(ensemble, { prompt, maxTokens: 32 });
            const alone = await onDevice(f16, async (ensemble) => {
                const results = [];
                for (const prompt of QUESTIONS) results.push(await one(ensemble)(prompt));
                return results;
            });
            const together = (ensemble) => Promise.all(QUESTIONS.map(one(ensemble)));
            const beside = await onDevice(f16, together, { sequences: QUESTIONS.length });
            return compareTexts(zip(alone, beside), { tolerance: TOLERANCE });
        },
    };
    for (const temperature of [0, 1]) {
        checks[`speculation against plain, temperature ${temperature}`] = () =>
            onDevice(f16, async (ensemble) => {
                const sampling = { temperature };
                const plain = await answer({ sampling })(ensemble);
                const pairs = [];
                for (const length of quick ? [4, "adaptive"] : [1, 4, 8, 16, "adaptive"])
                    pairs.push(...zip(plain, await answer({ sampling, speculation: { length } })(ensemble)));
                return compareTexts(pairs, { temperature, tolerance: TOLERANCE });
            });
    }
    const splits = {
        "chat on the CPU": { chat: { gpuLayers: 0 } },
        "large on the CPU": { large: { gpuLayers: 0 } },
        "half of large's layers on the CPU": { large: { gpuLayers: 2 } },
    };
    if (backend === "cpu") kit.remark("Without a GPU, all threads of the CPU are compared with one; nothing is split.");
    else {
        for (const [name, members] of Object.entries(splits))
            checks[name] = likeCpu(f16, TOLERANCE, demoRecipe(kit, "f16", members));
    }
    const place = backend === "cpu" ? "the CPU with all threads" : backend;
    return Object.entries(checks).map(([name, body]) => [`${place}: ${name}`, body]);
}

/** Ensembles that live as long as a function uses them. */
function createPlaces({ library, backend }) {
    const run = async (recipe, options, body) => {
        const ensemble = await library.loadEnsemble(recipe, { sequences: 1, contextSize: 256, ...options });
        try {
            return await body(ensemble);
        } finally {
            await ensemble.dispose();
        }
    };
    return {
        onCpu: (recipe, body) => run(recipe, { backend: "cpu", threads: 1 }, body),
        onDevice: (recipe, body, options) => run(recipe, { backend, ...options }, body),
    };
}

function createQuestions({ library, quick }) {
    const ask = (ensemble, options) =>
        library.collect(
            library.complete(ensemble, { scores: true, seed: 7, sampling: { temperature: 0 }, ...options }),
        );
    const maxTokens = quick ? 16 : 32;
    const { prose, lists } = FAMILIES.demo.texts;
    return {
        ask,
        /** Answers that end by themselves, and other texts that do not. */
        answer: (more) => async (ensemble) => {
            const results = [];
            for (const prompt of QUESTIONS.slice(0, quick ? 3 : 8))
                results.push(await ask(ensemble, { prompt, maxTokens, ...more }));
            const raw = { raw: true, maxTokens, logitBias: forbidEnd(ensemble), ...more };
            for (const prompt of [...prose, ...lists].slice(0, quick ? 2 : 6))
                results.push(await ask(ensemble, { prompt, ...raw }));
            return results;
        },
    };
}

/** @param more - by member: what replaces or joins its entries */
function demoRecipe({ library }, type, more = {}) {
    const files = { large: "large-base", chat: "small-chat", small: "small-base" };
    const members = Object.entries(files).map(([name, file]) => [
        name,
        { model: `${file}-${type}.gguf`, ...more[name] },
    ]);
    const recipe = {
        ...{ eft: 1, name: "demo", members: Object.fromEntries(members), combination: "large + chat - small" },
        prompt: { template: "from chat" },
    };
    return library.parseRecipe(JSON.stringify(recipe), { directory: demoFolder });
}

async function float32Recipe(kit) {
    const files = {};
    for (const [model, width] of Object.entries(WIDTHS)) {
        files[model] = path.join(kit.folder, `${model}-f32.gguf`);
        await inflateModel(path.join(demoFolder, `${model}-f16.gguf`), files[model], width);
    }
    return demoRecipe(kit, "f32", {
        large: { model: files["large-base"] },
        chat: { model: files["small-chat"] },
        small: { model: files["small-base"] },
    });
}

const zip = (references, others) => references.map((reference, index) => [reference, others[index]]);

function isJson(text) {
    try {
        JSON.parse(text);
        return true;
    } catch {
        return false;
    }
}
