import { EftError, type EftErrorCode } from "../errors.js";
import type {
    Combination,
    MemberSpec,
    ParameterSpec,
    PromptTemplate,
    Recipe,
    SpeculationSpec,
    TemplateSettings,
    TemplateVariables,
} from "../types.js";
import { parseCombination } from "./combination.js";
import type { SourceDocument } from "./document.js";
import { collectParameters, LARGEST } from "./expression.js";
import { type Problem, describeRange, problem, suggestion, throwProblems } from "./problems.js";
import { findAdapterProblem, findReferenceProblem, hidePassword, resolveReference } from "./reference.js";
import { isData, RESERVED_VARIABLES } from "../template/data.js";
import type { MemberSource, ParameterSource, PromptSource, RecipeSource, SpeculationSource } from "./schema.js";

/** What the parts of a recipe are checked against, and where their problems are collected. */
interface Context {
    readonly document: SourceDocument;
    readonly directory: string;
    readonly members: readonly string[];
    readonly problems: Problem[];
}

type Path = readonly string[];

/**
 * Turns what the schema admits into a recipe, and checks what a schema cannot say: names that refer to each other,
 * ranges, model references, templates and combinations.
 */
export function buildRecipe(source: RecipeSource, document: SourceDocument, directory: string): Recipe {
    const context: Context = { document, directory, members: Object.keys(source.members), problems: [] };
    const { members, parameters = {}, combination, conservative, controlTokens = "combine", ...rest } = source;
    const { prompt = { template: "plain" }, sampling = {}, speculation, ...head } = rest;

    checkNames(Object.keys(parameters), context);
    const specs = mapValues(parameters, (name, parameter) => buildParameter(name, parameter, context));
    const form = buildCombination(combination, ["combination"], specs, context);
    const fallback =
        conservative && buildCombination(conservative.fallback, ["conservative", "fallback"], specs, context);
    const recipe = {
        ...head,
        members: Object.entries(members).map(([name, member]) => buildMember(name, member, context)),
        parameters: specs,
        controlTokens,
        prompt: buildTemplate(prompt, ["prompt"], context),
        sampling,
        ...(speculation && { speculation: buildSpeculation(speculation, specs, context) }),
    };

    if (controlTokens === "fallback" && conservative === undefined)
        report(
            context,
            "RECIPE_INVALID",
            ["controlTokens"],
            '"controlTokens: fallback" needs a form to fall back to; ' +
                "add conservative: { topP: 1, fallback: <the fine-tuned member> }",
        );
    // Where something else is wrong, a name may only seem to be idle.
    if (context.problems.length === 0)
        checkUse(
            [form, fallback, recipe.speculation?.drafter].filter((part) => part !== undefined),
            Object.keys(parameters),
            context,
        );

    throwProblems(context.problems);
    return {
        ...recipe,
        combination: form as Combination,
        ...(conservative && { conservative: { topP: conservative.topP, fallback: fallback as Combination } }),
    };
}

function report(
    { document, problems }: Context,
    code: EftErrorCode,
    path: Path,
    text: string,
    part: "key" | "value" = "value",
): void {
    problems.push(problem(code, document.locate(path, part), text));
}

function checkNames(parameters: readonly string[], context: Context): void {
    const { members } = context;
    const check = (name: string, path: Path, isTaken: boolean): void => {
        // Such names exist on every object, and a lookup by name would find them where nothing was declared.
        if (name in Object.prototype)
            report(context, "RECIPE_INVALID", path, `"${name}" is a reserved word; choose another name`, "key");
        if (isTaken)
            report(context, "RECIPE_INVALID", path, `"${name}" is the name of a member; choose another`, "key");
    };
    for (const name of members) check(name, ["members", name], false);
    if (members.includes("target"))
        report(
            context,
            "RECIPE_INVALID",
            ["members", "target"],
            '"target" means the fused distribution; choose another name for the member',
            "key",
        );
    for (const name of parameters) check(name, ["parameters", name], members.includes(name));
}

function buildParameter(name: string, parameter: ParameterSource, context: Context): ParameterSpec {
    const { min = -LARGEST, max = LARGEST } = parameter;
    const path = ["parameters", name];
    if (min > max)
        report(context, "RECIPE_INVALID", [...path, "min"], `min (${min}) is above max (${max}); exchange the two`);
    else if (parameter.default < min || parameter.default > max)
        report(
            context,
            "RECIPE_INVALID",
            [...path, "default"],
            `the default of "${name}" must be ${describeRange(min, max)}, not ${parameter.default}`,
        );
    return { ...parameter, min, max };
}

function buildMember(name: string, { model, lora, prompt, ...rest }: MemberSource, context: Context): MemberSpec {
    const path = ["members", name];
    const adapter = typeof lora === "object" ? lora : lora && { path: lora };
    const adapterPath = [...path, "lora", ...(typeof lora === "object" ? ["path"] : [])];
    return {
        name,
        ...rest,
        model: buildReference(model, findReferenceProblem(model), [...path, "model"], context),
        ...(adapter && {
            lora: {
                path: buildReference(adapter.path, findAdapterProblem(adapter.path), adapterPath, context),
                scale: adapter.scale ?? 1,
            },
        }),
        ...(prompt && { prompt: buildTemplate(prompt, [...path, "prompt"], context) }),
    };
}

