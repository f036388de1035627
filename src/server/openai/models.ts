/** `GET /v1/models`. */

import type { FastifyInstance } from "fastify";
import { RequestError } from "../failures.js";
import type { Services } from "../services.js";

export function addModels(app: FastifyInstance, { models }: Services): void {
    const created = Math.floor(Date.now() / 1000);
    const list = models.recipes.map(({ name }) => ({ id: name, object: "model", created, owned_by: "eft-llama" }));
    app.get("/v1/models", { schema: { summary: "What can be asked" } }, () => ({ object: "list", data: list }));
    app.get<{ Params: { model: string } }>(
        "/v1/models/:model",
        { schema: { summary: "One of them" } },
        ({ params }) => {
            const found = list.find(({ id }) => id === params.model);
            if (found !== undefined) return found;
            throw new RequestError(
                404,
                `There is no model ${JSON.stringify(params.model.slice(0, 100))}; GET /v1/models lists them.`,
                {
                    param: "model",
                    code: "model_not_found",
                },
            );
        },
    );
}
