/** Which of some GGUF files is which part of a recipe, by what the files say about themselves. */

import { EftError } from "../errors.js";
import { plural } from "../plural.js";
import { findReferenceProblem, hidePassword } from "../recipe/reference.js";
import { findModel, isRemote } from "./model-files.js";
import { findTunedOf, isLike, readCandidate, type Candidate, type Parts } from "./roles.js";

/** The parts, and in words why they were given. */
export interface Roles extends Parts<Candidate> {
    /** On top of `tuned`, which then is the same file as `reference`. */
    readonly adapter?: Candidate;
    readonly reasons: Parts<string>;
}

/** What was named already. */
export type NamedRoles = Partial<Parts<Candidate>>;

/** @throws EftError OPTION_INVALID, MODEL_NOT_FOUND, MODEL_INVALID */
export function openCandidate(source: string): Candidate {
    const fault = findReferenceProblem(source);
    if (fault !== undefined) throw new EftError("OPTION_INVALID", `"${hidePassword(source)}" ${fault}.`);
    const file = findModel(source);
    if (file !== undefined) return readCandidate(source, file);
    const remedy = isRemote(source) ? `download it with \`eft-llama pull ${source}\`` : "correct the path";
    throw new EftError("MODEL_NOT_FOUND", `${source} is not on this machine; ${remedy}.`);
}

/**
 * The pair has two models of one size, the base model another. Of the pair, signs of fine-tuning tell which is which.
 *
 * @param named - parts that need not be found
 * @param candidates - the other files
 * @param ask - which of two files is the fine-tuned one, where nothing tells; undefined if nobody can say it
 * @throws EftError OPTION_INVALID
 */
export async function findRoles(
    named: NamedRoles,
    candidates: readonly Candidate[],
    ask: (pair: readonly [Candidate, Candidate]) => Promise<Candidate | undefined>,
): Promise<Roles> {
    const { tuned: namedTuned, ...others } = named;
    if (namedTuned !== undefined && isAdapter(namedTuned)) return findRoles(others, [...candidates, namedTuned], ask);
    const misnamed = Object.values(others).find(isAdapter);
    if (misnamed !== undefined) {
        throw new EftError(
            "OPTION_INVALID",
            `${misnamed.source} is a LoRA adapter, which the base and the reference cannot be; name it with --tuned.`,
        );
    }
    const adapters = candidates.filter(isAdapter);
    const models = candidates.filter((candidate) => !isAdapter(candidate));
    const all = [...Object.values(named), ...models];
    const [adapter] = adapters;
    if (adapters.length > 1 || all.length + adapters.length !== 3) {
        throw new EftError(
            "OPTION_INVALID",
            `A recipe is made of three files: a base model, a fine-tuned model or LoRA adapter, and the model that it was tuned ` +
                `from. There are ${all.length} models and ${adapters.length} adapters.`,
        );
    }
    if (adapter !== undefined) return withAdapter(named, all, adapter);

    const base =
        named.base ??
        findOdd(
            all.filter((model) => model !== named.tuned && model !== named.reference),
            all,
        );
    const pair = all.filter((model) => model !== base) as [Candidate, Candidate];
    const [tuned, why] = await findTuned(named, pair, ask);
    const reference = pair.find((model) => model !== tuned) as Candidate;
    return {
        base,
        tuned,
        reference,
        reasons: {
            base: named.base === undefined ? "the two others are of one size" : "as you said",
            tuned: why,
            reference: named.reference === undefined ? "the other one" : "as you said",
        },
    };
}

function isAdapter({ summary }: Candidate): boolean {
    return summary.type === "adapter";
}

function withAdapter(named: NamedRoles, models: readonly Candidate[], adapter: Candidate): Roles {
    const fitting = models.filter(({ summary }) => summary.architecture === adapter.summary.architecture);
    const [smaller] = [...fitting].sort((a, b) => a.summary.parameters - b.summary.parameters);
    const reference = named.reference ?? models.find((model) => model !== named.base && model === smaller);
    const base = named.base ?? models.find((model) => model !== reference);
    if (named.tuned !== undefined || reference === undefined || base === undefined || reference === base) {
        throw new EftError(
            "OPTION_INVALID",
            `${adapter.source} is a LoRA adapter: name with --reference the model that it belongs to, and with --base the other.`,
        );
    }
    return {
        base,
        tuned: reference,
        reference,
        adapter,
        reasons: {
            base: named.base === undefined ? "the other model" : "as you said",
            tuned: "the adapter on top of the reference model",
            reference:
                named.reference === undefined ? "the smaller model, as adapters are for small ones" : "as you said",
        },
    };
}

function findOdd(free: readonly Candidate[], all: readonly Candidate[]): Candidate {
    const odd = free.filter((model) => !all.some((other) => other !== model && isLike(model, other)));
    const [base] = odd;
    if (base !== undefined && (odd.length === 1 || free.length === 1)) return base;
    throw new EftError(
        "OPTION_INVALID",
        `Sizes do not tell which is the base model (${all.map(({ source, summary }) => `${source}: ${plural(summary.parameters, "parameter")}`).join(", ")}). ` +
            "Name it with --base, the fine-tuned model with --tuned, and what that was tuned from with --reference.",
    );
}

async function findTuned(
    named: NamedRoles,
    pair: readonly [Candidate, Candidate],
    ask: (pair: readonly [Candidate, Candidate]) => Promise<Candidate | undefined>,
): Promise<readonly [Candidate, string]> {
    const known = named.tuned ?? (named.reference && pair.find((model) => model !== named.reference));
    if (known !== undefined) return [known, "as you said"];
    const found = findTunedOf(pair);
    if (found !== undefined) return found;
    const chosen = await ask(pair);
    if (chosen !== undefined) return [chosen, "as you said"];
    const [a, b] = pair.map(({ source }) => JSON.stringify(source));
    throw new EftError(
        "OPTION_INVALID",
        `Nothing in ${a} and ${b} tells which is the fine-tuned one. Name it with --tuned.`,
    );
}
