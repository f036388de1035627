import { useEffect, useRef } from "preact/hooks";
import type { Turn } from "../state/conversation.js";
import { dialsText } from "../text/numbers.js";
import { AnswerCard } from "./answer.js";
import { catchFocus } from "./focus.js";

interface Properties {
    readonly turn: Turn;
    /** Of its conversation. */
    readonly isFirst: boolean;
}

/** A question and its answers, those of members alone beside EFT's. */
export function TurnView({ turn: { question, answers, earlier }, isFirst }: Properties) {
    const place = useRef<HTMLElement>(null);
    useEffect(() => catchFocus(place.current), []);
    return (
        <article ref={place} class="turn" tabIndex={-1}>
            <h3 class="question">{question}</h3>
            {earlier.length > 0 && (
                <ul class="earlier" aria-label="Earlier answers">
                    {earlier.map(({ dials, text }, index) => (
                        <li key={index}>
                            <span class="chip">{dialsText(dials) || "before"}</span> {text}
                        </li>
                    ))}
                </ul>
            )}
            <div class={answers.length > 1 ? "answers several" : "answers"}>
                {answers.map((answer) => (
                    <AnswerCard key={answer.key} answer={answer} hasTitle={answers.length > 1} isFirst={isFirst} />
                ))}
            </div>
        </article>
    );
}
