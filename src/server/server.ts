/** A server for OpenAI's protocol: recipes as models, on one host. */

import type { AddressInfo } from "node:net";
import { createHost } from "../ensemble/host.js";
import { checkOptions } from "../options.js";
import { EftError } from "../errors.js";
import { createAnswerDesk } from "./answers.js";
import { addMessages } from "./anthropic/messages.js";
import { createApp, urlHost } from "./app.js";
import { createModels } from "./models.js";
import { addRecipes } from "./eft/recipes.js";
import { addScore } from "./eft/score.js";
import { addTexts } from "./eft/texts.js";
import { createMetrics } from "./metrics.js";
import { addChatCompletions } from "./openai/chat.js";
import { addCompletions } from "./openai/completions.js";
import { addModels } from "./openai/models.js";
import { addResponses } from "./openai/responses.js";
import { SERVER_OPTIONS, type ServerOptions } from "./options.js";
import { addPage } from "./page-files.js";
import { createPlaces, type Asker } from "./places.js";
import type { Services } from "./services.js";

/** A server that listens. Created by {@link startServer}. */
export interface EftServer {
    /** Where it can be reached, such as `http://127.0.0.1:8080`. */
    readonly url: string;
    /**
     * Takes no more requests; what runs may go on for `closeMs` milliseconds and then ends with a finish reason; then everything is
     * freed. May be called again.
     */
    close(): Promise<void>;
    /** The same as close(), for `await using`. */
    [Symbol.asyncDispose](): Promise<void>;
}

/** Milliseconds in which an answer that was ended reaches its client. */
const PARTING_MS = 1000;
/** Texts that are made into tokens at once: Node's threads are for steps, too. */
const READERS = 2;
/** Who asks for what is loaded at the start. */
const OWN: Asker = { key: "", signal: new AbortController().signal };

/**
 * Serves recipes over HTTP.
 *
 * @throws EftError OPTION_INVALID, ADDRESS_UNAVAILABLE, BACKEND_UNAVAILABLE, ADDON_*; without `lazy` also what {@link Host.load} throws
 */
export async function startServer(chosen: ServerOptions): Promise<EftServer> {
    const options = checkOptions("startServer", chosen, SERVER_OPTIONS);
    const { recipes, parallel = 4, queue = 256, host: given = "127.0.0.1", port = 8080, closeMs = 10_000 } = options;
    // As in URLs.
    const address = given.replace(/^\[(.*)\]$/, "$1");
    const { backend, threads, batchSize, cacheTokens, contextSize, gpuLayers, cacheType, trust } = options;
    const host = createHost({ backend, threads, batchSize, cacheTokens, sequences: parallel, waiting: 1000 });
    try {
        const models = createModels(host, recipes, {
            most: options.loaded ?? recipes.length,
            queue,
            ...{ contextSize, gpuLayers, cacheType, trust },
        });
        const places = createPlaces(parallel, queue);
        const reading = createPlaces(READERS, queue);
        const metrics = createMetrics();
        const desk = createAnswerDesk(models, places, metrics.count);
        if (options.lazy !== true)
            for (const { name } of recipes.slice(0, options.loaded)) (await models.use(name, OWN)).release();
        const app = await createApp({
            apiKeys: options.apiKeys ?? [],
            origins: options.origins ?? [],
            bodyBytes: options.bodyBytes ?? 4 * 2 ** 20,
            requestMs: options.requestMs ?? 60_000,
            stallMs: options.stallMs ?? 30_000,
            host: address,
            logTexts: options.logTexts ?? false,
            log: options.log,
            onReply: metrics.countReply,
        });
        const services: Services = { host, models, places, reading, desk };
        metrics.serve(app, services);
        addModels(app, services);
        addChatCompletions(app, services);
        addCompletions(app, services);
        addResponses(app, services);
        await addMessages(app, services);
        addRecipes(app, services);
        addScore(app, services);
        addTexts(app, services);
        addPage(app);
        try {
            // Under the name there may be two addresses, which would be two servers.
            await app.listen({ host: address.toLowerCase() === "localhost" ? "127.0.0.1" : address, port });
        } catch (error) {
            const reason = error instanceof Error ? error.message : String(error);
            throw new EftError(
                "ADDRESS_UNAVAILABLE",
                `The server cannot listen at ${address}, port ${port}: ${reason}. Choose another port or address.`,
                { cause: error },
            );
        }
        let closing: Promise<void> | undefined;
        async function shut(): Promise<void> {
            const ending = setTimeout(() => desk.end(), closeMs);
            // Who has not sent all of a request, or does not read, would keep it open.
            const cutting = setTimeout(() => app.server.closeAllConnections(), closeMs + PARTING_MS);
            try {
                await app.close();
            } finally {
                clearTimeout(ending);
                clearTimeout(cutting);
                await host.dispose();
            }
        }
        const close = (): Promise<void> => (closing ??= shut());
        const { port: taken } = app.server.address() as AddressInfo;
        return { url: `http://${urlHost(address)}:${taken}`, close, [Symbol.asyncDispose]: close };
    } catch (error) {
        await host.dispose();
        throw error;
    }
}
