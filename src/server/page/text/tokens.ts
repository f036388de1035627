/** Tokens in words. */

import type { Candidate, MemberLogprobs, TokenReport } from "../api/types.js";
import { percent, share } from "./numbers.js";

/** With what is invisible shown. */
export function spell(token: string): string {
    if (token === "") return "(nothing)";
    return token.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣");
}

/** From 0, near, to 4, far. */
export function distanceStep(distance: number): number {
    return [0.02, 0.1, 0.3, 0.6].filter((limit) => distance >= limit).length;
}

/** For screen readers, that hear it when a token is focused. */
export function describeToken({ token, logprob, drafter }: TokenReport): string {
    const parts = [token.trim() === "" ? spell(token) : token.trim(), percent(logprob)];
    if (drafter !== undefined) parts.push(`drafter ${share(drafter.distance)} apart`);
    if (drafter?.changed_by !== undefined)
        parts.push(`${drafter.changed_by} changed it from ${drafter.token.trim() || spell(drafter.token)}`);
    return parts.join(", ");
}

/** The tokens that are worth showing: the one that was drawn, the most probable ones, and the drafter's. */
export function candidatesOf({ top = [], ...drawn }: TokenReport): readonly Candidate[] {
    return top.some(({ id }) => id === drawn.id) ? top : [drawn, ...top];
}

/** What a member finds most probable, where the candidates are enough to be sure of it. */
export function findWish(candidates: readonly Candidate[], member: string): Candidate | undefined {
    const probability = (members: MemberLogprobs | undefined): number => Math.exp(members?.[member] ?? -Infinity);
    const [best] = candidates.toSorted((a, b) => probability(b.members) - probability(a.members));
    const rest = 1 - candidates.reduce((sum, { members }) => sum + probability(members), 0);
    return best !== undefined && probability(best.members) > rest ? best : undefined;
}
