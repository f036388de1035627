/** The marks of a judge model, given when all answers are there, since it may compare those of two systems. */

import { EftError } from "../errors.js";
import { agree } from "./grid.js";
import type { Judge } from "./judge/index.js";
import type { Answer, Experiment, GraderSpec, Task } from "./types.js";

type JudgeGrader = Extract<GraderSpec, { type: "judge" }>;

export function usesJudge({ tasks }: Experiment): boolean {
    return tasks.some((task) => judgeGraders(task).length > 0);
}

/** @throws EftError OPTION_INVALID if the experiment asks for a judge and there is none */
export function checkJudge({ name, tasks }: Experiment, isGiven: boolean): void {
    const task = tasks.find((each) => judgeGraders(each).length > 0);
    if (task === undefined || isGiven) return;
    throw new EftError(
        "OPTION_INVALID",
        `The task "${task.name}" of the experiment "${name}" is graded by a judge model; name one with --judge-url and ` +
            "--judge-model.",
    );
}

/**
 * The answers with the judge's marks added. Those of an `against` are compared with the named system's answer to the same
 * item, at the settings that both have. Where the judge gave no verdict, there is no mark, and the answer says so.
 *
 * @throws EftError JUDGE_FAILED, ABORTED; verdicts so far are kept in the judge's cache
 */
export async function judgeAnswers(
    { tasks }: Experiment,
    answers: readonly Answer[],
    judge: Judge,
): Promise<readonly Answer[]> {
    async function judgeAnswer(answer: Answer): Promise<Answer> {
        const task = tasks.find(({ name }) => name === answer.task);
        const item = task?.items.find(({ id }) => id === answer.item);
        if (task === undefined || item?.kind !== "question") return answer;
        const marks: Record<string, number> = {};
        const withoutVerdict: string[] = [];
        for (const [measure, { criterion, against }] of judgeGraders(task)) {
            const text = answer.text ?? "";
            const other = against === undefined ? undefined : findOther(answers, answer, against);
            if (against !== undefined && other === undefined) continue;
            try {
                marks[measure] = await (other === undefined
                    ? judge.mark(criterion, item, text)
                    : judge.compare(criterion, item, text, other.text ?? ""));
            } catch (error) {
                if (!EftError.isInstance(error) || error.code !== "JUDGE_VERDICT_INVALID") throw error;
                withoutVerdict.push(measure);
            }
        }
        const grades = { ...answer.grades, ...marks };
        return { ...answer, grades, ...(withoutVerdict.length > 0 && { withoutVerdict }) };
    }
    // The judge itself limits how many requests run at once.
    return Promise.all(answers.map(judgeAnswer));
}

function judgeGraders({ graders }: Task): [string, JudgeGrader][] {
    return Object.entries(graders).filter((entry): entry is [string, JudgeGrader] => entry[1].type === "judge");
}

function findOther(answers: readonly Answer[], answer: Answer, against: string): Answer | undefined {
    return answers.find(
        ({ system, settings, task, item }) =>
            system === against && task === answer.task && item === answer.item && agree(settings, answer.settings),
    );
}
