/** Which members answer beside EFT, until somebody chooses: the fine-tuned one and the large one, by what recipes call them. */

import type { RecipeInfo } from "../api/types.js";

const TUNED = /chat|tuned|instruct|help|expert/i;
const LARGE = /large|big|base/i;

type Named = Pick<RecipeInfo, "members" | "conservative">;

/** @returns two, or as many as there are */
export function findRivals({ members, conservative }: Named): readonly string[] {
    const fallback = members.find((name) => name === conservative?.fallback);
    const tuned = fallback ?? members.find((name) => TUNED.test(name)) ?? members[1] ?? members[0];
    const others = members.filter((name) => name !== tuned);
    const large = others.find((name) => LARGE.test(name)) ?? others[0];
    return [tuned, large].filter((name) => name !== undefined);
}
