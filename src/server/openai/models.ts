/** `GET /v1/models`. */

import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { responses, listOf, named } from "../document.js";
import { RequestError } from "../failures.js";
import type { Services } from "../services.js";

const Model = named(
    "Model",
    Type.Object({
        id: Type.String(),
        object: Type.Literal("model"),
        created: Type.Integer({ description: "When the server began" }),
        owned_by: Type.String(),
    }),
);
type Model = Static<typeof Model>;

export function addModels(app: FastifyInstance, { models }: Services): void {
    const created = Math.floor(Date.now() / 1000);
    const list = models.recipes.map(({ name }): Model => ({
        id: name,
        object: "model",
        created,
        owned_by: "eft-llama",
    }));
    app.get(
        "/v1/models",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "listModels", summary: "What can be asked" },
                response: responses(listOf(Model)),
            },
        },
        () => ({ object: "list", data: list }),
    );
    app.get<{ Params: { model: string } }>(
        "/v1/models/:model",
        {
            schema: {
                ...{ tags: ["OpenAI"], operationId: "retrieveModel", summary: "One of them" },
                response: responses(Model),
            },
        },
        ({ params }): Model => {
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
