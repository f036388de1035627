import type { Answer, AnswerView } from "../state/answer.js";
import { textOf } from "../state/answer.js";
import { dialsText, share } from "../text/numbers.js";
import { Tokens } from "./tokens.js";

interface Properties {
    readonly answer: Answer;
    readonly hasTitle: boolean;
}

export function AnswerCard({ answer, hasTitle }: Properties) {
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
            {view.status === "waiting" && <p class="muted waiting">Waiting for the first token</p>}
            <Facts view={view} />
        </section>
    );
}

/** How fast it was, and what it was made with. */
function Facts({ view: { status, dials, report, isCut } }: { readonly view: AnswerView }) {
    const { timings, speculation } = report ?? {};
    const facts = [
        ...dials.slice(-1).map(dialsText),
        ...(dials.length > 1 ? [`begun with ${dialsText(dials[0] ?? {})}`] : []),
        ...(timings === undefined ? [] : [`${timings.tokens_per_second.toFixed(0)} tokens/s`]),
        ...(speculation === undefined || speculation.drafted === 0
            ? []
            : [`${share(speculation.accepted / speculation.drafted)} of ${speculation.drafted} drafts accepted`]),
        ...(report === undefined ? [] : [`seed ${report.seed}`]),
        ...(status === "stopped" ? ["stopped"] : []),
        ...(isCut ? ["cut off: the context is full"] : []),
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
