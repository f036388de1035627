/** The flags of all commands together: what can be told of a word before it is known which command it belongs to. */

import type { Options } from "yargs";
import { options as chatOptions } from "./chat/chat.js";
import { options as checkOptions } from "./check.js";
import { options as completeOptions } from "./complete.js";
import { options as demoOptions } from "./demo.js";
import { options as doctorOptions } from "./doctor.js";
import { options as evalOptions } from "./eval.js";
import { options as inspectOptions } from "./inspect/inspect.js";
import { listOptions, removeOptions } from "./models.js";
import { pullOptions } from "./pull.js";
import { options as recipeCheckOptions } from "./recipe/check.js";
import { options as initOptions } from "./recipe/init.js";
import { options as showOptions } from "./recipe/show.js";
import { options as scoreOptions } from "./score.js";
import { options as serveOptions } from "./serve.js";

const SWITCH = { type: "boolean" } as const satisfies Options;
const GLOBAL = { help: { ...SWITCH, alias: "h" }, version: { ...SWITCH, alias: "v" } };
const OPTIONS: readonly Readonly<Record<string, Options>>[] = [
    ...[
        GLOBAL,
        completeOptions,
        chatOptions,
        scoreOptions,
        serveOptions,
        evalOptions,
        inspectOptions,
        checkOptions,
        doctorOptions,
        demoOptions,
        pullOptions,
    ],
    ...[recipeCheckOptions, initOptions, showOptions, listOptions, removeOptions],
];

/** Names and letters of flags, without hyphens, and whether a value follows them, which no two commands see differently. */
export const FLAGS: ReadonlyMap<string, boolean> = new Map(
    OPTIONS.flatMap((options) =>
        Object.entries(options).flatMap(([name, { alias = [], type }]) =>
            [name, ...[alias].flat()].map((each) => [each, type !== "boolean"] as const),
        ),
    ),
);
