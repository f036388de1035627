/** Paths that lead nowhere, or to something else: an error with a code that names the path, wherever a path is taken. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import {
    adHocRecipe,
    createChat,
    EftError,
    evaluate,
    findModel,
    loadChat,
    loadEnsemble,
    loadRecipe,
    parseRecipe,
    planDownload,
    planMemory,
    readGguf,
    readVocabularies,
    saveChat,
    type Ensemble,
    type Recipe,
} from "../../src/index.js";
import { demoFile, loadOnCpu, soloRecipe } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

const { folder, remove } = temporaryFolder();
const inFolder = (name: string): string => path.join(folder, name);
let ensemble: Ensemble;
beforeAll(async () => {
    mkdirSync(inFolder("folder"));
    writeFileSync(inFolder("file"), "a file");
    symlinkSync("circle", inFolder("circle"));
    ensemble = await loadOnCpu(soloRecipe(demoFile("small-chat")));
});
afterAll(async () => {
    await ensemble.dispose();
    remove();
});

const PATHS: Record<string, string> = {
    "a missing file": inFolder("missing"),
    "a missing folder": inFolder("missing/deep/file.gguf"),
    "a folder": inFolder("folder"),
    "a file of another kind": inFolder("file"),
    "a file in the place of a folder": inFolder("file/inside.gguf"),
    "a link to itself": inFolder("circle"),
    "a name that is too long": inFolder("x".repeat(5000)),
    "a name with a zero byte": inFolder("a\0b.gguf"),
    "no name": "",
    "a device": "/dev/full",
};

const TAKERS: Record<string, (place: string) => unknown> = {
    loadRecipe,
    readGguf,
    loadChat,
    "saveChat()": (place) => saveChat(place, createChat(ensemble)),
    "an experiment": (place) => evaluate([place], { folder: inFolder("results") }),
    "a family": (place) => evaluate(["paper"], { folder: inFolder("results"), family: place, limit: 1 }),
    "a folder of results": (place) => evaluate([], { folder: place }),
    "a folder of models": (place) => planDownload([], { folder: place }),
    "a place to look for models": (place) => findModel("hf:a/b:c", place),
    "a model": (place) => load(soloRecipe(place)),
    "models without a recipe": (place) => load(adHocRecipe({ base: place, tuned: place, reference: place })),
    "an adapter": (place) =>
        load(adHocRecipe({ base: demoFile("large-base"), lora: place, reference: demoFile("small-base") })),
    "a plan of the memory": (place) => planMemory({ members: [{ name: "m", model: place }] }),
    vocabularies: (place) => readVocabularies({ members: [{ name: "m", model: place }] }),
    "where a recipe stands": (place) => parseRecipe("eft: 2", { file: place }),
};

async function load(recipe: Recipe): Promise<void> {
    await (await loadEnsemble(recipe, { backend: "cpu", threads: 1 })).dispose();
}

describe.each(Object.keys(TAKERS))("%s", (name) => {
    test.each(Object.keys(PATHS))("%s", async (kind) => {
        const error: unknown = await Promise.resolve()
            .then(() => TAKERS[name]?.(PATHS[kind] ?? ""))
            .then(
                () => undefined,
                (thrown: unknown) => thrown,
            );
        // Some of it is right for some: a folder to write to, a device.
        if (error === undefined) return;
        expect(error).toBeInstanceOf(EftError);
        expect(EftError.isInstance(error) && error.code).not.toBe("NATIVE_FAILURE");
        expect((error as Error).message).not.toMatch(/^(E[A-Z]+:|The "path")/);
    });
});
