import { askAfresh, askAgain, hasTurned, isAnswering, mainAnswer, startAfresh, turns } from "../state/conversation.js";
import { values } from "../state/dials.js";
import { recipe } from "../state/recipes.js";
import { findExamples } from "../text/examples.js";
import { dialsText } from "../text/numbers.js";

/** What can be done after the last answer. */
export function Again() {
    const last = turns.value.at(-1);
    const answer = last && mainAnswer(last);
    if (last === undefined || answer === undefined || isAnswering.value) return null;
    const { failure, isCut } = answer.view.value;
    const isFirst = turns.value.length === 1;
    if (failure !== undefined)
        return (
            <div class="again">
                {failure.kind === "overflow" && !isFirst ? (
                    <>
                        <button type="button" class="primary" onClick={askAfresh}>
                            Ask in a new conversation
                        </button>
                        <button type="button" onClick={startAfresh}>
                            New conversation
                        </button>
                    </>
                ) : (
                    <button type="button" onClick={askAgain}>
                        Try again
                    </button>
                )}
            </div>
        );
    const isTurned = hasTurned(answer);
    const hint =
        isFirst && last.earlier.length === 0 && !isTurned ? findExamples(recipe.value?.id ?? "")?.next : undefined;
    return (
        <div class="again">
            <button type="button" class={isTurned ? "primary" : undefined} onClick={askAgain}>
                {isTurned ? `Answer again with ${dialsText(values.value)}` : "Answer again"}
            </button>
            {isCut && (
                <button type="button" onClick={startAfresh}>
                    New conversation
                </button>
            )}
            {hint !== undefined && <p class="hint">{hint}</p>}
        </div>
    );
}
