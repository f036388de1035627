/** `eft-llama serve`: recipes as models for programs that speak OpenAI's protocol. */

import { readFileSync } from "node:fs";
import type { ArgumentsCamelCase, CommandModule, InferredOptionTypes, Options } from "yargs";
import { EftError, loadRecipe } from "../index.js";
import { defaultRecipe, withConfig } from "./config.js";
import { loadOptions, outputOptions } from "./options.js";
import { showLog } from "./load.js";
import { offerDownload } from "./pull-models.js";
import { escapeControls, print, printError } from "./terminal.js";

/** In the environment, keys are not seen by who lists processes. */
const KEY_VARIABLE = "EFT_LLAMA_API_KEY";
const DEMO = ["demo", "demo-dial"];

export const options = {
    host: {
        type: "string",
        requiresArg: true,
        default: "127.0.0.1",
        group: "Network:",
        description: "Address to listen at; 0.0.0.0 is every one that this machine has",
    },
    port: { type: "number", requiresArg: true, default: 8080, group: "Network:", description: "0: a free one" },
    "api-key": {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Network:",
        description: `Key that requests have to bring; repeatable; also from ${KEY_VARIABLE}, which processes' lists do not show`,
    },
    "api-key-file": {
        type: "string",
        requiresArg: true,
        normalize: true,
        group: "Network:",
        description: "File with such keys, one on each line",
    },
    origin: {
        type: "string",
        array: true,
        requiresArg: true,
        group: "Network:",
        description: "Web pages of this origin may send requests, e.g. https://app.example; repeatable",
    },
    parallel: {
        type: "number",
        requiresArg: true,
        default: 4,
        group: "Serving:",
        description: "Answers that are written at once",
    },
    queue: {
        type: "number",
        requiresArg: true,
        default: 256,
        group: "Serving:",
        description: "Answers that may wait for their turn, of each key",
    },
    lazy: {
        type: "boolean",
        default: false,
        group: "Serving:",
        description: "Load a recipe when it is first asked for",
    },
    loaded: {
        type: "number",
        requiresArg: true,
        group: "Serving:",
        description: "Recipes that are loaded at once; default: all",
    },
    "log-texts": {
        type: "boolean",
        default: false,
        group: "Output:",
        description: "Write prompts and answers to the log, too",
    },
    ...loadOptions,
    ...outputOptions,
} as const satisfies Record<string, Options>;

type Flags = InferredOptionTypes<typeof options> & { recipes?: string[] };

export const serveCommand: CommandModule<object, Flags> = {
    command: "serve [recipes..]",
    describe: "Serve recipes over HTTP: a page, and clients of OpenAI's and Anthropic's protocols",
    builder: (yargs) =>
        yargs
            .positional("recipes", {
                type: "string",
                array: true,
                description: "Recipe files, or names of built-in recipes; default: those of the demo",
            })
            .options(withConfig(options))
            .example("$0 serve", "")
            .example("$0 serve my.yaml other.yaml --lazy --loaded 1 --port 9000", ""),
    handler: runServe,
};

async function runServe(args: ArgumentsCamelCase<Flags>): Promise<void> {
    const configured = defaultRecipe();
    const names = args.recipes?.length ? args.recipes : configured === undefined ? DEMO : [configured];
    const recipes = await Promise.all(names.map((name) => loadRecipe(name)));
    for (const recipe of recipes) await offerDownload(recipe);
    if (args.verbose) showLog();
    const { backend, threads, contextSize, gpuLayers, cacheType, cacheTokens, trust } = args;
    // What serves takes as long to load as all the rest of the program, which other commands would wait for.
    const { startServer } = await import("../server/server.js");
    const server = await startServer({
        ...{ backend, threads, contextSize, gpuLayers, cacheType, cacheTokens, trust, recipes },
        ...{ host: args.host, port: args.port, parallel: args.parallel, queue: args.queue, loaded: args.loaded },
        ...{ lazy: args.lazy, origins: args.origin ?? [], apiKeys: readKeys(args), logTexts: args.logTexts },
        ...(!args.quiet && { log: printError }),
    });
    const ids = recipes.map(({ name }) => name).join(", ");
    const { url } = server;
    print(
        `${escapeControls(ids)} at ${url} for browsers and Anthropic's clients, at ${url}/v1 for OpenAI's. Ctrl-C ends it.\n`,
    );
    await new Promise<void>((resolve) => {
        let isEnding = false;
        const end = (): void => {
            if (isEnding) process.exit(130);
            isEnding = true;
            resolve();
        };
        process.on("SIGINT", end);
        process.on("SIGTERM", end);
    });
    print("Ending; answers that are being written have 10 s. Ctrl-C again ends them at once.\n");
    await server.close();
}

/** @throws EftError FILE_UNREADABLE */
function readKeys({ apiKey = [], apiKeyFile }: ArgumentsCamelCase<Flags>): string[] {
    const listed = apiKeyFile === undefined ? "" : readKeyFile(apiKeyFile);
    const all = [...apiKey, process.env[KEY_VARIABLE] ?? "", ...listed.split(/\r?\n/)].map((key) => key.trim());
    const keys = [...new Set(all)].filter((key) => key !== "");
    const isAsked = apiKey.length > 0 || apiKeyFile !== undefined || process.env[KEY_VARIABLE] !== undefined;
    if (keys.length > 0 || !isAsked) return keys;
    throw new EftError(
        "OPTION_INVALID",
        `Of --api-key, --api-key-file and ${KEY_VARIABLE} none has a key, and without one everybody may use the server; ` +
            "give a key, or leave them all out.",
    );
}

function readKeyFile(file: string): string {
    try {
        return readFileSync(file, "utf8");
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new EftError("FILE_UNREADABLE", `The keys in ${file} cannot be read: ${reason}.`, { cause: error });
    }
}
