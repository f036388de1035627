/** llama.cpp's attributes of all tokens, read once for all models that have the same tokens. */

import type { NativeModel } from "../native/binding.js";

const ofModels = new WeakMap<NativeModel, Int32Array>();
/** By a hash of texts and attributes. */
const tables = new Map<string, WeakRef<Int32Array>>();

/**
 * The attributes of a model's tokens, one per id. Models whose tokens have the same texts and attributes get the same array, so
 * that what is derived from the tokens can be kept by it.
 */
export function tokenAttributes(model: NativeModel): Int32Array {
    let attributes = ofModels.get(model);
    if (attributes === undefined) {
        const width = model.info.vocabularySize;
        const key = `${width} ${model.vocabularyHash(width)}`;
        attributes = tables.get(key)?.deref() ?? model.tokenAttributes();
        for (const [other, table] of tables) if (table.deref() === undefined) tables.delete(other);
        tables.set(key, new WeakRef(attributes));
        ofModels.set(model, attributes);
    }
    return attributes;
}
