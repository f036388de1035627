/** Models on the disk: in parts, replaced while the process runs, and after a failure. */

import { copyFileSync, mkdirSync, renameSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "@jest/globals";
import {
    collect,
    complete,
    findModel,
    planMemory,
    readGguf as readSummary,
    type Ensemble,
    type Recipe,
} from "../../src/index.js";
import { locateModels } from "../../src/models/model-files.js";
import { demoFile, demoRecipe, loadOnCpu, soloRecipe, withEnsemble } from "../helpers/demo.js";
import { readGguf, splitGguf, writeGguf, type Gguf, type Tensor } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { temporaryFolder } from "../helpers/temporary.js";

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
});
afterEach(() => temporary.remove());
const inFolder = (name: string): string => path.join(temporary.folder, name);

const answer = (recipe: Recipe): Promise<string> => withEnsemble(recipe, { sequences: 1 }, ask);

async function ask(ensemble: Ensemble): Promise<string> {
    const request = { prompt: "What is the capital of Peru?", maxTokens: 8, sampling: { temperature: 0 } };
    return (await collect(complete(ensemble, request))).text;
}

function halveFeedForward(tensor: Tensor): Tensor {
    const [width = 0, rows = 0] = tensor.shape;
    if (!tensor.name.endsWith("ffn_up.weight")) return tensor;
    return { ...tensor, shape: [width, rows / 2], data: tensor.data.subarray(0, tensor.data.length / 2) };
}

