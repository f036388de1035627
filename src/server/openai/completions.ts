/** `POST /v1/completions`: texts without a chat template, and log-probabilities of given ones. */

import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { CompletionOptions, FinishPart, TokenPart } from "../../decoding/completion.js";
import type { Ensemble } from "../../ensemble/ensemble.js";
import { answererOf, type Answers, type Client } from "../answers.js";
import { toCommonOptions, toSeeds } from "../asking.js";
import { clientOf } from "../client.js";
import { responses } from "../document.js";
import { sendEvents, type ServerEvent } from "../events.js";
import { RequestError } from "../failures.js";
import { checkLength } from "../reading.js";
import { checkReport, scoreInPlaces } from "../scoring.js";
import type { Services } from "../services.js";
import { FINISH_REASONS } from "./chat.js";
import type { EftToken } from "./answer-schema.js";
import {
    Completion,
    CompletionEvent,
    CompletionsBody,
    type CompletionChunk,
    type LegacyLogprobs,
} from "./completions-schema.js";
import { toEftReport, toEftToken, wantsTokens } from "./eft-report.js";
import { createLegacyLogprobs, type LogprobLists, type ScoredToken } from "./legacy-logprobs.js";
import { createUsageSum, toUsage } from "./usage.js";

type Prompt = string | readonly number[];

/** As OpenAI has it. */
const DEFAULT_TOKENS = 16;

export function addCompletions(app: FastifyInstance, services: Services): void {
    const { desk, models, reading } = services;
    app.post<{ Body: CompletionsBody }>(
        "/v1/completions",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "createCompletion" },
                summary: "Goes on with texts, without a chat template",
                body: CompletionsBody,
                response: responses(Completion, { event: CompletionEvent }),
            },
            config: { names: { prompt: "prompt", items: "prompt", topLogprobs: "logprobs" } },
        },
        async (request, reply) => {
            const { body } = request;
            const { model, n = 1, best_of: best = n, suffix = "", max_tokens: most = DEFAULT_TOKENS } = body;
            if (suffix !== "") throw refuse("suffix", "is not supported: models write from left to right");
            if (best > n) throw refuse("best_of", "must not be more than n");
            const prompts = toPrompts(body.prompt);
            if (body.echo === true) checkReport(prompts, n * (1 + (body.logprobs ?? 0)), "prompt");
            const client = clientOf(request, reply);
            const echoed = body.echo === true ? await echoPrompts(services, prompts, body, client) : undefined;
            const view: View = { echoed, n, logprobs: body.logprobs, tokens: wantsTokens(body.eft) };
            if (most === 0) {
                const whole = await models.using(model, client, (ensemble) =>
                    reading.within(client, () => answerWithPrompts(ensemble, prompts, view)),
                );
                if (body.stream !== true) return whole;
                return sendEvents(reply, [{ data: whole }, { data: "[DONE]" }], ({ error }) => ({ data: { error } }));
            }
            const choices = prompts.flatMap((prompt) => toOptions(body, prompt, most));
            const answers = await desk.begin({ model, prefix: "cmpl-", choices, solo: body.eft?.solo }, client);
            if (body.stream !== true) return collectCompletions(answers, view);
            const events = streamCompletions(answers, view, body.stream_options?.include_usage ?? false);
            return sendEvents(reply, events, ({ error }) => ({ data: { error } }));
        },
    );
}

function refuse(param: string, reason: string): RequestError {
    return new RequestError(400, `${param} ${reason}.`, { param });
}

function toPrompts(prompt: CompletionsBody["prompt"]): readonly Prompt[] {
    if (typeof prompt === "string") return [prompt];
    return typeof prompt[0] === "number" ? [prompt as number[]] : (prompt as Prompt[]);
}

function toOptions(body: CompletionsBody, prompt: Prompt, most: number): CompletionOptions[] {
    const { logprobs } = body;
    const common = toCommonOptions(body);
    const topLogprobs = Math.max(common.topLogprobs ?? 0, logprobs ?? 0);
    return toSeeds(body, body.n ?? 1).map((seed) => ({
        ...common,
        prompt,
        raw: true,
        maxTokens: most,
        seed,
        topLogprobs,
    }));
}

/** What is reported besides the texts. */
interface View {
    /** The prompts, where they are part of the texts. */
    readonly echoed: readonly Echo[] | undefined;
    /** Answers to each prompt. */
    readonly n: number;
    readonly logprobs: number | undefined;
    /** What members and drafter thought of each token. */
    readonly tokens: boolean;
}

interface Echo {
    readonly text: string;
    /** Empty where log-probabilities are not asked for. */
    readonly tokens: readonly ScoredToken[];
}

/** What the models think of the prompts themselves. */
async function echoPrompts(
    { models, places }: Services,
    prompts: readonly Prompt[],
    { model, logprobs, eft }: CompletionsBody,
    client: Client,
): Promise<readonly Echo[]> {
    return models.using(model, client, async (loaded) => {
        const ensemble = answererOf(loaded, eft?.solo);
        const textOf = (prompt: Prompt): string => (typeof prompt === "string" ? prompt : ensemble.detokenize(prompt));
        if (logprobs === undefined) return prompts.map((prompt) => ({ text: textOf(prompt), tokens: [] }));
        // Nothing precedes the first of given tokens; before a text there is what begins texts.
        const items = prompts.map((prompt) =>
            typeof prompt === "string"
                ? { continuation: prompt }
                : { context: prompt.slice(0, 1), continuation: prompt.slice(1) },
        );
        const scores = await scoreInPlaces(places, ensemble, items, {
            asker: client,
            // The most probable one at least, by which clients see whether a token is it.
            topLogprobs: Math.max(1, logprobs),
            parameters: eft?.parameters,
            conservativeTopP: eft?.conservative?.top_p,
        });
        return scores.map(({ tokens, logprobs: known, top = [] }, index): Echo => {
            const prompt = prompts[index] ?? "";
            const first =
                typeof prompt === "string" ? [] : prompt.slice(0, 1).map((id) => ({ id, logprob: null, top: [] }));
            const rest = tokens.map((id, at) => ({ id, logprob: known[at] ?? null, top: top[at] ?? [] }));
            return { text: textOf(prompt), tokens: [...first, ...rest] };
        });
    });
}

