/** Marks for the text of an answer: what each type of grader means is said at {@link GraderSpec}. */

import type { Answer, GraderSpec, Question } from "../types.js";
import { matchesWhole, occurs } from "./pattern.js";
import { declines } from "./refusal.js";
import { containsWords, isSame } from "./text.js";

/** What graders look at. */
export type GradedText = Required<Pick<Answer, "text" | "reason">>;

type Graders = Readonly<Record<string, GraderSpec>>;
type TextGrader = Exclude<GraderSpec, { type: "judge" }>;

/**
 * @param graders - by the name of the measure; {@link checkGraders} has found nothing wrong with them
 * @returns 1 or 0 for each of them, apart from those of the type `judge`
 * @throws EftError PATTERN_UNUSABLE
 */
export function gradeAnswer(question: Question, answer: GradedText, graders: Graders): Record<string, number> {
    const grades: Record<string, number> = {};
    for (const [name, grader] of Object.entries(graders))
        if (grader.type !== "judge") grades[name] = Number(passes(question, answer, grader, graders));
    return grades;
}

function passes(question: Question, answer: GradedText, grader: TextGrader, graders: Graders): boolean {
    const { text, reason } = answer;
    switch (grader.type) {
        case "exact":
            return question.answers.some((expected) => isSame(text, expected));
        case "contains":
            return question.answers.some((expected) => containsWords(text, expected, grader.ignoreCase));
        case "regex":
            return occurs(patternOf(question, grader), text);
        case "format":
            return reason === "stop" && matchesWhole(patternOf(question, grader), text.trim());
        case "refusal":
            return declines(text, grader.phrases);
        case "all":
            return grader.of.every((name) => passesNamed(question, answer, name, graders));
        case "any":
            return grader.of.some((name) => passesNamed(question, answer, name, graders));
        case "not":
            return !passesNamed(question, answer, grader.of, graders);
    }
}

function passesNamed(question: Question, answer: GradedText, name: string, graders: Graders): boolean {
    const grader = graders[name];
    if (grader === undefined || grader.type === "judge") throw new Error(`The grader ${name} has not been checked.`);
    return passes(question, answer, grader, graders);
}

function patternOf({ id, fields }: Question, { pattern, field = "" }: { pattern?: string; field?: string }): string {
    const text = pattern ?? fields[field];
    if (text === undefined) throw new Error(`That item ${id} has the field ${field} has not been checked.`);
    return text;
}
