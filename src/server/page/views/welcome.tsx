import { ask, isAnswering } from "../state/conversation.js";
import { recipe } from "../state/recipes.js";
import { isComparing } from "../state/settings.js";
import { findExamples } from "../text/examples.js";

/** What a conversation begins with. */
export function Welcome() {
    if (recipe.value === undefined) return null;
    const { id, description, members } = recipe.value;
    const examples = findExamples(id);
    function askExample(question: string): void {
        if (examples?.isComparison === true) isComparing.value = true;
        ask(question);
    }
    return (
        <section class="welcome" aria-label="Introduction">
            <h2>{examples?.title ?? id}</h2>
            <p>
                {examples?.hint ??
                    `${description === "" ? "" : `${description}. `}The ${members.length} models of this recipe answer together: ` +
                        "each token is drawn from all of them, weighted as the dials say."}
            </p>
            {examples !== undefined && (
                <ul class="examples">
                    {examples.questions.map((question) => (
                        <li key={question}>
                            <button type="button" disabled={isAnswering.value} onClick={() => askExample(question)}>
                                {question}
                            </button>
                        </li>
                    ))}
                </ul>
            )}
        </section>
    );
}
