/** Whether what is written as a call is one. Schemas are those of strangers, and so are the texts that a model writes. */

import { createContext, Script } from "node:vm";
import { Ajv2020 } from "ajv/dist/2020.js";
import type { ParsedCall } from "./call-parser.js";
import type { ResolvedTool } from "./types.js";

type Validator = (values: ParsedCall["arguments"]) => boolean;

/** Milliseconds: a pattern can go back, and a schema lead to itself, more often than anybody can wait for. */
const LONGEST_QUESTION = 100;
/** By the parameters of tools. */
const validators = new WeakMap<object, Validator>();
const question: { ask?: () => boolean } = {};
const context = createContext(question);
const script = new Script("ask()");

/** Whether a tool's schema allows arguments. What nobody can tell in time is a call, since it is written as one. */
export function allowsArguments({ parameters }: ResolvedTool, values: ParsedCall["arguments"]): boolean {
    if (typeof parameters === "boolean") return parameters;
    try {
        question.ask = () => {
            const validator = validators.get(parameters) ?? createValidator(parameters);
            validators.set(parameters, validator);
            return validator(values);
        };
        return script.runInContext(context, { timeout: LONGEST_QUESTION }) as boolean;
    } catch {
        validators.set(parameters, () => true);
        return true;
    } finally {
        delete question.ask;
    }
}

function createValidator(parameters: object): Validator {
    // Written once, however many references lead to it.
    const inlineRefs = false;
    const ajv = new Ajv2020({
        strict: false,
        validateSchema: false,
        validateFormats: false,
        logger: false,
        inlineRefs,
    });
    return ajv.compile(parameters);
}
