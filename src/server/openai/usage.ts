/** Tokens of a request, as OpenAI counts them. */

import type { FinishPart } from "../../decoding/completion.js";

/** The prompt of several answers to one question counts once. */
export interface Usage {
    readonly prompt: number;
    readonly cached: number;
    readonly completion: number;
    /** Of those of the completion. */
    readonly thinking: number;
    readonly accepted: number;
    readonly rejected: number;
}

export const NO_USAGE: Usage = { prompt: 0, cached: 0, completion: 0, thinking: 0, accepted: 0, rejected: 0 };

export function addUsage(sum: Usage, { usage, speculation }: FinishPart): Usage {
    const drafted = (speculation?.drafted ?? 0) + (speculation?.forced ?? 0);
    const accepted = (speculation?.accepted ?? 0) + (speculation?.forcedAccepted ?? 0);
    return {
        prompt: Math.max(sum.prompt, usage.promptTokens),
        cached: sum.prompt === 0 ? usage.reusedTokens : Math.min(sum.cached, usage.reusedTokens),
        completion: sum.completion + usage.completionTokens,
        thinking: sum.thinking + usage.thinkingTokens,
        accepted: sum.accepted + accepted,
        rejected: sum.rejected + drafted - accepted,
    };
}

export function toUsage({ prompt, cached, completion, thinking, accepted, rejected }: Usage) {
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
