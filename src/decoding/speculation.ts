/**
 * Speculative up-scaling (Mitchell et al. 2310.12962): a cheap form drafts a block of tokens, all members verify the block
 * in one batch, and the target's own tokens are drawn row by row until one differs from its draft. The loop asks for a
 * block before each step, and reports what became of it.
 */

import { createAcceptance, USUAL_ACCEPTANCE } from "../host/acceptance.js";
import {
    NEVER_STOP,
    type Attempt,
    type AttemptSituation,
    type Block,
    type DraftPlan,
    type DraftProspect,
    type ForcedRange,
    type PlanForecast,
    type Speculating,
} from "../host/drafts.js";
import { readsMember, type Evaluated } from "../host/evaluations.js";
import { createStatistics, type SpeculationStatistics } from "../host/statistics.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { NativeFusion } from "../native/binding.js";
import { integer, listOf } from "../options.js";
import type { SamplingOptions } from "../types.js";
import { MOST_DRAFTED } from "../models/context-memory.js";
import { bestPlan } from "./draft-length.js";
import { wayOfDrafting, type Speculation } from "./drafter.js";
import { forcedRange, USUAL_FORCED_ACCEPTANCE } from "./forced.js";
import type { Dials } from "./fusion.js";

export interface Speculator {
    /** How the next tokens are drawn: with the drafter's form as it is now. */
    speculating(fusion: NativeFusion, drafter: NativeFusion | undefined): Speculating;
    /** What came out of a step; to be told before its tokens join the generated ones. */
    learn(evaluated: Evaluated): void;
    statistics(): SpeculationStatistics;
}

export interface SpeculatorParts {
    readonly ensemble: Ensemble;
    readonly speculation: Speculation;
    readonly dials: Dials;
    readonly sampling: SamplingOptions;
    /** Tokens of the prompt, per member. */
    readonly prompts: readonly Int32Array[];
    /** The tokens of the text so far; the loop adds to them. */
    readonly generated: readonly number[];
    /** Whether the members' log-probabilities are reported: then all of them are read. */
    readonly readsAll: boolean;
    /** Report the drafter at every token. */
    readonly explain: boolean;
}

/** Plain steps look now and then what the drafter would have drawn, so that speculation is taken up again. */
const LOOK_EVERY = 4;

/** So many steps wait for the text after one in which lookup would have given more than was drawn: then it may again. */
const LOOKING_STEPS = 4;

/** What there is to know of a step before it: an {@link Attempt}, and what has to be learnt of it. */
interface Considered extends Attempt {
    /** What lookup proposed, taken or not. Undefined: it was not asked. */
    readonly proposed?: readonly number[];
    /** Most drafts that there was room for. */
    readonly room: number;
    /** The step of the prompt says nothing about speculation. */
    readonly isFirst: boolean;
    /** The policy was not asked: what a plain step was last expected to cost. */
    readonly plainForecast?: PlanForecast | undefined;
}

