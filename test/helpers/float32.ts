/** The demo family in float32, where batches change next to nothing, written to a folder of their own. */

import path from "node:path";
import { parseRecipe, type Recipe } from "../../src/index.js";
import { demoFile, type DemoModel } from "./demo.js";
import { readGguf, toFloat32, writeGguf } from "./gguf.js";
import { temporaryFolder } from "./temporary.js";

/** Of a recipe: up-scaling with {@link UPSCALING_MODELS}. */
export const UPSCALING = `
members:
    large: { model: large-base.gguf }
    chat: { model: small-chat.gguf }
    small: { model: small-base.gguf }
parameters: { beta: { default: 1, min: 0, max: 2 } }
combination: chat + beta * (large - small)
`;
export const UPSCALING_MODELS = ["large-base", "small-chat", "small-base"] as const satisfies readonly DemoModel[];

export interface Float32Family {
    /** A recipe from YAML without its first lines; model paths are `<model>.gguf`. */
    readonly recipe: (yaml: string) => Recipe;
    readonly folder: string;
    readonly remove: () => void;
}

export function writeFloat32Family(models: readonly DemoModel[]): Float32Family {
    const { folder, remove } = temporaryFolder();
    for (const model of models) {
        writeGguf(path.join(folder, `${model}.gguf`), toFloat32(readGguf(demoFile(model))));
    }
    return { folder, recipe: (yaml) => parseRecipe(`eft: 1\nname: float32\n${yaml}`, { directory: folder }), remove };
}
