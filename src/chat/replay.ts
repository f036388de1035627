/** An answer once more: what it was drawn with, and where its dials were turned. */

import type { AnswerPlan } from "../decoding/answer.js";
import { complete, completeFrom, type ShowPrompts } from "../decoding/complete.js";
import { toCompletion, type Completion, type CompletionOptions, type CompletionPart } from "../decoding/completion.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { ChatMessage } from "../prompts/messages.js";

type Values = Readonly<Record<string, number>>;
type DrawOptions = Omit<CompletionOptions, "prompt" | "raw">;

/** A completion that remembers what is needed to draw it again. */
export interface Recording {
    readonly completion: Completion;
    readonly request: DrawOptions;
    /** Tokens so far. */
    readonly tokens: number;
    /** Dials that were turned, and after how many tokens they took effect. */
    readonly turned: readonly { readonly after: number; readonly values: Values }[];
}

/** @param request - with a seed and with a value for every parameter */
export function recordDials(
    ensemble: Ensemble,
    request: DrawOptions,
    show: (answer: AnswerPlan) => ShowPrompts,
): Recording {
    const completion = completeFrom(ensemble, request, (_, answer) => show(answer));
    const parameters = { ...ensemble.parameters, ...request.parameters };
    const turned: { after: number; values: Values }[] = [];
    let tokens = 0;
    // While a token is being drawn, it is too late for it.
    let drawing = 0;
    async function* record(): AsyncGenerator<CompletionPart, void, void> {
        try {
            drawing = 1;
            for await (const part of completion) {
                drawing = 0;
                if (part.type === "token") tokens++;
                yield part;
                drawing = 1;
            }
        } finally {
            drawing = 0;
        }
    }
    return {
        completion: toCompletion(record(), {
            setParameters(values: Values) {
                completion.setParameters(values);
                turned.push({ after: tokens + drawing, values });
            },
        }),
        request: { ...request, parameters },
        get tokens() {
            return tokens;
        },
        turned,
    };
}

/**
 * @param prompt - what was answered
 * @param own - reports that are wanted besides
 */
export function createReplay(
    ensemble: Ensemble,
    { request, tokens, turned }: Recording,
    prompt: readonly ChatMessage[],
    own: Partial<CompletionOptions>,
): Completion {
    const { signal: _, ...drawn } = request;
    const completion = complete(ensemble, { ...drawn, prompt, maxTokens: tokens, ...own });
    async function* replay(): AsyncGenerator<CompletionPart, void, void> {
        let count = 0;
        const turnDials = (): void => {
            for (const { after, values } of turned) if (after === count) completion.setParameters(values);
        };
        turnDials();
        for await (const part of completion) {
            yield part;
            if (part.type !== "token") continue;
            count++;
            turnDials();
        }
    }
    return toCompletion(replay(), { setParameters: (values: Values) => completion.setParameters(values) });
}
