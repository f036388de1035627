/** What the declarations of the package promise to those who compile against them. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import ts from "typescript";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";

/** Uses every group of options, with values that may be undefined. */
const PROGRAM = `
import * as eft from "eft-llama";
import type { startHost } from "eft-llama/electron";
import type { connect } from "eft-llama/electron/renderer";

export type Others = [typeof startHost, typeof connect];
type Undefined<T> = { [Key in keyof T]: Key extends "prompt" | "folder" | "url" | "model" | "base" | "reference" ? T[Key] : undefined };
function absent<T>(names: readonly (keyof T)[]): Undefined<T> {
    return Object.fromEntries(names.map((name) => [name, undefined])) as Undefined<T>;
}

export async function use(signal: AbortSignal | undefined, seed: number | undefined): Promise<string> {
    const sampling = { temperature: seed, topK: undefined };
    await using ensemble = await eft.loadEnsemble(await eft.loadRecipe("demo"), { signal, contextSize: seed, ...absent<eft.LoadOptions>([]) });
    await using completion = eft.complete(ensemble, { prompt: "Hello", signal, seed, sampling, ...absent<Omit<eft.CompletionOptions, "prompt">>([]) });
    await eft.score(ensemble, [{ continuation: "Lima", context: undefined }], { signal, ...absent<eft.ScoreOptions>([]) });
    const chat = eft.createChat(ensemble, { seed, sampling, ...absent<eft.ChatOptions>([]) });
    chat.setSampling({ ...sampling, seed });
    await using answer = chat.send("Hello", { signal, ...absent<eft.AnswerOptions>([]) });
    await eft.planMemory(ensemble.recipe, absent<eft.MemoryOptions>([]));
    const plan = await eft.planDownload([], { signal, folder: undefined });
    await eft.downloadModels(plan, { signal, ...absent<eft.DownloadOptions>([]) });
    await eft.evaluate([], { folder: "results", signal, ...absent<Omit<eft.EvaluationOptions, "folder">>([]) });
    eft.adHocRecipe({ base: "a", reference: "b", tuned: undefined, lora: "c", beta: seed });
    eft.parseRecipe("", absent<eft.RecipeOrigin>([]));
    new Response(eft.complete(ensemble, { prompt: "Hello" }).toReadableStream());
    ensemble.detokenize(await ensemble.tokenize("Hello"));
    await ensemble.countTokens([{ role: "user", content: "Hello" }], { templateVariables: undefined });
    for await (const part of completion) if (part.type === "finish") return part.reason;
    const error: unknown = signal?.reason;
    return eft.EftError.isInstance(error) && error.name === "AbortError" ? error.code : (await eft.collect(answer)).text;
}
`;

const { folder, remove } = temporaryFolder();
afterAll(remove);
beforeAll(() => {
    mkdirSync(path.join(folder, "node_modules"));
    symlinkSync(repository, path.join(folder, "node_modules", "eft-llama"));
    symlinkSync(path.join(repository, "node_modules", "@types"), path.join(folder, "node_modules", "@types"));
    writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(path.join(folder, "main.ts"), PROGRAM);
});

test.each<[string, ts.CompilerOptions]>([
    ["the compiler's defaults", {}],
    ["what pages know besides", { lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.asynciterable.d.ts"] }],
    [
        "all that is strict",
        { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noImplicitOverride: true },
    ],
])("a program compiles with %s, declarations included", (_name, options) => {
    const all: ts.CompilerOptions = {
        ...{ noEmit: true, strict: true, skipLibCheck: false, types: ["node"] },
        ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext },
        ...{ moduleResolution: ts.ModuleResolutionKind.NodeNext },
        ...options,
    };
    const program = ts.createProgram([path.join(folder, "main.ts")], all);
    const messages = ts
        .getPreEmitDiagnostics(program)
        .map(({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`);
    expect(messages).toEqual([]);
});