describe("a split model", () => {
    const whole = readGguf(demoFile("small-chat"));
    const part = (number: number, count = 3): string => inFolder(`m-0000${number}-of-0000${count}.gguf`);
    const splits = [
        ["with tensors in every part", [5, 5]],
        ["with none in the first", [0, 10]],
    ] as const;
    const write = (gguf: Gguf, sizes: readonly number[] = [5, 5]): void =>
        splitGguf(gguf, sizes).forEach((each, index, all) => writeGguf(part(index + 1, all.length), each));

    it.each(splits)("%s is one to all who use it, whichever part is named", async (_, sizes) => {
        write(whole, sizes);
        const [expected, alone] = [
            await answer(soloRecipe(demoFile("small-chat"))),
            await readSummary(demoFile("small-chat")),
        ];
        const plan = await planMemory(soloRecipe(demoFile("small-chat")));
        for (const number of [1, 2, 3]) {
            const recipe = soloRecipe(part(number));
            expect(findModel(part(number))).toBe(part(1));
            expect((await locateModels(recipe)).members).toMatchObject([{ model: part(1) }]);
            expect(await readSummary(part(number))).toEqual({ ...alone, file: part(1) });
            expect((await planMemory(recipe)).total).toEqual(plan.total);
            expect(await answer(recipe)).toBe(expected);
        }
    });

    it.each(splits)("%s that does not fit into memory is refused", async (_, sizes) => {
        write(whole, sizes);
        const { total } = await planMemory(soloRecipe(demoFile("small-chat")));
        const room = { ram: total.ram - 1, gpu: 0, unified: false };
        expect((await planMemory(soloRecipe(part(2)), { room, contextSize: 256, cacheTokens: 1024 })).problem).toMatch(
            /^The recipe needs/,
        );
    });

    it("whose parts have other names behind links is found by the links", async () => {
        write(whole);
        mkdirSync(inFolder("blobs"));
        for (const number of [1, 2, 3]) {
            renameSync(part(number), inFolder(`blobs/${number}`));
            symlinkSync(inFolder(`blobs/${number}`), part(number));
        }
        expect(await answer(soloRecipe(part(2)))).toBe(await answer(soloRecipe(demoFile("small-chat"))));
    });

    const truncate = (): void => writeFileSync(part(3), Buffer.alloc(100));
    const foreign = readGguf(demoFile("large-base"));
    it.each<[string, () => void, string, RegExp]>([
        [
            "a part is missing",
            () => renameSync(part(3), inFolder("x")),
            "MODEL_NOT_FOUND",
            /There is no file \S+m-00003-of/,
        ],
        [
            "the first part is missing",
            () => renameSync(part(1), inFolder("x")),
            "MODEL_NOT_FOUND",
            /m-00002-of\S+ is part 2 of 3/,
        ],
        ["a part is damaged", truncate, "MODEL_INVALID", /m-00003-of-00003\.gguf is not a usable GGUF/],
        [
            "a part is a pipe or folder",
            () => (renameSync(part(3), inFolder("x")), mkdirSync(part(3))),
            "MODEL_NOT_FOUND",
            /m-00003-of\S+ is a folder/,
        ],
        [
            "a part is another one",
            () => copyFileSync(part(2), part(3)),
            "MODEL_INVALID",
            /m-00003-of\S+ is not .*number 3 of the 3 parts/,
        ],
        [
            "a part is of a model with other tensors",
            () => writeGguf(part(3), splitGguf(foreign, [3, 5])[2] as Gguf),
            "MODEL_INVALID",
            /its parts hold \d+ tensors instead of \d+/,
        ],
        [
            "a part is of a model with tensors of other shapes",
            () =>
                writeGguf(
                    part(3),
                    splitGguf(
                        { ...foreign, tensors: foreign.tensors.slice(0, whole.tensors.length) },
                        [5, 5],
                    )[2] as Gguf,
                ),
            "MODEL_INVALID",
            /that tensor is in \S+m-00003-of-00003\.gguf; is this a part of the same model/,
        ],
        [
            "a part has a tensor of another shape",
            () =>
                writeGguf(
                    part(3),
                    splitGguf({ ...whole, tensors: whole.tensors.map(halveFeedForward) }, [5, 5])[2] as Gguf,
                ),
            "MODEL_LOAD_FAILED",
            /That tensor is in \S+m-00003-of-00003\.gguf; is this a part of the same model/,
        ],
        ["the first part has another name", () => copyFileSync(part(1), part(2)), "MODEL_INVALID", /m-00002/],
    ])("of which %s is refused, and the part is named", async (_, change, code, message) => {
        write(whole);
        change();
        await expect(loadOnCpu(soloRecipe(part(2)))).rejects.toMatchObject({
            code,
            message: expect.stringMatching(message),
        });
    });

    it("whose first part has another name says which it must have", async () => {
        write(whole);
        copyFileSync(part(1), inFolder("renamed.gguf"));
        await expect(loadOnCpu(soloRecipe(inFolder("renamed.gguf")))).rejects.toMatchObject({
            code: "MODEL_INVALID",
            message: expect.stringContaining("whose name must end with -00001-of-00003.gguf"),
        });
    });

    it("is not what has such a name alone", async () => {
        copyFileSync(demoFile("small-chat"), part(2));
        expect(findModel(part(2))).toBe(part(2));
        expect(await answer(soloRecipe(part(2)))).toBe(await answer(soloRecipe(demoFile("small-chat"))));
    });
});

