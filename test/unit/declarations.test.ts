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

/** Of a program's own: interfaces have no index signature. */
interface Message {
    role: "user" | "assistant";
    content: string | null;
    calls?: number;
}
interface Told {
    user: string;
    answer: string;
}
declare const told: Told;

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
    const stream = eft.complete(ensemble, { prompt: "Hello" }).toReadableStream();
    for await (const text of stream.pipeThrough(new TextDecoderStream())) if (text.length > 10) break;
    new Response(chat.send("Hello").toReadableStream().pipeThrough(new CompressionStream("gzip")));
    const messages: Message[] = [{ role: "user", content: "Hello" }, { role: "assistant", content: null, calls: 1 }];
    eft.complete(ensemble, { prompt: messages });
    eft.createChat(ensemble, { turns: [told] });
    await eft.score(ensemble, [{ context: messages, continuation: "Lima" }]);
    await ensemble.countTokens(messages);
    ensemble.detokenize(await ensemble.tokenize("Hello"));
    await ensemble.countTokens([{ role: "user", content: "Hello" }], { templateVariables: undefined });
    for await (const part of completion) if (part.type === "finish") return part.reason;
    const error: unknown = signal?.reason;
    return eft.EftError.isInstance(error) && error.name === "AbortError" ? error.code : (await eft.collect(answer)).text;
}
`;

/** What comes out of LangChain's structured output, and what the AI SDK takes. */
const FRAMEWORKS = `
import type { LanguageModelV3, LanguageModelV3CallOptions } from "@ai-sdk/provider";
import { createEftModel, type EftOptions } from "eft-llama/ai-sdk";
import { ChatEft } from "eft-llama/langchain";
import { z } from "zod";

export const model: LanguageModelV3 = createEftModel("demo", { contextSize: 512 });
const eft: EftOptions = {
    parameters: { beta: 1 }, sampling: { minP: 0.1 }, logitBias: { 5: -1 }, grammar: "", readAhead: 1,
    speculation: { length: 3, drafterSampling: { temperature: 0 } }, templateVariables: { list: [{ a: true }] },
};
export const providerOptions: LanguageModelV3CallOptions["providerOptions"] = { eft };
// @ts-expect-error -- a function is no JSON
export const look: EftOptions = { speculation: { lookup: () => [] } };
// @ts-expect-error -- there is no such option
export const wrong = new ChatEft({ model: "demo", load: { ctx: 512 } });

export async function ask(chat: ChatEft): Promise<string[]> {
    const cities = await chat.withStructuredOutput(z.array(z.object({ city: z.string() }))).invoke("Which?");
    const { parsed } = await chat.withStructuredOutput(z.array(z.string()), { includeRaw: true }).invoke("Which?");
    const one = await chat.withStructuredOutput(z.object({ size: z.number() })).invoke("Which?");
    const size: number = one.size;
    // @ts-expect-error -- what is a number is no text
    const text: string = one.size;
    // @ts-expect-error -- a list has no such property
    cities.city;
    const any: Record<string, unknown> = await chat.withStructuredOutput({ type: "object" }).invoke("Which?");
    return [...parsed, ...cities.map(({ city }) => city), String([size, text, any])];
}
`;

const { folder, remove } = temporaryFolder();
afterAll(remove);
beforeAll(() => {
    mkdirSync(path.join(folder, "node_modules"));
    symlinkSync(repository, path.join(folder, "node_modules", "eft-llama"));
    for (const name of ["@types", "@langchain", "@ai-sdk", "zod"])
        symlinkSync(path.join(repository, "node_modules", name), path.join(folder, "node_modules", name));
    writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }');
    writeFileSync(path.join(folder, "main.ts"), PROGRAM);
    writeFileSync(path.join(folder, "frameworks.ts"), FRAMEWORKS);
});

test.each<[string, ts.CompilerOptions]>([
    ["the compiler's defaults", {}],
    ["what pages know besides", { lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.asynciterable.d.ts"] }],
    [
        "all that is strict",
        { exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, noImplicitOverride: true },
    ],
])("a program compiles with %s, declarations included", (_name, options) => {
    expect(compile("main.ts", { ...options, skipLibCheck: false })).toEqual([]);
});

test.each([false, true])("what models of frameworks take and give has its types, exactly: %s", (isExact) => {
    // Their packages' own declarations are not ours to check.
    expect(compile("frameworks.ts", { skipLibCheck: true, exactOptionalPropertyTypes: isExact })).toEqual([]);
});

/** What the compiler says. */
function compile(file: string, options: ts.CompilerOptions): readonly string[] {
    const all: ts.CompilerOptions = {
        ...{ noEmit: true, strict: true, types: ["node"] },
        ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.NodeNext },
        ...{ moduleResolution: ts.ModuleResolutionKind.NodeNext },
        ...options,
    };
    return ts
        .getPreEmitDiagnostics(ts.createProgram([path.join(folder, file)], all))
        .map(
            ({ file: source, messageText }) =>
                `${source?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, "\n")}`,
        );
}
