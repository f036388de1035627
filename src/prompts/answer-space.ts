/** The space that some templates write between a prompt and its answer. */

import type { RenderSample } from "./call-syntax.js";

const QUESTION = { role: "user", content: "Hello" } as const;
const ANSWER = "What is said";

/** Whether what a prompt goes on with is a space and the answer, as in Llama 2's `[/INST] Hello`. */
export function spacesAnswers(render: RenderSample): boolean {
    try {
        const prompt = render([QUESTION], {}, true);
        const whole = render([QUESTION, { role: "assistant", content: ANSWER }], {}, false);
        return whole.startsWith(`${prompt} ${ANSWER}`);
    } catch {
        // What is wrong with the template shows where it is used.
        return false;
    }
}
