/**
 * Tokens that were added for a fine-tuning, such as ChatML's `<|im_end|>` behind the 32,000 ids of Llama 2: the members that
 * lack them have no opinion on them and cannot read them. So the members that have them decide about them alone, as a
 * fallback does about control tokens, and the caches of the others get their text instead, as in a prompt. The same goes for ids
 * that mean other things to other members: they are tokens of the fallback, and whoever means something else lacks them.
 */

import { canBePositive } from "../recipe/index.js";
import type { Recipe } from "../types.js";
import { describeForeignTokens } from "./template-tokens.js";
import { flaggedIds, KIND_BITS, type NamedModel } from "../models/token-tables.js";
import { compareVocabularies, describeDispute, type VocabularyReport } from "../models/vocabulary.js";

type Tokens = Pick<VocabularyReport, "members" | "addedTokens">;
type Report = Tokens & Pick<VocabularyReport, "disputed">;
/** What a recipe says that decides about added tokens. */
type Forms = Pick<Recipe, "members" | "parameters" | "combination" | "conservative">;

/**
 * The form that decides about added tokens where a recipe has no fallback: the member that has all the weight, else the members
 * with a positive weight that end a text with one of them, weighted as in the combination. Undefined: there is none, and added
 * tokens are masked.
 *
 * @param weights - of the combination, in member order
 */
export function addedTokensForm(weights: Float64Array, tokens: Tokens): Float64Array | undefined {
    if (!tokens.addedTokens.includes(1)) return undefined;
    const isAlone = weights.filter((weight) => weight !== 0).length === 1;
    const form = weights.map((weight, member) =>
        weight > 0 && (isAlone || tokens.members[member]?.endsAlone) ? weight : 0,
    );
    const total = form.reduce((sum, weight) => sum + weight);
    return total > 0 ? form.map((weight) => weight / total) : undefined;
}

/** Compares the vocabularies of a recipe's members. @param models - in the order of its members */
export function examineVocabularies(
    recipe: Forms & Pick<Recipe, "unusedTokens" | "prompt">,
    models: readonly NamedModel[],
): VocabularyReport {
    const report = compareVocabularies(models, recipe.unusedTokens, findOwners(recipe));
    if (!report.compatible) return report;
    const disputes = findUnsettled(recipe, report);
    const { notes, problems } = examineAddedTokens(recipe, report, models);
    return {
        ...report,
        compatible: problems.length === 0 && disputes.length === 0,
        problems: disputes.length > 0 ? disputes : problems,
        notes: [...report.notes, ...notes, ...describeForeignTokens(recipe, models)],
    };
}

/** Whose tokens disputed ids are: the fallback's, or those of the member that is alone. */
function findOwners({ members, combination, conservative }: Forms): readonly number[] {
    const weights = conservative?.fallback.weights ?? combination.weights;
    const owners = members.flatMap(({ name }, member) => (name in weights ? [member] : []));
    return conservative !== undefined || owners.length === 1 ? owners : [];
}

/** A bridge between vocabularies has to be asked for: somebody has to decide about what differs. */
function findUnsettled(recipe: Forms, { disputed, members }: Report & Pick<VocabularyReport, "members">): string[] {
    const unsettled = disputed.filter(({ meanings }) => meanings.every((meaning) => meaning !== undefined));
    const [example] = unsettled;
    if (example === undefined || findOwners(recipe).length > 0) return [];
    const count = unsettled.length === 1 ? "One id means" : `${unsettled.length} ids mean`;
    return [
        `${count} different things to the members, and the recipe does not say whose tokens count. ` +
            `${describeDispute(example, members)}. Add "conservative: { topP: 1, fallback: <member> }" with the member that ` +
            "the prompt's template belongs to: its tokens count, and it decides about them alone.",
    ];
}

/** What becomes of added tokens under a recipe: notes, and ends of a text that it makes impossible. */
function examineAddedTokens(
    recipe: Forms,
    tokens: Report,
    models: readonly NamedModel[],
): Pick<VocabularyReport, "notes" | "problems"> {
    const names = recipe.members.map(({ name }) => name);
    const { combination, conservative, parameters } = recipe;
    const positive = names.flatMap((name, member) => (canBePositive(combination, name, parameters) ? [member] : []));
    const owners = findOwners(recipe);
    const deciding = owners.length > 0 ? owners : positive.filter((member) => tokens.members[member]?.endsAlone);
    const has = (member: number, token: number): boolean => tokens.members[member]?.lacks[token] === 0;
    const isPossible = (token: number): boolean =>
        tokens.addedTokens[token] === 1
            ? deciding.length > 0 && deciding.every((member) => has(member, token))
            : has(0, token);
    const endsOf = (member: number): number[] => {
        const { eos, eot } = tokens.members[member]?.special ?? { eos: -1, eot: -1 };
        return [...new Set([eos, eot])].filter((token) => token >= 0);
    };
    const list = (members: readonly number[]): string => listNames(members.map((member) => names[member] ?? ""));
    const describe = (token: number, holder = 0): string =>
        `${models[holder]?.model.tokenTexts(token, token + 1)[0]} (id ${token})`;
    const ownerOf = (token: number): readonly number[] =>
        tokens.disputed.find((dispute) => dispute.token === token)?.owners ?? [];

    const impossible = positive.flatMap((member) =>
        endsOf(member).flatMap((token) => (isPossible(token) && has(member, token) ? [] : [{ member, token }])),
    );
    // Whoever means something else by its end does not keep the others from ending the text.
    const canEnd = deciding.some((member) => endsOf(member).some((token) => has(member, token) && isPossible(token)));
    const isYielding = ({ token }: { token: number }): boolean => canEnd && ownerOf(token).length > 0;
    const yielding = impossible
        .filter(isYielding)
        .map(
            ({ member, token }) =>
                `${names[member]} ends a text with ${describe(token, member)}, which is something else to ` +
                `${list(ownerOf(token))}: a text ends where ${list(deciding)} ${deciding.length === 1 ? "ends" : "end"} it.`,
        );
    const problems = impossible
        .filter((end) => !isYielding(end))
        .map(({ member, token }) => {
            const others = names.map((_, other) => other).filter((other) => !has(other, token));
            const remedy =
                conservative === undefined
                    ? `Add "conservative: { topP: 1, fallback: <member> }" with a member that has it.`
                    : `Choose a fallback whose members all have it.`;
            return (
                `${names[member]} ends a text with ${describe(token, member)}, which ${list(others)} ` +
                `${others.length === 1 ? "lacks" : "lack"} as a token of that meaning, so no text would come to this end. ${remedy}`
            );
        });
    return { problems, notes: [...groupByHolders(tokens).map(describeGroup), ...yielding] };

    function describeGroup({ holders, ids }: { holders: readonly number[]; ids: readonly number[] }): string {
        const shown = ids
            .slice(0, 3)
            .map((token) => describe(token, holders[0]))
            .join(", ");
        const what = `${shown}${ids.length > 3 ? ` and ${ids.length - 3} more` : ""}`;
        const possible = ids.every(isPossible);
        return (
            `Only ${list(holders)} ${holders.length === 1 ? "has" : "have"} ${what}: ` +
            (possible
                ? `${list(deciding)} alone ${deciding.length === 1 ? "decides" : "decide"} about ${ids.length === 1 ? "it" : "them"}; the others read the text instead.`
                : "masked.")
        );
    }
}

