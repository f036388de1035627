export { checkGraders } from "./check.js";
export { gradeAnswer } from "./grade.js";