describe("a file that was replaced", () => {
    const chat = readGguf(demoFile("small-chat"));
    const base = readGguf(demoFile("small-base"));
    /** Another file of the same size in the same place. */
    const replace = (file: string, gguf: Gguf): void => {
        const { size } = statSync(file);
        writeGguf(`${file}.new`, gguf);
        expect(statSync(`${file}.new`).size).toBe(size);
        renameSync(`${file}.new`, file);
    };

    it.each([
        ["a model", [chat], [base]],
        ["the second part of a model", splitGguf(chat, [8]), splitGguf(base, [8])],
    ] as const)("is read again though the old one is still in use: %s", async (_, before, after) => {
        const files = before.map((_, index) =>
            inFolder(before.length === 1 ? "m.gguf" : `m-0000${index + 1}-of-0000${before.length}.gguf`),
        );
        const [first = ""] = files;
        files.forEach((file, index) => writeGguf(file, before[index] as Gguf));
        const expected = await answer(soloRecipe(first));
        await withEnsemble(soloRecipe(first), {}, async (old) => {
            // Where the clock of the disk is coarse, both would have the same time.
            replace(files.at(-1) as string, after.at(-1) as Gguf);
            utimesSync(files.at(-1) as string, 1e9, 1e9);
            expect(await answer(soloRecipe(first))).not.toBe(expected);
            // Those of one host are no context of both.
            expect(await ask(await old.host.load(soloRecipe(first)))).not.toBe(expected);
            expect(await ask(old)).toBe(expected);
        });
    });

    it("is read again: an adapter", async () => {
        const recipe = demoRecipe(
            `members: { m: { model: small-chat-f16.gguf, lora: ${JSON.stringify(inFolder("a.gguf"))} } }\ncombination: m`,
        );
        const write = (deviation: number): void => {
            writeGguf(inFolder("a.gguf"), loraAdapter(chat, { rank: 4, deviation, targets: /ffn_up\.weight$/ }));
            utimesSync(inFolder("a.gguf"), 1e9, (1 + deviation) * 1e9);
        };
        write(0);
        const expected = await answer(recipe);
        await withEnsemble(recipe, {}, async () => {
            write(0.9);
            expect(await answer(recipe)).not.toBe(expected);
        });
    });
});

describe("a model in whose evaluation llama.cpp failed", () => {
    const chat = readGguf(demoFile("small-chat"));
    /** To all appearances the same file, whatever is written. */
    const write = (file: string, gguf: Gguf): void => {
        writeGguf(`${file}.new`, gguf);
        renameSync(`${file}.new`, file);
        utimesSync(file, 1e9, 1e9);
    };
    /** A recipe that llama.cpp fails in. */
    const failing = (model: string): Recipe => {
        const { tensors, ...adapter } = loraAdapter(chat, { rank: 4 });
        // A matrix too many: llama.cpp loads it, and fails an assertion when it multiplies.
        const deep = tensors.map((tensor) =>
            tensor.name.endsWith("lora_a")
                ? { ...tensor, shape: [...tensor.shape, 2], data: Buffer.concat([tensor.data, tensor.data]) }
                : tensor,
        );
        writeGguf(inFolder("deep.gguf"), { ...adapter, tensors: deep });
        return demoRecipe(
            `members: { m: { model: ${JSON.stringify(model)}, lora: ${JSON.stringify(inFolder("deep.gguf"))} } }\ncombination: m`,
        );
    };

    it("is loaded anew", async () => {
        const file = inFolder("m.gguf");
        write(file, chat);
        await expect(answer(failing(file))).rejects.toMatchObject({ code: "NATIVE_FAILURE" });
        write(file, readGguf(demoFile("small-base")));
        expect(await answer(soloRecipe(file))).toBe(await answer(soloRecipe(demoFile("small-base"))));
    });

    it("is loaded anew, and so are those that had gone before: one of the same file, and one that others still use", async () => {
        const [file, other] = [inFolder("m.gguf"), inFolder("n.gguf")];
        write(file, chat);
        write(other, readGguf(demoFile("small-base")));
        await withEnsemble(soloRecipe(other), {}, async (user) => {
            const expected = await ask(user);
            await withEnsemble(failing(file), {}, async (ensemble) => {
                const { host } = ensemble;
                for (const gone of [await host.load(soloRecipe(file)), await host.load(soloRecipe(other))])
                    await gone.dispose();
                await expect(ask(ensemble)).rejects.toMatchObject({ code: "NATIVE_FAILURE" });
                await expect(host.load(soloRecipe(file))).rejects.toMatchObject({ code: "NATIVE_FAILURE" });
            });
            for (const each of [file, other]) write(each, readGguf(demoFile("small-safe")));
            const safe = await answer(soloRecipe(demoFile("small-safe")));
            for (const each of [file, other]) expect(await answer(soloRecipe(each))).toBe(safe);
            expect(await ask(user)).toBe(expected);
        });
    });
});
