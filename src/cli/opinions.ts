/** What each member thought of the tokens of a text. */

import { findFavourite } from "../decoding/explain.js";
import { tokenText, type Ensemble, type TokenPart } from "../index.js";
import { colors, formatProbability, formatTable, quote } from "./terminal.js";

/**
 * A table with a row for each token: how probable it was, and in brackets what a member would rather have said.
 *
 * @param parts - drawn with `memberLogprobs` and `topLogprobs: 100`
 * @param title - of the target's column
 */
export function describeOpinions(ensemble: Ensemble, parts: readonly TokenPart[], title: string): string {
    const names = ensemble.members.map(({ name }) => name);
    return formatTable(
        ["token", title, ...names],
        parts.map((part) => describeToken(ensemble, part, names)),
    );
}

function describeToken(ensemble: Ensemble, part: TokenPart, names: readonly string[]): string[] {
    const opinions = names.map((name) => {
        const favourite = findFavourite(part, name);
        const rather = favourite === undefined || favourite.id === part.id ? "" : ` (${quote(favourite.text)})`;
        return formatProbability(part.members?.[name] ?? NaN) + colors.dim(rather);
    });
    return [quote(tokenText(ensemble, part.id)), formatProbability(part.logprob), ...opinions];
}
