// Vocabularies of well-known families, as the tests have them.

import { tsImport } from "tsx/esm/api";

const importHelper = (name) => tsImport(`../test/helpers/${name}.ts`, import.meta.url);

/** A GGUF file without weights. @throws Error that says how to get the vocabulary, if it is not there */
export async function findVocabulary(name, folder) {
    const { isFetched } = await importHelper("real-tokenizers");
    if (!isFetched(name)) throw new Error("`node scripts/real-vocabularies.mjs` fetches the vocabularies.");
    const { writeVocabulary } = await importHelper("vocabulary-file");
    return { name, file: writeVocabulary(name, folder) };
}
