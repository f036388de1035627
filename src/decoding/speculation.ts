/**
 * Speculative up-scaling (Mitchell et al. 2310.12962): a cheap form drafts a block of tokens, all members verify the block
 * in one batch, and the target's own tokens are drawn row by row until one differs from its draft. The loop asks for a
 * block before each step, and reports what became of it.
 */

import { createAcceptance, USUAL_ACCEPTANCE } from "../host/acceptance.js";
import { NEVER_STOP, type Drafted, type DraftProspect, type PlanForecast } from "../host/drafts.js";
import type { Ensemble } from "../ensemble/ensemble.js";
import type { Sequence } from "../host/sequences.js";
import { createStatistics, type SpeculationStatistics } from "../host/statistics.js";
import { readsMember, type Evaluated } from "../host/step-plan.js";
import { createDrafted } from "../host/scheduler.js";
import type { NativeDraw, NativeFusion, NativeSpeculation } from "../native/binding.js";
import { integer, listOf } from "../options.js";
import type { SamplingOptions } from "../types.js";
import { bestPlan, MOST_DRAFTS } from "./draft-length.js";
import { wayOfDrafting, type Speculation } from "./drafter.js";
import type { Continuation, Dials } from "./fusion.js";
import { penaltyWindow } from "./sampling.js";

/** A block that is about to be verified. Without drafts, its step is a plain one. */
export interface Block {
    /** Whether the step reads a member. */
    readonly isRead: (member: number) => boolean;
    /** Undefined for a step without drafts that does not look at the drafter either. */
    readonly verification?: NativeSpeculation;
    /** Per member, milliseconds of drafting. */
    readonly decodeMs: readonly number[];
    readonly fuseMs: number;
}

export interface Speculator {
    /**
     * Drafts as many tokens as the policy wants.
     *
     * @param draw - the draw of the next token
     * @param room - most drafts there is room for
     * @throws EftError what Scheduler.draft() throws
     */
    draft(draw: NativeDraw, room: number): Promise<Block>;
    /** The outcome of the step that followed draft(); to be told before its tokens join the generated ones. */
    learn(evaluated: Evaluated): void;
    statistics(): SpeculationStatistics;
}

export interface SpeculatorParts {
    readonly ensemble: Ensemble;
    readonly speculation: Speculation;
    readonly dials: Dials;
    readonly sequence: Sequence;
    /** Tokens of the prompt, per member. */
    readonly prompts: readonly Int32Array[];
    /** The text so far; the loop adds to it. */
    readonly continuation: Continuation;
    readonly sampling: SamplingOptions;
    /** Report the drafter at every token. */
    readonly explain: boolean;
    readonly signal: AbortSignal | undefined;
}

/** Plain steps look now and then what the drafter would have drawn, so that speculation is taken up again. */
const LOOK_EVERY = 4;

/** What draft() leaves for learn(). */
interface Attempt {
    readonly drafted: Drafted;
    /** What lookup proposed, taken or not. */
    readonly proposal: readonly number[];
    readonly isLookup: boolean;
    readonly forecast: PlanForecast | undefined;
}