/** Added tokens that the same members have. */
function groupByHolders({ members, addedTokens }: Tokens): { holders: readonly number[]; ids: readonly number[] }[] {
    const groups = new Map<string, { holders: readonly number[]; ids: number[] }>();
    addedTokens.forEach((added, token) => {
        if (added === 0) return;
        const holders = members.flatMap(({ lacks }, member) => (lacks[token] === 0 ? [member] : []));
        const group = groups.get(holders.join()) ?? { holders, ids: [] };
        group.ids.push(token);
        groups.set(holders.join(), group);
    });
    return [...groups.values()];
}

function listNames(names: readonly string[]): string {
    return names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

/** How the members of an ensemble spell its tokens. */
export interface TokenTexts {
    /** The member that has the most of them: its tokenizer reads texts as the target would write them. */
    readonly speaker: number;
    /** The bytes of tokens one after another; control tokens are spelled out if asked for. */
    detokenize(tokens: Int32Array, renderSpecial: boolean): Buffer;
    /** What the cache of a member gets for a token of the text: the token, or if it lacks that, its text in tokens of its own. */
    feed(member: number, token: number): readonly number[];
}

export function createTokenTexts(
    models: readonly NamedModel[],
    { members, addedTokens, disputed }: Report,
): TokenTexts {
    const known = new Map<string, readonly number[]>();
    const holderOf = (token: number): number => {
        const speaks = ({ lacks, width }: Tokens["members"][number]): boolean =>
            addedTokens[token] === 1 ? lacks[token] === 0 : token < width;
        return Math.max(0, members.findIndex(speaks));
    };
    /** In as few calls as there are stretches that one member speaks. */
    function detokenize(tokens: Int32Array, renderSpecial: boolean): Buffer {
        const texts: Buffer[] = [];
        for (let [from, to] = [0, 0]; from < tokens.length; from = to) {
            const holder = holderOf(tokens[from] ?? 0);
            while (to < tokens.length && holderOf(tokens[to] ?? 0) === holder) to++;
            texts.push((models[holder] as NamedModel).model.detokenize(tokens.subarray(from, to), renderSpecial));
        }
        return Buffer.concat(texts);
    }

    /**
     * As in the middle of a text: a space that a tokenizer puts before every text is not a part of it.
     *
     * @param isText - what spells a control token is text
     */
    function tokenizeInside({ model }: NamedModel, text: string, isText: boolean): number[] {
        const [lead = [], whole = [], alone = []] = ["\n", `\n${text}`, text].map((part) => [
            ...model.tokenize(part, false, !isText),
        ]);
        const isWhole = lead.every((token, index) => token === whole[index]);
        const inside = isWhole ? whole.slice(lead.length) : alone;
        // Something has to be evaluated, even for a token without a text.
        return inside.length > 0 ? inside : lead;
    }

    // What its tokenizer makes of a text must be the target's tokens, not its own by the same ids.
    const foreign = members.map((_, member) =>
        disputed.filter(({ owners }) => owners.length > 0 && !owners.includes(member)),
    );
    const missing = members.map(({ lacks }, member) =>
        (foreign[member] ?? []).length > 0 ? Infinity : flaggedIds(lacks).length,
    );
    return {
        speaker: missing.indexOf(Math.min(...missing)),
        detokenize,
        feed(member, token) {
            if (members[member]?.lacks[token] === 0) return [token];
            const key = `${member} ${token}`;
            let tokens = known.get(key);
            if (tokens === undefined) {
                const text = detokenize(Int32Array.of(token), true).toString("utf8");
                const kind = models[holderOf(token)]?.model.tokenAttributes()[token] ?? 0;
                tokens = tokenizeInside(models[member] as NamedModel, text, (kind & KIND_BITS.normal) !== 0);
                known.set(key, tokens);
            }
            return tokens;
        },
    };
}