function buildReference(reference: string, fault: string | undefined, path: Path, context: Context): string {
    if (fault !== undefined)
        report(context, "RECIPE_INVALID", path, `${JSON.stringify(hidePassword(reference))} ${fault}`);
    return resolveReference(reference, context.directory);
}

function buildTemplate(prompt: PromptSource, at: Path, context: Context): PromptTemplate {
    const { members } = context;
    const { template } = prompt;
    const path = [...at, "template"];
    const settings = buildSettings(prompt, at, context);
    const member = /^from\s+(\S+)$/.exec(template)?.[1];
    if (member !== undefined) {
        if (!members.includes(member))
            report(context, "RECIPE_INVALID", path, `"${member}" is not a member; ${suggestion(member, members)}`);
        return { kind: "from", member, ...settings };
    }
    if (template === "plain") return { kind: "plain" };
    if (!/\{\{|\{%/.test(template))
        report(
            context,
            "RECIPE_INVALID",
            path,
            `${JSON.stringify(template)} is not a template; write "from ${members[0]}" for the chat template in the ` +
                `GGUF of that member, "plain" for the text alone, or a Jinja text with {{ ... }}`,
        );
    return { kind: "jinja", template, ...settings };
}

function buildSettings({ template, variables, thinking }: PromptSource, at: Path, context: Context): TemplateSettings {
    for (const [key, value] of Object.entries({ variables, thinking }))
        if (template === "plain" && value !== undefined)
            report(
                context,
                "RECIPE_INVALID",
                [...at, key],
                `"${key}" is for templates, and "plain" is none; leave it out`,
                "key",
            );
    const path = [...at, "variables"];
    for (const [name, value] of Object.entries(variables ?? {})) {
        if (RESERVED_VARIABLES.includes(name))
            report(
                context,
                "RECIPE_INVALID",
                [...path, name],
                `every template is given "${name}"; leave it out`,
                "key",
            );
        if (!isData(value))
            report(context, "RECIPE_INVALID", [...path, name], `"${name}" must be a value that JSON can say`);
    }
    return {
        ...(variables && { variables: variables as TemplateVariables }),
        ...(thinking && { thinking }),
    };
}

function buildSpeculation(
    { drafter, ...rest }: SpeculationSource,
    parameters: Readonly<Record<string, ParameterSpec>>,
    context: Context,
): SpeculationSpec {
    const form = drafter && buildCombination(drafter, ["speculation", "drafter"], parameters, context);
    const obstacle = findSelectiveObstacle(rest);
    if (obstacle !== undefined) report(context, "RECIPE_INVALID", ["speculation", obstacle.key], obstacle.text);
    return { ...rest, ...(form && { drafter: form }) };
}

/** What selective fusion cannot be together with; undefined: nothing. */
export function findSelectiveObstacle({
    selective = 0,
    coupling,
    lookup,
}: Pick<SpeculationSpec, "selective" | "coupling"> & { readonly lookup?: unknown }):
    { readonly key: string; readonly text: string } | undefined {
    if (selective === 0) return undefined;
    if (coupling === "maximal")
        return {
            key: "coupling",
            text:
                '"coupling: maximal" draws from the target exactly, and "selective" takes tokens of the drafter as they are; ' +
                "leave one of them out",
        };
    if (lookup === undefined || lookup === false) return undefined;
    return {
        key: "lookup",
        text: '"lookup" guesses what all members verify, and "selective" asks the drafter alone; leave one of them out',
    };
}

function buildCombination(
    text: string,
    path: Path,
    parameters: Readonly<Record<string, ParameterSpec>>,
    { document, members, problems }: Context,
): Combination | undefined {
    try {
        const location = (offset: number) => document.locateInText(path, offset);
        return parseCombination(text, { members, parameters, location });
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        problems.push({ at: document.locate(path), error });
        return undefined;
    }
}

/** A member costs memory and time at every token, a parameter shows up as a dial: neither may be idle. */
function checkUse(combinations: readonly Combination[], parameters: readonly string[], context: Context): void {
    const weights = combinations.flatMap((combination) => Object.entries(combination.weights));
    const usedMembers = new Set(weights.map(([member]) => member));
    const usedParameters = new Set<string>();
    for (const [, weight] of weights) collectParameters(weight, usedParameters);
    for (const name of context.members.filter((name) => !usedMembers.has(name)))
        report(
            context,
            "MEMBER_UNUSED",
            ["members", name],
            `the member "${name}" is in no combination; use it there or delete it here`,
            "key",
        );
    for (const name of parameters.filter((name) => !usedParameters.has(name)))
        report(
            context,
            "RECIPE_INVALID",
            ["parameters", name],
            `the parameter "${name}" is in no combination; use it there or delete it here`,
            "key",
        );
}

function mapValues<T, U>(
    record: Readonly<Record<string, T>>,
    change: (name: string, value: T) => U,
): Record<string, U> {
    return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, change(name, value)]));
}
