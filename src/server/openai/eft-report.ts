/** What only this server reports of an answer: in the field `eft`. */

import type { CompletionPart, FinishPart, TokenPart } from "../../decoding/completion.js";
import { tokenText } from "../../decoding/token-text.js";
import type { Ensemble } from "../../ensemble/ensemble.js";
import type { EftReport, EftToken } from "./answer-schema.js";
import type { ChatBody } from "./chat-schema.js";

/** At the end of an answer. */
export function toEftReport({ seed, stoppedBy, timings, speculation, exactness, unenforced }: FinishPart): EftReport {
    return {
        seed,
        ...(stoppedBy !== undefined && { stopped_by: stoppedBy }),
        timings: {
            first_token_ms: timings.firstTokenMs,
            generation_ms: timings.generationMs,
            tokens_per_second: timings.tokensPerSecond,
            decode_ms: timings.decodeMs,
            fuse_ms: timings.fuseMs,
        },
        ...(speculation !== undefined && {
            speculation: {
                drafted: speculation.drafted + speculation.forced,
                accepted: speculation.accepted + speculation.forcedAccepted,
                acceptance_rate: speculation.acceptanceRate,
                acceptance_length: speculation.acceptanceLength,
                ...(exactness !== undefined && { unasked: speculation.unasked }),
            },
        }),
        ...(exactness !== undefined && { exactness }),
        ...(unenforced !== undefined && { unenforced: [...unenforced] }),
    };
}

/** Whether what members or the drafter thought of each token is asked for. */
export function wantsTokens(eft: ChatBody["eft"]): boolean {
    return eft?.members === true || eft?.explain === true;
}

/** The same parts. What was thought of their tokens is in `tokens`, where there is such a list, when the last one has come. */
export async function* noteTokens(
    ensemble: Ensemble,
    parts: AsyncIterable<CompletionPart>,
    tokens: EftToken[] | undefined,
): AsyncGenerator<CompletionPart, void, void> {
    for await (const part of parts) {
        if (part.type === "token") tokens?.push(toEftToken(ensemble, part));
        yield part;
    }
}

/** Of one token: what each member and the drafter thought. */
export function toEftToken(ensemble: Ensemble, { id, logprob, members, top, drafter, drawnBy }: TokenPart): EftToken {
    return {
        id,
        token: tokenText(ensemble, id),
        logprob: known(logprob),
        ...(members !== undefined && { members: mapKnown(members) }),
        ...(top !== undefined &&
            top.length > 0 && {
                top: top.map((other) => ({
                    id: other.id,
                    token: tokenText(ensemble, other.id),
                    logprob: known(other.logprob),
                    ...(other.members !== undefined && { members: mapKnown(other.members) }),
                })),
            }),
        ...(drafter !== undefined && {
            drafter: {
                id: drafter.id,
                token: tokenText(ensemble, drafter.id),
                distance: drafter.totalVariation,
                ...(drafter.shifts !== undefined && { shifts: mapKnown(drafter.shifts) }),
                ...(drafter.changedBy !== undefined && { changed_by: drafter.changedBy }),
            },
        }),
        ...(drawnBy !== undefined && { drawn_by: drawnBy }),
    };
}

function mapKnown(values: Readonly<Record<string, number>>): Record<string, number | null> {
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, known(value)]));
}

/** null: a member that was not read, or what is impossible. */
function known(value: number): number | null {
    return Number.isFinite(value) ? value : null;
}
