import type { AnswerReport } from "../api/types.js";
import type { Answer, AnswerView } from "../state/answer.js";
import { textOf } from "../state/answer.js";
import { tellFailure } from "../text/failures.js";
import { dialsText, share } from "../text/numbers.js";
import { Notice } from "./notice.js";
import { Tokens } from "./tokens.js";

interface Properties {
    readonly answer: Answer;
    readonly hasTitle: boolean;
    /** Whether nothing was said before. */
    readonly isFirst: boolean;
}

export function AnswerCard({ answer, hasTitle, isFirst }: Properties) {
    const view = answer.view.value;
    const name = answer.member === undefined ? "EFT" : `${answer.member} alone`;
    return (
        <section class={answer.member === undefined ? "answer fused" : "answer"} aria-label={`Answer of ${name}`}>
            {hasTitle && <h4>{name}</h4>}
            {view.thoughts !== "" && (
                <details class="thoughts">
                    <summary>Thoughts</summary>
                    <p>{view.thoughts}</p>
                </details>
            )}
            <p class="unseen">{textOf(view)}</p>
            <Tokens answer={answer} />
            {view.status === "waiting" && (
                <p class="muted waiting">Waiting for the first token. Models may have to be loaded before.</p>
            )}
            {view.failure !== undefined && <Notice text={tellFailure(view.failure, isFirst)} />}
            <Facts view={view} isSpeculating={answer.isSpeculating} />
        </section>
    );
}

/** How fast it was, and what it was made with. */
function Facts({ view, isSpeculating }: { readonly view: AnswerView; readonly isSpeculating: boolean }) {
    const { status, dials, report, isCut } = view;
    const { timings, speculation } = report ?? {};
    const facts = [
        ...dials.slice(-1).map(dialsText),
        ...(dials.length > 1 ? [`begun with ${dialsText(dials[0] ?? {})}`] : []),
        ...(timings === undefined ? [] : [`${timings.tokens_per_second.toFixed(0)} tokens/s`]),
        ...(speculation === undefined || !isSpeculating ? [] : [tellDrafts(speculation)]),
        ...(report === undefined ? [] : [`seed ${report.seed}`]),
        ...(status === "stopped" ? ["stopped"] : []),
        ...(isCut ? ["cut off: the context is full, or the server was stopped"] : []),
    ].filter((fact) => fact !== "");
    if (status === "waiting" || facts.length === 0) return null;
    return (
        <ul class="facts" aria-label="About this answer">
            {facts.map((fact) => (
                <li key={fact}>{fact}</li>
            ))}
        </ul>
    );
}

function tellDrafts({ drafted, accepted, unasked }: NonNullable<AnswerReport["speculation"]>): string {
    if (unasked !== undefined) return `approximate: ${unasked} tokens by the drafter alone`;
    return drafted === 0 ? "no draft was worth its time" : `${share(accepted / drafted)} of ${drafted} drafts accepted`;
}
