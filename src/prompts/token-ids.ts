/** Texts that come as token ids. */

import { isInt32Array } from "node:util/types";
import { EftError } from "../errors.js";
import { checkInteger, reading, show } from "../options.js";
import type { TokenIds } from "../types.js";
import type { TokenTexts } from "./added-tokens.js";

/** Whether it is a list of token ids rather than of messages; an empty one may be either. */
export function areTokenIds(name: string, value: unknown): value is TokenIds {
    return reading(name, () => {
        if (isInt32Array(value)) return true;
        return Array.isArray(value) && (value.length === 0 || typeof value[0] === "number");
    });
}

/**
 * @param size - of the vocabulary
 * @returns a copy. @throws EftError OPTION_INVALID, which names the first that is no id by its index
 */
export function checkTokenIds(name: string, value: unknown, size: number): Int32Array {
    return reading(name, () => {
        if (!isInt32Array(value) && !Array.isArray(value))
            throw new EftError("OPTION_INVALID", `${name} must be a list of token ids, not ${show(value)}.`);
        const given: ArrayLike<unknown> = value;
        const ids: number[] = [];
        for (let index = 0; index < given.length; index++) {
            const id = given[index];
            const isId = typeof id === "number" && Number.isInteger(id) && id >= 0 && id < size;
            // Names for a million of them would take longer than all else.
            ids.push(isId ? id : checkInteger(`${name}[${index}]`, id, 0, size - 1));
        }
        return Int32Array.from(ids);
    });
}

/**
 * A text, or token ids as {@link checkTokenIds} has them.
 *
 * @param remedy - for what is neither
 * @throws EftError OPTION_INVALID
 */
export function checkTextOrIds(name: string, value: unknown, size: number, remedy = ""): string | Int32Array {
    if (typeof value === "string") return value;
    if (areTokenIds(name, value)) return checkTokenIds(name, value, size);
    const given = Array.isArray(value) ? "a list of other things" : show(value);
    throw new EftError("OPTION_INVALID", `${name} must be a text or a list of token ids, not ${given}${remedy}.`);
}

/** What the cache of a member gets for ids of the common vocabulary. */
export function feedAll(texts: TokenTexts, member: number, ids: Int32Array): Int32Array {
    return Int32Array.from(Array.from(ids, (id) => texts.feed(member, id)).flat());
}
