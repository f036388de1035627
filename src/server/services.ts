/** What the endpoints stand on. */

import type { Host } from "../ensemble/host.js";
import type { AnswerDesk } from "./answers.js";
import type { ServedModels } from "./models.js";
import type { Places } from "./places.js";

export interface Services {
    readonly host: Host;
    readonly models: ServedModels;
    /** For answers. */
    readonly places: Places;
    /** For texts that are made into tokens, which takes no member. */
    readonly reading: Places;
    readonly desk: AnswerDesk;
}
