/** `GET /v1/eft/recipes` and `POST /v1/eft/control`: the dials there are, and turning those of a running answer. */

import type { FastifyInstance } from "fastify";
import Type, { type Static } from "typebox";
import { responses, listOf, named, nullable } from "../document.js";
import { RequestError } from "../failures.js";
import type { Services } from "../services.js";

const ControlBody = Type.Object({
    id: Type.String({ description: "Of the answer, as its first part has it" }),
    parameters: Type.Record(Type.String(), Type.Number()),
});
type ControlBody = Static<typeof ControlBody>;

const Dial = Type.Object({
    default: Type.Number(),
    min: Type.Number(),
    max: Type.Number(),
    description: Type.Optional(Type.String()),
});
const Recipe = named(
    "Recipe",
    Type.Object({
        id: Type.String({ description: "Of its model" }),
        description: Type.String(),
        members: Type.Array(Type.String()),
        combination: Type.String({ description: "Such as large + beta * (chat - small)" }),
        conservative: nullable(Type.Object({ top_p: Type.Number(), fallback: Type.String() })),
        has_speculation: Type.Boolean(),
        parameters: Type.Record(Type.String(), Dial),
        loaded: Type.Boolean(),
    }),
);
type Recipe = Static<typeof Recipe>;

export function addRecipes(app: FastifyInstance, { desk, models }: Services): void {
    app.get(
        "/v1/eft/recipes",
        {
            schema: {
                ...{ tags: ["EFT"], operationId: "listRecipes", summary: "Recipes and their dials" },
                response: responses(listOf(Recipe)),
            },
        },
        () => ({
            object: "list",
            data: models.recipes.map(
                ({ name, description, members, combination, parameters, conservative, speculation }): Recipe => ({
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
        }),
    );
    app.post<{ Body: ControlBody }>(
        "/v1/eft/control",
        {
            schema: {
                ...{ tags: ["EFT"], operationId: "turnDials" },
                summary: "Turns the dials of an answer that is being written, at its next token",
                body: ControlBody,
                response: responses(ControlBody),
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
