import { EftError } from "../errors.js";
import { checkOptions, oneOf, string, unchecked, type OptionTable } from "../options.js";
import type { Recipe } from "../types.js";
import { parseCombination } from "./combination.js";
import { resolveParameters } from "./recipe.js";
import { findAdapterProblem, findReferenceProblem, hidePassword, resolveReference } from "./reference.js";

/** The models of up-scaling: paths of GGUF files, or `hf:` / `https:` references. */
export interface AdHocModels {
    /** The large pre-trained model. */
    readonly base: string;
    /** The small fine-tuned model, whose behaviour is wanted; its GGUF carries the chat template. */
    readonly tuned?: string | undefined;
    /** Instead of `tuned`: path of a LoRA adapter for `reference`, whose GGUF then carries the chat template. */
    readonly lora?: string | undefined;
    /** The small pre-trained model that was tuned. */
    readonly reference: string;
    /** Default of the parameter `beta`, the strength of up-scaling. Range 0..2. Default 1. */
    readonly beta?: number | undefined;
    /**
     * `fallback`: the tuned model alone decides about control tokens. `recommendControlTokens` says what the files call for, and
     * the commands and `recipe init` do that. Default `combine`.
     */
    readonly controlTokens?: Recipe["controlTokens"] | undefined;
}

const MODELS: OptionTable<AdHocModels> = {
    ...{ base: string, tuned: string, lora: string, reference: string },
    beta: unchecked,
    controlTokens: oneOf(["combine", "fallback"]),
};

/**
 * The recipe of up-scaling without a file: `tuned + beta * (base - reference)`, prompted with the template of `tuned`.
 * @throws OPTION_INVALID when a reference cannot be one, or not exactly one of `tuned` and `lora` is given;
 *         PARAMETER_RANGE when beta is out of range
 */
export function adHocRecipe(given: AdHocModels): Recipe {
    const {
        base,
        tuned,
        lora,
        reference,
        beta = 1,
        controlTokens = "combine",
    } = checkOptions("adHocRecipe", given, MODELS);
    for (const [name, model] of Object.entries({ base, reference })) string(name, model);
    if ((tuned === undefined) === (lora === undefined))
        throw new EftError("OPTION_INVALID", "Name either a tuned model or a LoRA adapter (lora), and not both.");
    const models = { base, tuned: tuned ?? reference, reference };
    const name = "ad-hoc";
    const parameters = { beta: { default: 1, min: 0, max: 2, description: "strength of up-scaling" } };
    const { beta: value } = resolveParameters({ name, parameters }, { beta }) as { beta: number };
    const scope = { members: Object.keys(models), parameters };
    return {
        eft: 1,
        name,
        description: "up-scaling of three models named on the command line",
        source: "Mitchell et al., arXiv 2310.12962",
        members: Object.entries(models).map(([member, model]) => {
            refuse(`The model "${member}"`, model, findReferenceProblem);
            const spec = { name: member, model: resolveReference(model, ".") };
            if (member !== "tuned" || lora === undefined) return spec;
            refuse("The LoRA adapter", lora, findAdapterProblem);
            return { ...spec, lora: { path: resolveReference(lora, "."), scale: 1 } };
        }),
        parameters: { beta: { ...parameters.beta, default: value } },
        combination: parseCombination("tuned + beta * (base - reference)", scope),
        ...(controlTokens === "fallback" && {
            conservative: { topP: 1, fallback: parseCombination("tuned", scope) },
        }),
        controlTokens,
        prompt: { kind: "from", member: "tuned" },
        sampling: {},
    };
}

function refuse(what: string, reference: string, findProblem: (reference: string) => string | undefined): void {
    const fault = reference === "" ? "is empty" : findProblem(reference);
    if (fault !== undefined) throw new EftError("OPTION_INVALID", `${what} (${hidePassword(reference)}) ${fault}.`);
}
