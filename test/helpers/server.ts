/** A server of the demo recipes, and what its numbers say. */

import { loadRecipe, parseRecipe, type Recipe } from "../../src/index.js";
import { startServer, type EftServer, type ServerOptions } from "../../src/server/index.js";
import { readText } from "./demo.js";
import { writeFloat32Family } from "./float32.js";

/** The demo recipes in float32, so that a text is the same whatever else runs and whatever a cache holds. */
export function writeDemoRecipes(): { readonly recipes: readonly [Recipe, Recipe]; readonly remove: () => void } {
    const { folder, remove } = writeFloat32Family(["large-base", "small-chat", "small-base", "small-safe"]);
    const read = (name: string): Recipe => {
        const text = readText(`recipes/${name}.yaml`)
            .replaceAll("../models/demo/", "")
            .replaceAll("-f16.gguf", ".gguf");
        return parseRecipe(text, { directory: folder });
    };
    return { recipes: [read("demo"), read("demo-dial")], remove };
}

/** A free port, one thread on the CPU, the demo recipes. */
export async function serveDemo(options: Partial<ServerOptions> = {}): Promise<EftServer> {
    const recipes = await Promise.all([loadRecipe("demo"), loadRecipe("demo-dial")]);
    return startServer({ recipes, port: 0, contextSize: 1024, backend: "cpu", threads: 1, ...options });
}

/** A number of `GET /metrics`. */
export async function readMetric({ url }: EftServer, name: string): Promise<number> {
    const text = await (await fetch(`${url}/metrics`)).text();
    const line = text.split("\n").find((each) => each.startsWith(`eft_llama_${name} `));
    return Number(line?.split(" ")[1]);
}

/** Waits until a number of `GET /metrics` is that; a test that waits for ever fails by its limit. */
export async function untilMetric(server: EftServer, name: string, value: number): Promise<void> {
    while ((await readMetric(server, name)) !== value) await new Promise((resolve) => setTimeout(resolve, 5));
}

export interface Posted {
    readonly status: number;
    readonly headers: Headers;
    // eslint-disable-next-line @typescript-eslint/no-explicit-any
    readonly body: any;
}

/** Sends JSON, or a text as it is. */
export async function post(
    { url }: Pick<EftServer, "url">,
    path: string,
    body: unknown,
    headers: Readonly<Record<string, string>> = {},
): Promise<Posted> {
    const response = await fetch(url + path, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers },
        body: typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
}
