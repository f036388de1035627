import type { StandIns } from "./stand-ins.js";
import type { Values } from "./values.js";
import type { Work } from "./work.js";

/** What everything that a template does needs. */
export interface Context {
    readonly work: Work;
    readonly standIns: StandIns;
    readonly values: Values;
}
