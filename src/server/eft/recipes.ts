/** `GET /v1/eft/recipes` and `POST /v1/eft/control`: the dials there are, and turning those of a running answer. */

import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { RequestError } from "../failures.js";
import type { Services } from "../services.js";

const ControlBody = Type.Object({
    id: Type.String({ description: "Of the answer, as its first part has it" }),
    parameters: Type.Record(Type.String(), Type.Number()),
});
type ControlBody = Static<typeof ControlBody>;

export function addRecipes(app: FastifyInstance, { desk, models }: Services): void {
    app.get("/v1/eft/recipes", { schema: { summary: "Recipes and their dials" } }, () => ({
        object: "list",
        data: models.recipes.map(
            ({ name, description, members, combination, parameters, conservative, speculation }) => ({
                id: name,
                description: description ?? "",
                members: members.map((member) => member.name),
                combination: combination.text,
                conservative:
                    conservative === undefined
                        ? null
                        : { top_p: conservative.topP, fallback: conservative.fallback.text },
                has_speculation: speculation !== undefined,
                parameters,
                loaded: models.isLoaded(name),
            }),
        ),
    }));
    app.post<{ Body: ControlBody }>(
        "/v1/eft/control",
        {
            schema: {
                body: ControlBody,
                summary: "Turns the dials of an answer that is being written, at its next token",
            },
            config: { names: { parameters: "parameters" } },
        },
        ({ body: { id, parameters }, client }) => {
            if (desk.turn(id, client, parameters)) return { id, parameters };
            throw new RequestError(
                404,
                `No answer ${JSON.stringify(id.slice(0, 100))} is being written; it may have ended.`,
                {
                    param: "id",
                    code: "not_running",
                },
            );
        },
    );
}
