export { checkGraders, readGrader } from "./check.js";
export { gradeAnswer } from "./grade.js";
