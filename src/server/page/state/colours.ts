/** A colour for each member, the same wherever it is named. */

import { recipes } from "./recipes.js";

/** As many as the style sheet has. */
const COUNT = 6;

/** @returns a number that the style sheet gives a colour */
export function memberColour(recipe: string, member: string): number {
    const { members = [] } = recipes.value.find(({ id }) => id === recipe) ?? {};
    return Math.max(members.indexOf(member), 0) % COUNT;
}
