// Up-scaling as one writes it with node-llama-cpp's public API: a context per model, the logits of the whole vocabulary,
// a weighted sum, a draw. What is compared with should not be a straw man, so:
//
// - logits instead of probabilities: their normalisers are constants that the draw does not see, which saves a logarithm
//   per token and member and does not underflow
// - all contexts are asked at once, so that copying one row to JavaScript overlaps with another model's decoding
// - one typed array for the sums, and no sorting

import { getLlama } from "node-llama-cpp";

/**
 * @param members - paths of GGUF files
 * @param weights - one per member
 */
export async function createByHand(members, weights, { threads, contextSize }) {
    const llama = await getLlama({ gpu: false, build: "never", maxThreads: threads, logLevel: "error" });
    const sequences = [];
    try {
        for (const modelPath of members) {
            const model = await llama.loadModel({ modelPath });
            sequences.push((await model.createContext({ contextSize, threads })).getSequence());
        }
    } catch (error) {
        await llama.dispose();
        throw error;
    }
    const [{ model }] = sequences;
    const scores = new Float64Array(model.fileInfo.metadata.tokenizer.ggml.tokens.length);

    /** Evaluates a token with all models and draws the next one. */
    async function step(token, temperature) {
        const outputs = await Promise.all(
            sequences.map((sequence) => sequence.controlledEvaluate([[token, { generateNext: { logits: true } }]])),
        );
        scores.fill(0);
        outputs.forEach(([{ next }], member) => {
            const weight = weights[member];
            next.logits.forEach((logit, id) => (scores[id] += weight * logit));
        });
        return draw(scores, temperature);
    }

    return {
        /** @returns milliseconds per token, the first one and the prompt not counted */
        async run(prompt, { tokens, temperature }) {
            const ids = model.tokenize(prompt);
            for (const sequence of sequences) {
                await sequence.clearHistory();
                await sequence.evaluateWithoutGeneratingNewTokens([model.tokens.bos, ...ids.slice(0, -1)]);
            }
            let token = await step(ids.at(-1), temperature);
            const start = performance.now();
            for (let i = 1; i < tokens; i++) token = await step(token, temperature);
            return (performance.now() - start) / (tokens - 1);
        },
        dispose: () => llama.dispose(),
    };
}

/** A token from softmax(scores / temperature); `scores` are overwritten. */
function draw(scores, temperature) {
    let max = -Infinity;
    for (const score of scores) if (score > max) max = score;
    let total = 0;
    for (let i = 0; i < scores.length; i++) total += scores[i] = Math.exp((scores[i] - max) / temperature);
    let left = Math.random() * total;
    for (let i = 0; i < scores.length; i++) {
        left -= scores[i];
        if (left <= 0) return i;
    }
    return scores.length - 1;
}
