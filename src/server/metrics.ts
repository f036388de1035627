/** Numbers about the server in Prometheus' text format: `GET /metrics`. */

import type { FastifyInstance } from "fastify";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import Type from "typebox";
import type { FinishPart } from "../decoding/completion.js";
import { responses } from "./document.js";
import type { Services } from "./services.js";

export interface Metrics {
    /** An answer has ended. */
    readonly count: (model: string, finish: FinishPart) => void;
    /** A request has got its reply. */
    readonly countReply: (path: string, status: number) => void;
    /** Serves them. */
    serve(app: FastifyInstance, services: Pick<Services, "host" | "places" | "models">): void;
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createMetrics(): Metrics {
    const registers = [new Registry()];
    const [registry] = registers as [Registry];
    const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]): Counter<Label> =>
        new Counter({ name: `eft_llama_${name}`, help, labelNames, registers });
    const byModel = ["model"] as const;
    const answers = counter("answers_total", "Answers that have ended, by how", ["model", "reason"]);
    const prompt = counter("prompt_tokens_total", "Tokens of prompts", byModel);
    const cached = counter("cached_prompt_tokens_total", "Those that a cache held", byModel);
    const generated = counter("generated_tokens_total", "Tokens of answers", byModel);
    const drafted = counter("drafted_tokens_total", "Tokens that were proposed as drafts", byModel);
    const accepted = counter("accepted_draft_tokens_total", "Drafts that were accepted", byModel);
    const decoding = counter("member_decode_seconds_total", "Seconds that a member was evaluated", ["model", "member"]);
    const histogram = (name: string, help: string): Histogram<"model"> =>
        new Histogram({ name: `eft_llama_${name}`, help, labelNames: byModel, buckets: SECONDS, registers });
    const firstToken = histogram("first_token_seconds", "From the start of an answer to its first token");
    const generation = histogram("generation_seconds", "From the first token to the end");
    const requests = counter("requests_total", "Requests, by path and status", ["path", "status"]);

    return {
        count(model, { reason, usage, timings, speculation }) {
            answers.inc({ model, reason });
            prompt.inc({ model }, usage.promptTokens);
            cached.inc({ model }, usage.reusedTokens);
            generated.inc({ model }, usage.completionTokens);
            drafted.inc({ model }, (speculation?.drafted ?? 0) + (speculation?.forced ?? 0));
            accepted.inc({ model }, (speculation?.accepted ?? 0) + (speculation?.forcedAccepted ?? 0));
            for (const [member, ms] of Object.entries(timings.decodeMs)) decoding.inc({ model, member }, ms / 1000);
            firstToken.observe({ model }, timings.firstTokenMs / 1000);
            generation.observe({ model }, timings.generationMs / 1000);
        },
        countReply(path, status) {
            requests.inc({ path, status: String(status) });
        },
        serve(app, { host, places, models }) {
            const gauge = (name: string, help: string, read: () => number): void => {
                const collect = function (this: Gauge): void {
                    this.set(read());
                };
                new Gauge({ name: `eft_llama_${name}`, help, registers, collect });
            };
            gauge("answers_running", "Answers that are being written", () => places.taken);
            gauge("answers_waiting", "Answers that wait for a place", () => places.waiting);
            gauge(
                "models_loaded",
                "Recipes that are loaded",
                () => models.recipes.filter(({ name }) => models.isLoaded(name)).length,
            );
            gauge("models_waited_for", "Requests that wait for a recipe to be loaded", () => models.waiting);
            // Counters that somebody else counts.
            gauge("steps", "Steps since the start", () => host.counts.steps);
            gauge("step_sequences", "Sequences that took part in them, each time", () => host.counts.entries);
            gauge("revocations", "Sequences that had to give their cells away", () => host.counts.revocations);
            gauge("evaluated_tokens", "Tokens that all members have evaluated", () => host.counts.evaluatedTokens);
            gauge("reused_tokens", "Tokens of prompts that were found in a cache", () => host.counts.reusedTokens);
            app.get(
                "/metrics",
                {
                    schema: {
                        ...{ tags: ["Operation"], operationId: "metrics", summary: "Numbers for Prometheus" },
                        response: responses(Type.String(), { type: "text/plain" }),
                    },
                },
                async (_request, reply) => reply.type(registry.contentType).send(await registry.metrics()),
            );
        },
    };
}
