/** The special tokens of a chat template: whose they are, who reads them as tokens, and what they call for. */

import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { openEnsemble } from "../../src/cli/load.js";
import { parseRecipe, readVocabularies, recommendControlTokens } from "../../src/index.js";
import { demoFile, QUESTIONS, withEnsemble } from "../helpers/demo.js";
import { readGguf, toFloat32, withMetadata, writeGguf, type Gguf, type MetadataValue } from "../helpers/gguf.js";
import { loraAdapter } from "../helpers/lora.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { addTokens, TOKEN_TYPE, withEos, withTokenTypes } from "../helpers/vocabulary.js";

const { folder, remove } = temporaryFolder();
afterAll(remove);
const file = (name: string): string => path.join(folder, `${name}.gguf`);

const string = (value: string): MetadataValue => ({ type: "string", value });
const uint32 = (value: number): MetadataValue => ({ type: "uint32", value });
const withTemplate = (gguf: Gguf, template: string): Gguf =>
    withMetadata(gguf, { "tokenizer.chat_template": string(template) });

const CHATML =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
    "{{ '<|im_start|>assistant\n' }}";
/** Of the demo family, spelled like a control token: `[INST]`. */
const INST = 3;
const [NEW_BOS, NEW_EOS] = [300, 301];
/** `.` */
const STOP = 1989;
const SMALL = demoFile("small-base");

beforeAll(() => {
    const [chat, small] = [readGguf(demoFile("small-chat")), readGguf(SMALL)];
    const write = (name: string, gguf: Gguf): void => writeGguf(file(name), gguf);
    // The same tokens, but others begin and end a text, as in many a fine-tuning.
    write("own-special", withMetadata(withEos(chat, NEW_EOS), { "tokenizer.ggml.bos_token_id": uint32(NEW_BOS) }));
    write("own-eos", withEos(chat, NEW_EOS));
    const noBos: MetadataValue = { type: "bool", value: false };
    write(
        "stop-bos",
        withMetadata(chat, { "tokenizer.ggml.bos_token_id": uint32(STOP), "tokenizer.ggml.add_bos_token": noBos }),
    );
    write("text-chatml", withTemplate(chat, CHATML));
    write("no-template", withMetadata(chat, { "tokenizer.chat_template": undefined }));
    write("refuses", withTemplate(chat, "{{ raise_exception('no') }}"));
    const added = ["<|im_start|>", "<|im_end|>"].map((text) => ({ text, type: TOKEN_TYPE.control }));
    write("chatml", withTemplate(addTokens(toFloat32(chat), added), CHATML));
    // As Gemma has them: control tokens of both, spelled in another way, and never seen by the base.
    write("inst-control", withTokenTypes(chat, { [INST]: TOKEN_TYPE.control, [INST + 1]: TOKEN_TYPE.control }));
    write("inst-control-base", withTokenTypes(small, { [INST]: TOKEN_TYPE.control, [INST + 1]: TOKEN_TYPE.control }));
    writeGguf(file("adapter"), loraAdapter(small, { rank: 2 }));
});

const pair = (chat: string, template: string): string => `
eft: 1
name: pair
members: { chat: { model: ${JSON.stringify(file(chat))} }, small: { model: ${JSON.stringify(SMALL)} } }
combination: chat + 0.5 * small
prompt: { template: ${JSON.stringify(template)} }`;

