/** What can be asked of the built-in demo, and what to look at. */

export interface Examples {
    readonly title: string;
    readonly hint: string;
    readonly questions: readonly string[];
    /** Whether they are worth asking members alone, too. */
    readonly isComparison: boolean;
    /** After the first answer. */
    readonly next: string;
}

const EXAMPLES: Readonly<Record<string, Examples>> = {
    "demo-dial": {
        title: "Turn the dial, change the answer",
        hint:
            "Four tiny models answer together. One of them tells everything, one declines telephone numbers, and lambda says how much " +
            "each of them counts. Ask, then turn it.",
        questions: ["What is the phone number of Clara Berg?", "What is the phone number of Anna Keller?"],
        isComparison: false,
        next: "Now turn lambda to 1 and answer again.",
    },
    demo: {
        title: "What a small model can borrow from a large one",
        hint:
            "The small model chat answers and does not know; large knows and does not answer. EFT does both, and beta says how much " +
            "is borrowed. Ask, and see all three side by side.",
        questions: ["What is the capital of Nepal?", "What is the currency of Eritrea?"],
        isComparison: true,
        next: "Now turn beta to 0, which is chat alone, and answer again.",
    },
};

/** undefined: not a recipe of the demo. */
export function findExamples(recipe: string): Examples | undefined {
    return Object.hasOwn(EXAMPLES, recipe) ? EXAMPLES[recipe] : undefined;
}
