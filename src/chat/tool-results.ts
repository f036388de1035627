/** Results of calls, as they are given. */

import { EftError } from "../errors.js";
import { show } from "../options.js";
import { readData } from "../template/data.js";
import type { ChatTurn } from "./types.js";
import type { Question } from "./window.js";

/** @param turn - whose last calls have no results. @throws EftError OPTION_INVALID unless there is one for each */
export function withResults({ user, steps = [] }: ChatTurn, given: unknown): Question {
    const last = steps.at(-1);
    const calls = last?.calls ?? [];
    const texts = new Map<string, string>();
    if (!Array.isArray(given)) throw invalid(`takes a list of results, not ${show(given)}`);
    for (const each of given as readonly unknown[]) {
        const { id, result, ...others } = (typeof each === "object" && each !== null ? each : {}) as {
            id?: unknown;
            result?: unknown;
        };
        const [unknown] = Object.keys(others);
        if (unknown !== undefined) throw invalid(`takes an id and a result of each call, and no ${show(unknown)}`);
        const call = calls.find((known) => known.id === id);
        if (typeof id !== "string" || call === undefined)
            throw invalid(`waits for results of ${calls.map((known) => known.id).join(", ")}, not of ${show(id)}`);
        const data = readData(result)?.copy;
        if (data === undefined) throw invalid(`needs a text or plain data as result of ${call.name} (${id})`);
        texts.set(id, typeof data === "string" ? data : JSON.stringify(data));
    }
    const results = calls.map(({ id, name }) => {
        const text = texts.get(id);
        if (text !== undefined) return text;
        throw invalid(`lacks the result of ${name} (${id}); give one for each call`);
    });
    return { user, steps: [...steps.slice(0, -1), ...(last ? [{ ...last, results }] : [])] };
}

function invalid(reason: string): EftError {
    return new EftError("OPTION_INVALID", `sendResults ${reason}.`);
}
