/** Applies a pattern that takes a fifth to two fifths of a second, and prints its grade. */

import { gradeAnswer } from "../../../src/eval/graders/index.js";

const question = { kind: "question", id: "q", prompt: "?", answers: [], fields: {} } as const;
const grade = (length: number): number | undefined =>
    gradeAnswer(question, { text: "a".repeat(length), reason: "stop" }, { it: { type: "regex", pattern: "^(a+)+b" } })[
        "it"
    ];

// Each letter doubles the time.
let length = 10;
for (let seconds = 0; seconds < 0.1; length++) {
    const before = process.cpuUsage();
    grade(length);
    seconds = process.cpuUsage(before).user / 1e6;
}
console.log("matching");
console.log(grade(length));
