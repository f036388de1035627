export { createJudge, JUDGE_OPTIONS, type Judge, type JudgeOptions } from "./judge.js";
