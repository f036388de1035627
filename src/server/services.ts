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
}
