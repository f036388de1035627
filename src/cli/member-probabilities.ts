/** What each member thought of the tokens of a text. */

import { findMostProbable } from "../decoding/explain.js";
import { tokenText, type Ensemble, type TokenPart } from "../index.js";
import { colors, formatProbability, formatTable, quote } from "./terminal.js";

/**
 * A table with a row for each token: how probable it was, and in brackets what a member would rather have said.
 *
 * @param parts - drawn with `memberLogprobs` and `topLogprobs: 100`
 * @param title - of the target's column
 */
export function describeMemberProbabilities(ensemble: Ensemble, parts: readonly TokenPart[], title: string): string {
    const names = ensemble.members.map(({ name }) => name);
    return formatTable(
        ["token", title, ...names],
        parts.map((part) => describeToken(ensemble, part, names)),
    );
}

function describeToken(ensemble: Ensemble, part: TokenPart, names: readonly string[]): string[] {
    const probabilities = names.map((name) => {
        const best = findMostProbable(part, name);
        const rather = best === undefined || best.id === part.id ? "" : ` (${quote(best.text)})`;
        return formatProbability(part.members?.[name] ?? NaN) + colors.dim(rather);
    });
    return [quote(tokenText(ensemble, part.id)), formatProbability(part.logprob), ...probabilities];
}