export function createSpeculator(parts: SpeculatorParts): Speculator {
    const { ensemble, dials, sequence, prompts, continuation, explain, signal } = parts;
    const { tokens: generated } = continuation;
    const { propose, policy, coupling, length, drafterSampling } = parts.speculation;
    const { scheduler, costs, target } = ensemble;
    const members = ensemble.members.map((_, member) => member);
    /** The contexts of members that a form reads. */
    const contextsOf = (form: NativeFusion): number[] =>
        target.contexts.flatMap(({ id }, member) => (readsMember(form, member) ? id : []));
    const historyLimit = penaltyWindow(parts.sampling);
    const acceptance = {
        drafter: target.acceptance(wayOfDrafting(dials, parts.speculation, parts.sampling)),
        lookup: createAcceptance(USUAL_ACCEPTANCE),
    };
    const statistics = createStatistics(members.length);
    const nothing: Attempt = {
        drafted: createDrafted(members.length, { length: 0, stop: NEVER_STOP }),
        proposal: [],
        isLookup: false,
        forecast: undefined,
    };
    let attempt = nothing;
    let start = 0;
    /** Plain steps since the last block. */
    let plainSteps = 0;
    /** What a plain step was last expected to cost. */
    let plainForecast: PlanForecast | undefined;

    async function attemptDrafts(draw: NativeDraw, room: number): Promise<Attempt> {
        const { fusion, drafter } = dials;
        const verifying = draw.members ? target.contexts.map(({ id }) => id) : contextsOf(fusion);
        const proposal = proposeTokens(room);
        const lookup: DraftProspect | undefined =
            proposal.length === 0
                ? undefined
                : {
                      most: proposal.length,
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
        };
        const isLookup = lookup !== undefined && (asked === undefined || promisesMore(lookup, asked));
        const prospect = isLookup ? lookup : asked;
        if (prospect === undefined) return { ...nothing, proposal };

        const request = { sequence, prospect, policy, ...(signal && { signal }) };
        const drafted = isLookup
            ? await scheduler.draft({ ...request, proposal: Int32Array.from(proposal) })
            : await scheduler.draft({
                  ...request,
                  ...(drafter && {
                      drafter: { fusion: drafter, draw: { ...draw, ...drafterSampling }, coupling, historyLimit },
                  }),
              });
        return { drafted, proposal, isLookup, forecast: drafted.plan.forecast };
    }

    /** What all members can verify of a proposal: a member cannot read a token that it lacks, so a block ends before one. */
    function proposeTokens(room: number): readonly number[] {
        const { size, members: vocabularies } = ensemble.vocabulary;
        const proposed = propose?.([...(prompts[0] ?? []), ...generated], room) ?? [];
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

    return {
        async draft(draw, room) {
            const { fusion, drafter } = dials;
            start = performance.now();
            // The step of the prompt draws without drafts, and evaluates the drafter's prompt too.
            const isFirst = generated.length === 0;
            const most = isFirst || length === 0 ? 0 : Math.min(room, MOST_DRAFTS);
            // Alone, the policy is asked again only after a look, so that what gains nothing costs nothing. With others, what
            // pays depends on them too.
            const asks = most > 0 && (plainSteps % LOOK_EVERY === 0 || scheduler.busy > 1);
            attempt = asks ? await attemptDrafts(draw, most) : { ...nothing, forecast: plainForecast };
            const { plainMs } = attempt.forecast ?? {};
            plainForecast = plainMs === undefined ? undefined : { tokens: 1, ms: plainMs, plainMs };
            const { tokens: drafts, keptRows, decodeMs, fuseMs } = attempt.drafted;

            const hasBlock = drafts.length > 0 || keptRows > 0;
            plainSteps = hasBlock || isFirst ? 0 : plainSteps + 1;
            const looks =
                length === "adaptive" &&
                plainSteps % LOOK_EVERY === LOOK_EVERY - 1 &&
                drafter !== undefined &&
                members.every((m) => !readsMember(drafter, m) || readsMember(fusion, m));
            const compare = drafter !== undefined && (explain || looks);
            const needsDrafter = drafter !== undefined && (compare || isFirst);
            const isRead = (member: number): boolean =>
                draw.members || readsMember(fusion, member) || (needsDrafter && readsMember(drafter, member));
            return {
                isRead,
                ...((hasBlock || compare) && {
                    verification: {
                        ...{ drafts, keptRows, coupling, historyLimit, compare },
                        ...(drafter && (keptRows > 0 || compare) && { drafter }),
                        ...(drafterSampling && { drafterSampling }),
                    },
                }),
                ...{ decodeMs, fuseMs },
            };
        },

        learn({ draws, decodeMs, fuseMs }) {
            const { drafted, proposal, isLookup, forecast } = attempt;
            const drafts = drafted.tokens;
            const accepted = countSame(drafts, draws);
            const verified = Math.min(drafts.length, draws.length);
            const { confidences, declined } = drafted;
            confidences.subarray(0, draws.length).forEach((confidence, position) => {
                const guess = drafts[position] ?? declined;
                acceptance.drafter.record(position, draws[position]?.token === guess, confidence);
            });
            // A proposal shows what it is worth also where it was not taken.
            const same = countSame(proposal, draws);
            for (let i = 0; i < Math.min(proposal.length, draws.length, same + 1); i++) {
                acceptance.lookup.record(i, i < same, 1);
            }
            const [first] = draws;
            if (confidences.length === 0 && drafts.length === 0 && first?.drafter !== undefined) {
                const { token, confidence } = first.drafter;
                acceptance.drafter.record(0, token === first.token, confidence);
            }
            // The step of the prompt says nothing about speculation.
            if (generated.length === 0) return;
            const step = {
                ...{ drafted: drafts.length, accepted, verified, isLookup, tokens: draws.length },
                ...{ draftMs: drafted.decodeMs, draftFuseMs: drafted.fuseMs, stepMs: decodeMs, stepFuseMs: fuseMs },
                wallMs: performance.now() - start,
                ...(forecast && { forecast }),
            };
            statistics.add(step);
            ensemble.speculation.add(step);
            target.trust.learn(step);
        },

        statistics: () => statistics.read(),
    };
}

/** How many draws are what was guessed, from the first on. */
function countSame(guesses: ArrayLike<number>, draws: Evaluated["draws"]): number {
    const differs = draws.findIndex(({ token }, index) => token !== guesses[index]);
    return Math.min(differs < 0 ? draws.length : differs, guesses.length);
}
