/** Whether files can be members, as far as it is known without their weights. */

import { EftError } from "../errors.js";
import { readGguf, withVocabularies, type GgufSummary } from "../models/gguf.js";
import { loadBinding } from "../native/load-binding.js";
import type { Recipe } from "../types.js";
import { checkKind } from "./members.js";

/**
 * The headers of the models of a recipe, of each file once.
 *
 * @param recipe - whose files are on this machine
 * @throws EftError MODEL_*, LORA_INVALID where models are of a wrong kind or adapters do not fit
 */
export async function readHeaders({ members }: Recipe): Promise<GgufSummary[]> {
    const files = [...new Set(members.map(({ model }) => model))];
    await withVocabularies(files, (models) => {
        for (const spec of members) {
            const model = models[files.indexOf(spec.model)];
            if (model !== undefined) checkKind(spec, model);
        }
    });
    const summaries = await Promise.all(files.map(readGguf));
    for (const { name, model, lora } of members) {
        if (lora === undefined) continue;
        loadBinding().checkAdapter(lora.path);
        const [adapter, base] = [await readGguf(lora.path), summaries[files.indexOf(model)]];
        if (adapter.architecture !== base?.architecture) {
            throw new EftError(
                "LORA_INVALID",
                `${lora.path} is an adapter for ${adapter.architecture}, and the model of ${name} is ${base?.architecture}.`,
            );
        }
    }
    return summaries;
}
