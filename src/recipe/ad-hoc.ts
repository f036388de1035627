import { EftError } from "../errors.js";
import type { Recipe } from "../types.js";
import { parseCombination } from "./combination.js";
import { resolveParameters } from "./recipe.js";
import { findReferenceProblem, hidePassword, resolveReference } from "./reference.js";

/** The three models of up-scaling: paths of GGUF files, or `hf:` / `https:` references. */
export interface AdHocModels {
    /** The large pre-trained model. */
    readonly base: string;
    /** The small fine-tuned model, whose behaviour is wanted; its GGUF carries the chat template. */
    readonly tuned: string;
    /** The small pre-trained model that `tuned` was made from. */
    readonly reference: string;
    /** Default of the parameter `beta`, the strength of up-scaling. Range 0..2. Default 1. */
    readonly beta?: number;
}

/**
 * The recipe of up-scaling without a file: `tuned + beta * (base - reference)`, prompted with the template of `tuned`.
 * @throws OPTION_INVALID when a reference cannot be one; PARAMETER_RANGE when beta is out of range
 */
export function adHocRecipe({ base, tuned, reference, beta = 1 }: AdHocModels): Recipe {
    const models = { base, tuned, reference };
    const name = "ad-hoc";
    const parameters = { beta: { default: 1, min: 0, max: 2, description: "strength of up-scaling" } };
    const { beta: value } = resolveParameters({ name, parameters }, { beta }) as { beta: number };
    return {
        eft: 1,
        name,
        description: "up-scaling of three models named on the command line",
        source: "Mitchell et al., arXiv 2310.12962",
        members: Object.entries(models).map(([member, model]) => {
            const fault = model === "" ? "is empty" : findReferenceProblem(model);
            if (fault !== undefined)
                throw new EftError("OPTION_INVALID", `The model "${member}" (${hidePassword(model)}) ${fault}.`);
            return { name: member, model: resolveReference(model, ".") };
        }),
        parameters: { beta: { ...parameters.beta, default: value } },
        combination: parseCombination("tuned + beta * (base - reference)", {
            members: Object.keys(models),
            parameters,
        }),
        controlTokens: "combine",
        prompt: { kind: "from", member: "tuned" },
        sampling: {},
    };
}
