/**
 * A program: evaluates a model with node-llama-cpp alone, in a process of its own, so that nothing that this package does to
 * llama.cpp can be at work. Started by independent.ts. Nobody imports it, and it imports nothing from here but types.
 */

import { getLlama, type Llama, type LlamaContextSequence, type Token } from "node-llama-cpp";
import type { AloneMessage, AloneTask } from "./independent.js";

process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
process.once("message", (task: AloneTask) => {
    evaluateAll(task)
        .catch((error: unknown) =>
            send({ type: "failed", reason: error instanceof Error ? error.message : String(error) }),
        )
        .finally(() => process.disconnect());
});

/** Resolves when the message has been taken, so that no rows heap up. */
function send(message: AloneMessage): Promise<void> {
    return new Promise((resolve) => process.send?.(message, () => resolve()));
}

async function evaluateAll({ file, lora, texts, beginnings, greedy, ...settings }: AloneTask): Promise<void> {
    const { backend, gpuLayers, threads, contextSize, cacheType } = settings;
    const llama = await open(backend, threads);
    const model = await llama.loadModel({ modelPath: file, ...(llama.gpu !== false && { gpuLayers }) });
    await send({ type: "loaded", backend: llama.gpu === false ? "cpu" : llama.gpu });
    await send({ type: "tokens", ids: texts.map((text) => Int32Array.from(model.tokenize(text, false))) });
    const cache = ({ f16: "F16", q8_0: "Q8_0", q4_0: "Q4_0" } as const)[cacheType];
    const context = await model.createContext({
        ...{ contextSize, batchSize: 512, threads, flashAttention: true },
        ...(cacheType !== "f16" && { experimentalKvCacheKeyType: cache, experimentalKvCacheValueType: cache }),
        ...(lora && { lora: { adapters: [{ filePath: lora.path, scale: lora.scale }] } }),
    });
    const sequence = context.getSequence();
    for (const [index, { tokens, from }] of beginnings.entries()) {
        await sequence.clearHistory();
        await sendRows(sequence, tokens as readonly Token[], from, index);
    }
    await sequence.clearHistory();
    const ids: number[] = [];
    for await (const token of sequence.evaluate(greedy.tokens as Token[], { temperature: 0, yieldEogToken: true })) {
        ids.push(token);
        if (ids.length === greedy.most || model.isEogToken(token)) break;
    }
    await send({ type: "greedy", ids });
    await llama.dispose();
}

async function open(backend: AloneTask["backend"], threads: number): Promise<Llama> {
    const options = { build: "never", maxThreads: threads, logger: () => undefined } as const;
    if (backend === "cpu") return getLlama({ gpu: false, ...options });
    return getLlama({ gpu: backend, ...options }).catch(() => getLlama({ gpu: false, ...options }));
}

/** The beginning in one batch, the rest token by token. */
async function sendRows(
    sequence: LlamaContextSequence,
    tokens: readonly Token[],
    from: number,
    beginning: number,
): Promise<void> {
    const wanted = { generateNext: { logits: true } } as const;
    for (let at = 0; at < tokens.length; at = at === 0 ? from : at + 1) {
        const batch = at === 0 ? tokens.slice(0, from) : tokens.slice(at, at + 1);
        const last = batch.at(-1) as Token;
        const output = await sequence.controlledEvaluate([...batch.slice(0, -1), [last, wanted]]);
        const logits = output.at(-1)?.next.logits;
        if (logits === undefined) throw new Error("node-llama-cpp returned no logits");
        await send({ type: "row", beginning, row: toRow(logits) });
    }
}

function toRow(logits: ReadonlyMap<Token, number>): Float32Array {
    let [top, sum] = [-Infinity, 0];
    for (const logit of logits.values()) top = Math.max(top, logit);
    for (const logit of logits.values()) sum += Math.exp(logit - top);
    const row = new Float32Array(logits.size);
    for (const [token, logit] of logits) row[token] = logit - top - Math.log(sum);
    return row;
}
