export { createJudge, type Judge, type JudgeOptions } from "./judge.js";