export function createSpeculator({
    ensemble,
    prompts,
    generated,
    readsAll,
    explain,
    speculation,
    dials,
    sampling,
}: SpeculatorParts): Speculator {
    const { propose, policy, coupling, length, drafterSampling, hasDrafter, forced: forcing, selective } = speculation;
    const { costs, target } = ensemble;
    const members = ensemble.members.map((_, member) => member);
    /** The contexts of members that a form reads. */
    const contextsOf = (form: NativeFusion): number[] =>
        target.contexts.flatMap(({ id }, member) => (readsMember(form, member) ? id : []));
    const acceptance = {
        // With selective fusion: how often the drafter is sure.
        drafter:
            hasDrafter && selective === undefined
                ? target.acceptance(wayOfDrafting(dials, speculation, sampling))
                : createAcceptance(USUAL_ACCEPTANCE),
        lookup: createAcceptance(USUAL_ACCEPTANCE),
        forced:
            forcing === "adaptive"
                ? target.acceptance("forced text", USUAL_FORCED_ACCEPTANCE)
                : createAcceptance(USUAL_FORCED_ACCEPTANCE),
    };
    const statistics = createStatistics(members.length);
    /** Plain steps since the last block. */
    let plainSteps = 0;
    /** Steps that still have to see the text, for lookup. */
    let lookingSteps = LOOKING_STEPS;
    /** What a plain step was last expected to cost. */
    let plainForecast: PlanForecast | undefined;

    function consider(
        fusion: NativeFusion,
        drafter: NativeFusion | undefined,
        { position, most, others }: AttemptSituation,
    ): Considered {
        // The step of the prompt draws without drafts, and evaluates the drafter's prompt too.
        const isFirst = position === 0;
        const room = isFirst || length === 0 ? 0 : Math.min(most, MOST_DRAFTED);
        // Alone, the policy is asked again only after a look, so that what gains nothing costs nothing. With others, what pays
        // depends on them too.
        const asks = room > 0 && (typeof length === "number" || plainSteps % LOOK_EVERY === 0 || others > 0);
        const plainStepsWith = (plan: DraftPlan): number => (plan.length > 0 || isFirst ? 0 : plainSteps + 1);
        const take = (plan: DraftPlan): void => {
            // Asked again in the next step.
            if (plan.isDeferred) return;
            const { plainMs } = plan.forecast ?? {};
            if (asks) plainForecast = plainMs === undefined ? undefined : { tokens: 1, ms: plainMs, plainMs };
            plainSteps = plainStepsWith(plan);
        };
        const decide = (plan: DraftPlan): ReturnType<Attempt["decide"]> => {
            const looks =
                length === "adaptive" &&
                plainStepsWith(plan) % LOOK_EVERY === LOOK_EVERY - 1 &&
                drafter !== undefined &&
                members.every((m) => !readsMember(drafter, m) || readsMember(fusion, m));
            const compare = drafter !== undefined && (explain || looks);
            return { compare, readsDrafter: drafter !== undefined && (compare || isFirst) };
        };
        const hasToSee = propose !== undefined && (length !== "adaptive" || lookingSteps > 0);
        const verifying = readsAll ? target.contexts.map(({ id }) => id) : contextsOf(fusion);
        const forced = rangeOfForced(Math.min(most, MOST_DRAFTED), verifying, others);
        const common = { decide, take, isFirst, room, hasToSee, forced };
        if (!asks) return { ...common, plainForecast };

        const proposed = position === undefined ? undefined : proposeTokens(room);
        const lookup: DraftProspect | undefined =
            proposed === undefined || proposed.length === 0
                ? undefined
                : {
                      most: proposed.length,
                      acceptance: acceptance.lookup.rates(),
                      stops: [NEVER_STOP],
                      drafting: [],
                      verifying,
                  };
        const asked: DraftProspect | undefined = drafter && {
            ...{ most: room, acceptance: acceptance.drafter.rates(), verifying },
            // Rejection sampling does not tell what would have become of a draft that was not made.
            stops: coupling === "gumbel" ? acceptance.drafter.stops() : [NEVER_STOP],
            drafting: contextsOf(drafter),
            ...(selective !== undefined && sureProspect()),
        };
        const isLookup = lookup !== undefined && (asked === undefined || promisesMore(lookup, asked));
        const prospect = isLookup ? lookup : asked;
        return {
            ...common,
            ...(proposed && { proposed }),
            ...(prospect && { prospect }),
            ...(isLookup && { proposal: Int32Array.from(proposed ?? []) }),
        };
    }

    /** It drafts until it is not sure, and all of that is taken. */
    function sureProspect(): Pick<DraftProspect, "acceptance" | "stops"> {
        return { acceptance: [1], stops: [{ ...NEVER_STOP, goesOn: acceptance.drafter.rates().at(-1) ?? 1 }] };
    }

    function rangeOfForced(most: number, verifying: readonly number[], others: number): ForcedRange {
        if (forcing !== "adaptive") return { least: 1, most: forcing === "always" ? most : 0, looks: false };
        const prospect = { most, acceptance: acceptance.forced.rates(), verifying, others };
        return { ...forcedRange(prospect, costs), looks: true };
    }

    /** What all members can verify of a proposal: a member cannot read a token that it lacks, so a block ends before one. */
    function proposeTokens(room: number): readonly number[] {
        const { size, members: vocabularies } = ensemble.vocabulary;
        const prompt = prompts[ensemble.texts.speaker] ?? [];
        const proposed = propose?.([...prompt, ...generated], room) ?? [];
        const known = Math.max(...vocabularies.map(({ width }) => width));
        const proposal = listOf(integer(0, known - 1))("lookup's proposal", proposed).slice(0, room);
        const end = proposal.findIndex(
            (token) => token >= size || vocabularies.some(({ lacks }) => lacks[token] === 1),
        );
        return end < 0 ? proposal : proposal.slice(0, end);
    }

    /** Only the adaptive policy has reason to prefer the drafter: otherwise, what costs nothing is tried first. */
    function promisesMore(lookup: DraftProspect, asked: DraftProspect): boolean {
        return length !== "adaptive" || bestPlan(lookup, costs).rate >= bestPlan(asked, costs).rate;
    }

    /** How often the drafter and lookup are right. */
    function learnDrafters(draws: Evaluated["draws"], block: Block): void {
        const { tokens: drafts, confidences, declined } = block;
        const { proposal, isFirst, room, ...attempt } = block.attempt as Considered;
        // Where lookup was not asked, the text that it would have seen is known by now.
        const proposed = attempt.proposed ?? (isFirst || room === 0 ? [] : proposeTokens(room));
        confidences.subarray(0, draws.length).forEach((confidence, position) => {
            const guess = drafts[position] ?? declined;
            acceptance.drafter.record(position, draws[position]?.token === guess, confidence);
        });
        // A proposal shows what it is worth also where it was not taken.
        const same = countSame(proposed, draws);
        for (let i = 0; i < Math.min(proposed.length, draws.length, same + 1); i++) {
            acceptance.lookup.record(i, i < same, 1);
        }
        lookingSteps = proposal !== undefined || same >= draws.length ? LOOKING_STEPS : Math.max(0, lookingSteps - 1);
        const [first] = draws;
        if (confidences.length === 0 && drafts.length === 0 && first?.drafter !== undefined) {
            const { token, confidence } = first.drafter;
            acceptance.drafter.record(0, token === first.token, confidence);
        }
    }

    return {
        speculating: (fusion, drafter) => ({
            ...{ drafter, drafterSampling, coupling, selective, policy },
            attempt: (situation) => consider(fusion, drafter, situation),
        }),

        learn({ draws, block, decodeMs, fuseMs, jobMs }) {
            if (block === undefined) return;
            const { tokens: drafts, forced, plan } = block;
            const areForced = forced?.verified ?? false;
            const { proposal, isFirst, plainForecast: expected } = block.attempt as Considered;
            const accepted = countSame(drafts, draws);
            const verified = Math.min(drafts.length, draws.length);
            if (areForced) {
                for (let i = 0; i < verified; i++) acceptance.forced.record(i, i < accepted, 1);
                for (const each of [statistics, ensemble.speculation]) each.addForced(drafts.length, accepted);
            } else {
                // What was not verified shows whether the first of it would have been accepted.
                if (forced !== undefined) acceptance.forced.record(0, forced.tokens[0] === draws[0]?.token, 1);
                if (selective === undefined) learnDrafters(draws, block);
            }
            const unasked = draws.filter(({ isUnasked }) => isUnasked).length;
            if (selective !== undefined) {
                for (const { isUnasked = false } of draws) acceptance.drafter.record(0, isUnasked, 1);
            }
            if (isFirst) return;
            const none = { drafted: 0, accepted: 0, verified: 0, isLookup: false };
            const made =
                selective !== undefined
                    ? none
                    : { drafted: drafts.length, accepted, verified, isLookup: proposal !== undefined };
            const forecast = areForced ? undefined : (plan.forecast ?? expected);
            const step = {
                ...{ ...(areForced ? none : made), tokens: draws.length, unasked, wallMs: jobMs },
                ...{ draftMs: block.decodeMs, draftFuseMs: block.fuseMs, stepMs: decodeMs, stepFuseMs: fuseMs },
                ...(forecast && { forecast }),
            };
            statistics.add(step);
            ensemble.speculation.add(step);
            // What a block leaves to be evaluated again is its doing, and was not forecast.
            const owed = { drafted: 1, forecast: { tokens: 0, ms: 0, plainMs: 0 } };
            if (!areForced && selective === undefined)
                target.trust.learn(plan.isDeferred ? { ...step, ...owed } : step);
        },

        statistics: () => statistics.read(),
    };
}

/** How many draws are what was guessed, from the first on. */
function countSame(guesses: ArrayLike<number>, draws: Evaluated["draws"]): number {
    const differs = draws.findIndex(({ token }, index) => token !== guesses[index]);
    return Math.min(differs < 0 ? draws.length : differs, guesses.length);
}
