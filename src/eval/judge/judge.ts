/** Grading by another model, behind any endpoint that speaks the chat-completions protocol. */

import { createHash } from "node:crypto";
import pLimit from "p-limit";
import { EftError } from "../../errors.js";
import { checkOptions, integer, abortSignal, string, type OptionTable } from "../../options.js";
import type { JudgeCriterion, JudgeSummary, Question } from "../types.js";
import { openReplyCache } from "./cache.js";
import { createEndpoint, type ChatRequest, type Message } from "./endpoint.js";
import { askForMark, askForPreference, type Inquiry } from "./prompts.js";

/** Which judge model is asked, and how. */
export interface JudgeOptions {
    /** Base of the API: `https://api.openai.com/v1`, `http://localhost:8080/v1`. */
    readonly url: string;
    /** As the endpoint names it. It is asked at temperature 0, or at its own where it refuses any other. */
    readonly model: string;
    /** Sent to the endpoint, and nowhere else to be seen. Default: the environment variable `EFT_JUDGE_API_KEY`. */
    readonly apiKey?: string | undefined;
    /** Replies are kept here (JSONL); what was asked before is not asked again. */
    readonly cacheFile: string;
    /** Requests at the same time, 1..64. Default 4. */
    readonly concurrency?: number | undefined;
    /** How often a request that fails for a passing reason is repeated, 0..20. Default 5. */
    readonly retries?: number | undefined;
    /** Time for one request, 1 ms..1 h. Default 120,000. */
    readonly timeoutMs?: number | undefined;
    /** Ends all requests, running and waiting ones. */
    readonly signal?: AbortSignal | undefined;
}

/** Its methods may be called at the same time, as often as one likes. */
export interface Judge {
    /**
     * @param question - its answers, if it has some, are shown to the judge of factuality as acceptable
     * @returns 0 (as bad as can be) to 1
     * @throws EftError JUDGE_FAILED, JUDGE_VERDICT_INVALID, ABORTED
     */
    readonly mark: (criterion: JudgeCriterion, question: Question, text: string) => Promise<number>;
    /**
     * Asks twice, with the answers in either order, since judges favour positions.
     *
     * @returns 1 if `text` is preferred to `other` both times, 0 if `other` is, 0.5 for all else
     * @throws EftError as above
     */
    readonly compare: (criterion: JudgeCriterion, question: Question, text: string, other: string) => Promise<number>;
    /** Of what has been asked so far. */
    readonly describe: () => JudgeSummary;
}

const TEMPERATURE = 0;

/** What the options of a judge may be. */
export const JUDGE_OPTIONS: OptionTable<JudgeOptions> = {
    ...{ url: string, model: string, apiKey: string, cacheFile: string },
    concurrency: integer(1, 64),
    retries: integer(0, 20),
    timeoutMs: integer(1, 3_600_000),
    signal: abortSignal,
};

/** @throws EftError OPTION_INVALID */
export async function createJudge(given: JudgeOptions): Promise<Judge> {
    const options = checkOptions("createJudge", given, JUDGE_OPTIONS);
    const { apiKey = process.env["EFT_JUDGE_API_KEY"], signal } = options;
    const [url, model] = [string("url", options.url), string("model", options.model)];
    const limit = pLimit(options.concurrency ?? 4);
    const endpoint = createEndpoint({
        ...{ url, ...(apiKey !== undefined && { apiKey }), ...(signal && { signal }) },
        retries: options.retries ?? 5,
        timeoutMs: options.timeoutMs ?? 120_000,
    });
    const cache = await openReplyCache(string("cacheFile", options.cacheFile));
    const running = new Map<string, Promise<unknown>>();

    /** Inquiries that are the same at the same time share one request. */
    function decide<T>(inquiry: Inquiry<T>): Promise<T> {
        const key = createHash("sha256")
            .update(JSON.stringify([endpoint.address, request(inquiry.messages)]))
            .digest("hex");
        const shared = running.get(key) as Promise<T> | undefined;
        if (shared !== undefined) return shared;
        const decision = decideAnew(key, inquiry).finally(() => running.delete(key));
        running.set(key, decision);
        return decision;
    }

    async function decideAnew<T>(key: string, { messages, read }: Inquiry<T>): Promise<T> {
        const known = read(cache.get(key) ?? "");
        if ("verdict" in known) return known.verdict;
        return limit(async () => {
            let reply = await endpoint.ask(request(messages));
            let reading = read(reply);
            if ("fault" in reading) {
                reply = await endpoint.ask(request([...messages, ...complaint(reply, reading.fault)]));
                reading = read(reply);
            }
            if ("fault" in reading) {
                throw new EftError(
                    "JUDGE_VERDICT_INVALID",
                    `The judge model ${model} gave no verdict, asked twice: ${reading.fault}. Use a model that follows ` +
                        "instructions better.",
                );
            }
            await cache.put(key, reply);
            return reading.verdict;
        });
    }

    function request(messages: readonly Message[]): ChatRequest {
        return { model, messages, temperature: TEMPERATURE };
    }

    return {
        mark: (criterion, question, text) => decide(askForMark(criterion, question, text)),
        compare: async (criterion, question, text, other) => {
            if (text === other) return 0.5;
            const [first, second] = await Promise.all([
                decide(askForPreference(criterion, question, text, other)),
                decide(askForPreference(criterion, question, other, text)),
            ]);
            if (first === "A" && second === "B") return 1;
            return first === "B" && second === "A" ? 0 : 0.5;
        },
        describe: () => ({
            ...{ address: endpoint.address, model },
            temperature: endpoint.refusesTemperature() ? "own" : TEMPERATURE,
        }),
    };
}

function complaint(reply: string, fault: string): Message[] {
    const content = `This reply cannot be used: ${fault}. Reply again, in the form that was asked for.`;
    return [
        { role: "assistant", content: reply || "(no text)" },
        { role: "user", content },
    ];
}
