/** Jinja templates, rendered as Python's Jinja renders them for chat models: with bounds, and with a record of what text came from where. */

import type { JsonValue } from "../types.js";
import type { Context } from "./context.js";
import { readData } from "./data.js";
import { evaluateTemplate } from "./evaluate.js";
import { createGlobals } from "./globals.js";
import { chooseStandIns, type StandIns } from "./stand-ins.js";
import { parseTemplate } from "./syntax.js";
import { createValues, fail, Float, NONE, TemplateFault, type Value } from "./values.js";
import { createWork, TooMuchWork } from "./work.js";

/** A rendered text. */
export interface Rendered {
    /** What it says. */
    readonly text: string;
    /** The same, with {@link StandIns} where a character that control tokens begin or end with came from the data. */
    readonly marked: string;
    readonly standIns: StandIns;
}

export interface Template {
    /**
     * @param own - variables that are the template's own words, such as the texts of BOS and EOS
     * @param data - all other variables
     * @param guarded - characters whose origin is recorded
     * @throws Error with what is wrong, as half a sentence
     */
    render(
        own: Readonly<Record<string, string>>,
        data: Readonly<Record<string, JsonValue>>,
        guarded: ReadonlySet<string>,
    ): Rendered;
}

/** Levels of lists and mappings within each other: those of a message, or a variable, and what they stand in. */
const MAX_DEPTH = 64;

/** @param now - what the template's clock says. @throws Error with what is wrong, as half a sentence */
export function compileTemplate(source: string, now: () => Date = () => new Date()): Template {
    const program = parseTemplate(source);
    return {
        render(own, data, guarded) {
            const given =
                readData(data, MAX_DEPTH) ?? fail("its data must be what JSON can say, in a few dozen levels");
            const texts = [source, ...Object.values(own), ...given.texts];
            const standIns =
                chooseStandIns(guarded, texts) ??
                fail(
                    "its messages use up all of Unicode's private characters, and none is left to mark their words with",
                );
            const work = createWork(
                texts.reduce((sum, { length }) => sum + length, 0),
                given.values,
            );
            const context: Context = { work, standIns, values: createValues(work, standIns) };
            const variables = createGlobals(context, now);
            for (const [name, value] of Object.entries(own)) variables.set(name, value);
            for (const [name, value] of Object.entries(given.copy as typeof data))
                if (value !== undefined) variables.set(name, toValue(value, standIns));
            try {
                const marked = evaluateTemplate(program, variables, context);
                return { text: standIns.plain(marked), marked, standIns };
            } catch (error) {
                if (error instanceof TemplateFault || error instanceof TooMuchWork) throw error;
                if (!(error instanceof RangeError)) throw error;
                if (!/call stack/.test(error.message)) throw new TooMuchWork(error.message, { cause: error });
                throw new TemplateFault("it calls itself too often", { cause: error });
            }
        },
    };
}

function toValue(data: JsonValue, standIns: StandIns): Value {
    if (typeof data === "string") return standIns.mark(data);
    if (typeof data === "number") return Number.isSafeInteger(data) ? data : new Float(data);
    if (typeof data === "boolean") return data;
    if (data === null || data === undefined) return NONE;
    if (Array.isArray(data)) return (data as readonly JsonValue[]).map((each) => toValue(each, standIns));
    const entries = Object.entries(data).filter(([, value]) => value !== undefined);
    return new Map(entries.map(([key, value]) => [standIns.mark(key), toValue(value, standIns)]));
}