function headOf({ id, created, model }: Pick<Answers, "id" | "created" | "model">) {
    return { id, object: "text_completion" as const, created, model, system_fingerprint: null };
}

/** The prompts alone. */
async function answerWithPrompts(ensemble: Ensemble, prompts: readonly Prompt[], view: View): Promise<Completion> {
    const choices = prompts.flatMap((_, at) =>
        Array.from({ length: view.n }, (__, number): Completion["choices"][number] => {
            const { text = "", tokens = [] } = view.echoed?.[at] ?? {};
            const logprobs = view.logprobs === undefined ? undefined : createLegacyLogprobs(ensemble, view.logprobs);
            logprobs?.add(tokens);
            return { index: at * view.n + number, text, logprobs: logprobs?.read() ?? null, finish_reason: "length" };
        }),
    );
    for (const prompt of prompts) checkLength(ensemble, prompt, "prompt");
    let prompt = 0;
    // One after another: they have one place among those who read.
    for (const given of prompts) prompt += typeof given === "string" ? await ensemble.countTokens(given) : given.length;
    const id = `cmpl-${randomUUID().replaceAll("-", "")}`;
    const head = headOf({ id, created: Math.floor(Date.now() / 1000), model: ensemble.recipe.name });
    return { ...head, choices, usage: toUsage({ ...createUsageSum().read(), prompt }) };
}

interface Choice {
    /** What it begins with. */
    readonly echo: string;
    /** Of what was added since they were last asked for. */
    readonly logprobs: LogprobLists | undefined;
}

function beginChoice({ ensemble }: Answers, { echoed, n, logprobs: most }: View, index: number): Choice {
    const { text = "", tokens = [] } = echoed?.[Math.floor(index / n)] ?? {};
    const logprobs = most === undefined ? undefined : createLegacyLogprobs(ensemble, most);
    logprobs?.add(tokens);
    return { echo: text, logprobs };
}

function endOf(part: FinishPart, tokens?: EftToken[]): End {
    return { finish_reason: FINISH_REASONS[part.reason], eft: { ...toEftReport(part), ...(tokens && { tokens }) } };
}

type End = Pick<Completion["choices"][number], "finish_reason" | "eft">;

async function collectCompletions(answers: Answers, view: View): Promise<Completion> {
    const found = new Map<number, Choice & { readonly text: string[]; readonly tokens: EftToken[]; end: End }>();
    const usage = createUsageSum();
    for await (const { index, part } of answers.parts) {
        const choice = found.get(index) ?? {
            ...beginChoice(answers, view, index),
            ...{ text: [], tokens: [] },
            end: { finish_reason: "length" },
        };
        found.set(index, choice);
        choice.text.push(part.text);
        if (part.type === "token") choice.logprobs?.add([toScored(part)]);
        if (part.type === "token" && view.tokens) choice.tokens.push(toEftToken(answers.ensemble, part));
        if (part.type !== "finish") continue;
        choice.end = endOf(part, view.tokens ? choice.tokens : undefined);
        usage.add(part, Math.floor(index / view.n));
    }
    const choices = [...found]
        .sort(([a], [b]) => a - b)
        .map(([index, { echo, text, logprobs, end }]) => ({
            ...{ index, text: echo + text.join(""), logprobs: logprobs?.read() ?? null },
            ...end,
        }));
    return { ...headOf(answers), choices, usage: toUsage(usage.read()) };
}

async function* streamCompletions(
    answers: Answers,
    view: View,
    withUsage: boolean,
): AsyncGenerator<ServerEvent, void, void> {
    const head = headOf(answers);
    const found = new Map<number, Choice>();
    const usage = createUsageSum();
    const send = (data: CompletionChunk): ServerEvent => ({ data });
    const chunk = (
        index: number,
        text: string,
        logprobs: LegacyLogprobs | null,
        end: End | { readonly finish_reason: null } = { finish_reason: null },
    ): ServerEvent =>
        send({ ...head, choices: [{ index, text, logprobs, ...end }], ...(withUsage && { usage: null }) });
    for await (const { index, part } of answers.parts) {
        let choice = found.get(index);
        if (choice === undefined) {
            choice = beginChoice(answers, view, index);
            found.set(index, choice);
            if (view.echoed !== undefined) yield chunk(index, choice.echo, choice.logprobs?.read() ?? null);
        }
        if (part.type === "token" && (part.text !== "" || choice.logprobs !== undefined || view.tokens)) {
            choice.logprobs?.add([toScored(part)]);
            const known = view.tokens ? { eft: { tokens: [toEftToken(answers.ensemble, part)] } } : {};
            yield chunk(index, part.text, choice.logprobs?.read() ?? null, { finish_reason: null, ...known });
        }
        if (part.type !== "finish") continue;
        usage.add(part, Math.floor(index / view.n));
        yield chunk(index, part.text, null, endOf(part));
    }
    if (withUsage) yield send({ ...head, choices: [], usage: toUsage(usage.read()) });
    yield { data: "[DONE]" };
}

function toScored({ id, logprob, top = [] }: TokenPart): ScoredToken {
    return { id, logprob, top };
}
