export { createJudge, JUDGE_OPTIONS, type Judge, type JudgeOptions, type JudgeSummary } from "./judge.js";