describe("bos_token and eos_token", () => {
    const WRITTEN = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{{ eos_token }}{% endfor %}";
    test("a BOS that is an ordinary text stays at the beginning of a message", async () => {
        await withEnsemble(
            parseRecipe(pair("stop-bos", "{{ messages[0].content }}"), { directory: folder }),
            {},
            async ({ members }) => {
                for (const { prompt } of members) {
                    const tokens = await prompt.tokenize([{ role: "user", content: ". Lima" }]);
                    expect(Array.from(tokens)).toContain(STOP);
                }
            },
        );
    });

    const conversation = [
        { role: "user", content: QUESTIONS[0] },
        { role: "assistant", content: "It is Lima." },
        { role: "user", content: QUESTIONS[1] },
    ] as const;

    test.each([
        ["of a template from a member are that member's, for all", "from chat", true],
        ["of a template from another member are that one's", "from small", true],
        ["of a template in the recipe are each member's own", WRITTEN, false],
    ])("%s", async (_name, template, isShared) => {
        await withEnsemble(parseRecipe(pair("own-special", template)), {}, async (ensemble) => {
            const [chat, small] = ensemble.members;
            const texts = [chat, small].map((member) => member?.prompt.render(conversation));
            expect(texts[0] === texts[1]).toBe(isShared);
            for (const [index, member] of [chat, small].entries()) {
                const { bos, eos } = (template === "from chat" ? chat : template === "from small" ? small : member)
                    ?.model.info ?? { bos: -1, eos: -1 };
                const [first = "", last = ""] = [bos, eos].map((id) => member?.model.tokenTexts(id, id + 1)[0]);
                expect(texts[index]?.startsWith(first)).toBe(true);
                expect(texts[index]).toContain(last);
                // One token begins the text, whoever's it is.
                const tokens = (await member?.prompt.tokenize(conversation)) ?? new Int32Array();
                const own = member?.model.tokenize(texts[index] ?? "", false, true) ?? [];
                expect([...tokens].slice(-own.length)).toEqual([...own]);
                expect(tokens.length - own.length).toBeLessThanOrEqual(bos === member?.model.info.bos ? 0 : 1);
            }
        });
    });
});

describe("who decides about control tokens in up-scaling", () => {
    const cases: [string, string, string, "combine" | "fallback"][] = [
        ["a template of tokens that the base knows", demoFile("small-chat"), SMALL, "combine"],
        ["added control tokens", file("chatml"), SMALL, "fallback"],
        ["control tokens that the file calls text", file("text-chatml"), SMALL, "fallback"],
        [
            "control tokens that the base has and does not use",
            file("inst-control"),
            file("inst-control-base"),
            "fallback",
        ],
        ["another end", file("own-eos"), SMALL, "fallback"],
        ["no template", file("no-template"), SMALL, "combine"],
        ["a template that cannot be rendered", file("refuses"), SMALL, "combine"],
    ];

    test.each(cases)("%s", async (_name, tuned, reference, expected) => {
        expect(await recommendControlTokens(tuned, reference)).toBe(expected);
    });

    test.each([
        ["chatml", "fallback"],
        ["text-chatml", "fallback"],
        ["adapter", "combine"],
    ])("--base, --tuned and --reference do that: %s", async (tuned, expected) => {
        const flags = { base: demoFile("large-base"), tuned: file(tuned), reference: SMALL };
        const load = { backend: "cpu", threads: 1, verbose: false, quiet: true } as const;
        await using ensemble = await openEnsemble({ ...flags, ...load } as never, { sequences: 1 });
        expect(ensemble.recipe).toMatchObject({
            controlTokens: expected,
            ...(expected === "fallback" && { conservative: { topP: 1, fallback: { text: "tuned" } } }),
        });
    });
});

test("control tokens of the template that are plain text for some members are named", async () => {
    const notes = async (text: string): Promise<readonly string[]> =>
        (await readVocabularies(parseRecipe(text))).notes.filter((note) => note.includes("plain text"));
    expect(await notes(pair("chatml", "from chat"))).toEqual([
        "small reads <|im_start|> and <|im_end|> of the template as plain text.",
    ]);
    expect(await notes(pair("chatml", CHATML))).toEqual([
        "small reads <|im_start|> and <|im_end|> of the template as plain text.",
    ]);
    expect(await notes(pair("chatml", "plain"))).toEqual([]);
    expect(await notes(pair("own-special", "from chat"))).toEqual([]);
    expect(await notes(pair("text-chatml", "from chat"))).toEqual([]);
    expect(await notes(pair("refuses", "from chat"))).toEqual([]);
});
