/** llama.cpp's own grammar sampler, as node-llama-cpp carries it: an independent path to which tokens may come next. */

import { getLlama, LlamaGrammarEvaluationState, type Token } from "node-llama-cpp";

/** A place in a grammar. */
export interface OraclePlace {
    allows(token: number): boolean;
    accept(token: number): void;
}

export interface GrammarOracle {
    /** @throws Error if llama.cpp cannot read the grammar; it must name no token by its text */
    start(grammar: string): Promise<OraclePlace>;
    dispose(): Promise<void>;
}

/** What node-llama-cpp itself uses; not a part of its public interface. */
interface Bindings {
    readonly AddonSampler: {
        canBeNextTokenForGrammarEvaluationState(state: unknown, token: Token): boolean;
        acceptGrammarEvaluationStateToken(state: unknown, token: Token): void;
    };
}

export async function openGrammarOracle(modelPath: string): Promise<GrammarOracle> {
    const llama = await getLlama({ gpu: false, build: "never", maxThreads: 1, logger: () => undefined });
    const model = await llama.loadModel({ modelPath });
    const { AddonSampler } = (llama as unknown as { readonly _bindings: Bindings })._bindings;
    return {
        async start(text) {
            const grammar = await llama.createGrammar({ grammar: text });
            const state = new LlamaGrammarEvaluationState({ model, grammar });
            const { _state } = state as unknown as { readonly _state: unknown };
            return {
                allows: (token) => AddonSampler.canBeNextTokenForGrammarEvaluationState(_state, token as Token),
                accept: (token) => {
                    AddonSampler.acceptGrammarEvaluationStateToken(_state, token as Token);
                },
            };
        },
        dispose: () => model.dispose(),
    };
}
