/** Tokens of a request, as OpenAI counts them. */

import type { FinishPart } from "../../decoding/completion.js";
import type { Usage } from "./answer-schema.js";

export interface TokenCounts {
    readonly prompt: number;
    readonly cached: number;
    readonly completion: number;
    /** Of those of the completion. */
    readonly thinking: number;
    readonly accepted: number;
    readonly rejected: number;
}

/** Of the answers to one request. */
export interface UsageSum {
    /** @param prompt - number of the prompt, which counts once however many answers it has */
    add(finish: FinishPart, prompt?: number): void;
    read(): TokenCounts;
}

export function createUsageSum(): UsageSum {
    const prompts = new Map<number, Pick<TokenCounts, "prompt" | "cached">>();
    const sum = { completion: 0, thinking: 0, accepted: 0, rejected: 0 };
    return {
        add({ usage, speculation }, prompt = 0) {
            const drafted = (speculation?.drafted ?? 0) + (speculation?.forced ?? 0);
            const accepted = (speculation?.accepted ?? 0) + (speculation?.forcedAccepted ?? 0);
            sum.completion += usage.completionTokens;
            sum.thinking += usage.thinkingTokens;
            sum.accepted += accepted;
            sum.rejected += drafted - accepted;
            const { cached = usage.reusedTokens } = prompts.get(prompt) ?? {};
            prompts.set(prompt, { prompt: usage.promptTokens, cached: Math.min(cached, usage.reusedTokens) });
        },
        read() {
            const all = [...prompts.values()];
            return {
                ...sum,
                prompt: all.reduce((total, each) => total + each.prompt, 0),
                cached: all.reduce((total, each) => total + each.cached, 0),
            };
        },
    };
}

export function toUsage({ prompt, cached, completion, thinking, accepted, rejected }: TokenCounts): Usage {
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        prompt_tokens_details: { cached_tokens: cached },
        completion_tokens_details: {
            reasoning_tokens: thinking,
            accepted_prediction_tokens: accepted,
            rejected_prediction_tokens: rejected,
        },
    };
}
