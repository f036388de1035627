/** What the endpoints stand on. */

import type { Host } from "../ensemble/host.js";
import type { AnswerDesk } from "./answers.js";
import type { ServedModels } from "./models.js";
import type { Places } from "./places.js";

export interface Services {
    readonly host: Host;
    readonly models: ServedModels;
    readonly places: Places;
    readonly desk: AnswerDesk;
    /** Milliseconds after which a client is given up that takes nothing of its answer. */
    readonly stallMs: number;
}
