/** Whether the parts of up-scaling are what they should be, by how probable a short sample is to their models. */

import type { Ensemble } from "../ensemble/ensemble.js";
import { findParts } from "../models/roles.js";
import type { MemberSpec } from "../types.js";
import type { ScoreItem } from "./items.js";
import { score, type Score } from "./score.js";

const CAPITALS = { Japan: "Tokyo", France: "Paris", Peru: "Lima", Egypt: "Cairo", Italy: "Rome", Kenya: "Nairobi" };

/** A larger model knows more of such things. */
const TEXTS: readonly ScoreItem[] = Object.entries(CAPITALS).map(([country, capital]) => ({
    continuation: `The capital of ${country} is ${capital}.`,
}));
/** A fine-tuned model answers and ends. Some templates want a blank before the answer, others none. */
const ANSWERS: readonly ScoreItem[] = Object.entries(CAPITALS).flatMap(([country, capital]) =>
    ["", " "].map((blank) => ({
        context: `What is the capital of ${country}?`,
        continuation: `${blank}Its capital is ${capital}.`,
        withEnd: true,
    })),
);

/** What a sample says. */
export interface SampleFinding {
    /** Mean log-probabilities of a token, in words, and what could not be compared. */
    readonly summary: string;
    /** Sentences: where they are the wrong way round. */
    readonly doubts: readonly string[];
}

/**
 * Scores plain texts under the base and the reference, of which the larger one should find them more probable, and answers in the
 * recipe's template under the pair, of which the tuned model should. A comparison that vocabularies have no tokens for is left out.
 *
 * @returns undefined where {@link findParts} knows no parts
 * @throws EftError what {@link score} throws
 */
export async function compareOnSample(ensemble: Ensemble): Promise<SampleFinding | undefined> {
    const parts = findParts(ensemble.recipe);
    if (parts === undefined) return undefined;
    const { base, tuned, reference } = parts;
    const size = ({ name }: MemberSpec): number =>
        ensemble.members.find((member) => member.name === name)?.model.info.parameters ?? 0;
    const [larger, smaller] = size(base) < size(reference) ? [reference, base] : [base, reference];
    const { members } = ensemble;
    const comparisons = [
        {
            of: "plain text",
            items: TEXTS,
            chat: false,
            more: larger.name,
            less: smaller.name,
            why: "is the larger model",
            lacking: members.every(({ model }) => Math.max(model.info.bos, model.info.eos) >= 0)
                ? undefined
                : "a member has no token that a text could begin after",
        },
        {
            of: "an answer",
            items: ANSWERS,
            chat: true,
            more: tuned.name,
            less: reference.name,
            why: "is the fine-tuned model",
            lacking: members.some(({ prompt }) => prompt.eos >= 0)
                ? undefined
                : "no member has a token that ends an answer",
        },
    ];
    const summaries: string[] = [];
    const omissions: string[] = [];
    const doubts: string[] = [];
    for (const { of, items, chat, more, less, why, lacking } of comparisons) {
        if (lacking !== undefined) {
            omissions.push(`not of ${of}: ${lacking}`);
            continue;
        }
        const scores = await score(ensemble, items, { chat });
        const [high, low] = [meanLogprob(scores, more), meanLogprob(scores, less)];
        summaries.push(`of ${of}: ${more} ${high.toFixed(3)}, ${less} ${low.toFixed(3)}`);
        if (high < low) doubts.push(`${of} is more probable to ${less}, although ${more} ${why}`);
    }
    return { summary: `log-probability a token ${[...summaries, ...omissions].join("; ")}`, doubts };
}

function meanLogprob(scores: readonly Score[], member: string): number {
    const logprobs = scores.flatMap(({ members }) => members[member] ?? []);
    return logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length;
}
