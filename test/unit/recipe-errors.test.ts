import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { EftError } from "../../src/errors.js";
import { parseRecipe } from "../../src/recipe/index.js";

function failure(text: string): { code: string; message: string } {
    try {
        parseRecipe(text, { file: "r.yaml" });
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message };
        throw error;
    }
    throw new Error("Nothing was thrown.");
}

/** Three lines that are right; what a case adds begins in line 4. */
const HEAD = "eft: 1\nname: x\nmembers: { large: { model: l.gguf }, chat: { model: c.gguf } }\n";
const SUM = "combination: large + chat\n";
/** Two lines that are right, and the last one; members begin in line 3. */
const members = (text: string, combination = "large") => `eft: 1\nname: x\n${text}\ncombination: ${combination}\n`;

describe("one problem", () => {
    const syntax: [text: string, message: string][] = [
        [`${HEAD}name: y\n${SUM}`, "r.yaml:4:1: this key occurs twice in the same mapping; keep one of the two"],
        [
            `${HEAD}${SUM}sampling: { topP: 1, topP: 1 }`,
            "r.yaml:5:22: this key occurs twice in the same mapping; keep one of the two",
        ],
        [`${HEAD}${SUM}sampling:\n\ttopP: 1`, "r.yaml:6:1: a tab cannot be used for indentation in YAML; use spaces"],
        [
            `${HEAD}${SUM}description: a: b`,
            'r.yaml:5:14: a key cannot stand here; put quotes around a text with ": ", or correct the indentation',
        ],
        [
            `${HEAD}${SUM}description: @home`,
            "r.yaml:5:14: a text that begins with this character needs quotes around it",
        ],
        [
            `${HEAD}${SUM}prompt: { template: {{ x }} }`,
            "r.yaml:5:22: a key must be a plain text; put quotes around a value that begins with { or [",
        ],
        [
            `${HEAD}${SUM}---\na: b`,
            "r.yaml:5:1: a file holds one document; put what follows the line with --- into a file of its own",
        ],
        [`${HEAD}combination: !sum a`, "r.yaml:4:14: tags (!name) have no meaning here; leave the tag out"],
        [`${HEAD}combination: *sum`, 'r.yaml:4:14: there is no anchor "&sum" before this alias'],
        [`${HEAD}combination: "large`, 'r.yaml:4:20: this is not well-formed YAML: Missing closing "quote'],
        [
            '{ "eft": 1, }}',
            'r.yaml:1:14: this is not well-formed YAML: Unexpected flow-map-end token in YAML stream: "}"',
        ],
    ];
    test.each(syntax)("%j", (text, message) => {
        expect(failure(text)).toEqual({ code: "RECIPE_SYNTAX", message });
    });

    const document = "the document must be a mapping with the keys eft, name, members and combination, not";
    const name = "a name of letters, digits and '_' that does not begin with a digit";
    const template =
        'is not a template; write "from large" for the chat template in the GGUF of that member, ' +
        '"plain" for the text alone, or a Jinja text with {{ ... }}';
    const invalid: [text: string, message: string][] = [
        ["hello", `r.yaml:1:1: ${document} the text "hello"`],
        ["- a", `r.yaml:1:1: ${document} a list`],
        [
            "# nothing",
            "r.yaml:1:1: the document is empty; it must be a mapping with the keys eft, name, members and combination",
        ],
        [HEAD, 'r.yaml:1:1: a recipe lacks the key "combination"; add combination: large + chat - small'],
        [`# A comment.\n\n${HEAD.slice(7)}${SUM}`, 'r.yaml:3:1: a recipe lacks the key "eft"; add eft: 1'],
        [`${HEAD}${SUM}`.replace("1", "2"), 'r.yaml:1:6: "eft" must be 1, the version of the format, not 2'],
        [
            `${HEAD}${SUM}`.replace("name: x", "name: my recipe"),
            "r.yaml:2:7: \"name\" must be a name of letters, digits, '.', '_' and '-', at most 100 characters long, " +
                'not the text "my recipe"',
        ],
        [
            `${HEAD}${SUM}beams: 4`,
            'r.yaml:5:1: a recipe has no key "beams"; possible: eft, name, description, source, members, ' +
                "parameters, combination, conservative, controlTokens, unusedTokens, prompt, sampling, speculation, contextSize, cacheType",
        ],
        [`${HEAD}${SUM}promt: {}`, 'r.yaml:5:1: a recipe has no key "promt"; did you mean "prompt"?'],
        [`${HEAD}${SUM}sampling:\n  topp: 1`, 'r.yaml:6:3: "sampling" has no key "topp"; did you mean "topP"?'],
        [`${HEAD}${SUM}sampling:`, 'r.yaml:5:1: "sampling" is empty; it must be a mapping of sampling options'],
        [
            `${HEAD}${SUM}sampling: { topP: 0 }`,
            'r.yaml:5:19: "sampling.topP" must be a number above 0 and at most 1, not 0',
        ],
        [
            `${HEAD}${SUM}sampling: { temperature: "0.7" }`,
            'r.yaml:5:26: "sampling.temperature" must be a number from 0 to 100, not the text "0.7"',
        ],
        [
            `${HEAD}${SUM}sampling: { temperature: .nan }`,
            'r.yaml:5:26: "sampling.temperature" must be a number from 0 to 100, not NaN',
        ],
        [
            `${HEAD}${SUM}sampling: { topK: 1.5 }`,
            'r.yaml:5:19: "sampling.topK" must be a whole number from 0 to 2147483647, not 1.5',
        ],
        [`${HEAD}${SUM}contextSize: 0`, 'r.yaml:5:14: "contextSize" must be a whole number from 8 to 4194304, not 0'],
        [
            `${HEAD}${SUM}description: ""`,
            'r.yaml:5:14: "description" must be a text that is not empty, not the text ""',
        ],
        [
            `${HEAD}combination: [large]`,
            "r.yaml:4:14: \"combination\" must be a linear form of members, such as 'large + chat - small', not a list",
        ],
        [
            members("members: {}"),
            'r.yaml:3:10: "members" must be a mapping from member names to models, not an empty mapping',
        ],
        [
            members("members:\n  large:"),
            'r.yaml:4:3: "members.large" is empty; it must be a mapping with the key model',
        ],
        [
            members("members:\n  large: l.gguf"),
            'r.yaml:4:10: "members.large" must be a mapping with the key model, not the text "l.gguf"',
        ],
        [
            members("members:\n  large: { gpuLayers: 1 }"),
            'r.yaml:4:3: "members.large" lacks the key "model"; add model: models/large.gguf',
        ],
        [members("members:\n  7b: { model: l.gguf }"), `r.yaml:4:3: "7b" must be ${name}; rename it in "members"`],
        [
            members("members:\n  large: { model: l.gguf, lora: { scale: 1 } }"),
            'r.yaml:4:27: "members.large.lora" lacks the key "path"; add path: adapters/chat.gguf',
        ],
        [
            members("members:\n  large: { model: l.gguf, lora: 1 }"),
            'r.yaml:4:33: "members.large.lora" must be the path of a GGUF adapter, ' +
                "or a mapping with the keys path and scale, not 1",
        ],
        [
            `${HEAD}${SUM}controlTokens: ignore`,
            'r.yaml:5:16: "controlTokens" must be one of combine, fallback, not the text "ignore"',
        ],
        [
            `${HEAD}${SUM}controlTokens: fallback`,
            'r.yaml:5:16: "controlTokens: fallback" needs a form to fall back to; ' +
                "add conservative: { topP: 1, fallback: <the fine-tuned member> }",
        ],
        [
            `${HEAD}${SUM}conservative: { topP: 0.9 }`,
            'r.yaml:5:1: "conservative" lacks the key "fallback"; add fallback: chat',
        ],
        [`${HEAD}${SUM}prompt: { template: llama2 }`, `r.yaml:5:21: "llama2" ${template}`],
        [`${HEAD}${SUM}prompt: { template: from caht }`, 'r.yaml:5:21: "caht" is not a member; did you mean "chat"?'],
        [
            members("members:\n  large: { model: l.gguf, prompt: { template: from small } }"),
            'r.yaml:4:47: "small" is not a member; possible: large',
        ],
        [
            members("members:\n  constructor: { model: l.gguf }", "constructor"),
            'r.yaml:4:3: "constructor" is a reserved word; choose another name',
        ],
        [
            members("members:\n  target: { model: l.gguf }", "target"),
            'r.yaml:4:3: "target" means the fused distribution; choose another name for the member',
        ],
        [
            `${HEAD}${SUM}parameters:\n  chat: { default: 1 }`,
            'r.yaml:6:3: "chat" is the name of a member; choose another',
        ],
        [
            `${HEAD}combination: beta * large + chat\nparameters:\n  beta: { default: 3, min: 0, max: 2 }`,
            'r.yaml:6:20: the default of "beta" must be a number from 0 to 2, not 3',
        ],
        [
            `${HEAD}combination: beta * large + chat\nparameters:\n  beta: { default: 3, min: 2, max: 1 }`,
            "r.yaml:6:28: min (2) is above max (1); exchange the two",
        ],
        ...[
            ["default: .inf", '20: "parameters.beta.default"', "Infinity"],
            ["default: 1e38", '20: "parameters.beta.default"', "1e+38"],
            ["default: 0, min: -1e7", '28: "parameters.beta.min"', "-10000000"],
            ["default: 0, max: 1e39", '28: "parameters.beta.max"', "1e+39"],
        ].map(([entries, place, value]): [string, string] => [
            `${HEAD}combination: beta * large + chat\nparameters:\n  beta: { ${entries} }`,
            `r.yaml:6:${place} must be a number from -1000000 to 1000000, not ${value}`,
        ]),
        [
            `${HEAD}combination: beta * large + chat\nparameters: { beta: {} }`,
            'r.yaml:5:15: "parameters.beta" lacks the key "default"; add default: 1',
        ],
        [
            `${HEAD}${SUM}parameters:\n  beta: { default: 1 }`,
            'r.yaml:6:3: the parameter "beta" is in no combination; use it there or delete it here',
        ],
    ];
    test.each(invalid)("%j", (text, message) => {
        expect(failure(text)).toEqual({ code: "RECIPE_INVALID", message });
    });

    test.each([
        [
            "' l.gguf'",
            '" l.gguf" begins with blanks; delete them, or write "./" before them if the name of the file does',
        ],
        ["'l.gguf '", '"l.gguf " has blanks at an end, or line breaks; delete them'],
        ['"l\\n.gguf"', '"l\\n.gguf" has blanks at an end, or line breaks; delete them'],
        ["hf:TheBloke", '"hf:TheBloke" is incomplete; write "hf:user/repository:Q4_K_M"'],
        ["hf:a/b/c.bin", '"hf:a/b/c.bin" is incomplete; write "hf:user/repository:Q4_K_M"'],
        ["hf:a/b/../c.gguf", '"hf:a/b/../c.gguf" has a part "." or ".."; write the path as the hub shows it'],
        ["hf:a/b/c.gguf#..", '"hf:a/b/c.gguf#.." has a part "." or ".."; write the path as the hub shows it'],
        [
            "https://me:secret@x/l.gguf",
            '"https://***@x/l.gguf" has a name or password in it, which are not sent; download the model by other means and write its path',
        ],
        ["https://x", '"https://x" is not a complete address; write "https://host/path/model.gguf"'],
        [
            "http://x/l.gguf",
            '"http://x/l.gguf" begins with "http:"; only file paths, hf: and https: references are possible',
        ],
        [
            "ollama:llama2",
            '"ollama:llama2" begins with "ollama:"; only file paths, hf: and https: references are possible; write "./" before a file name with a colon',
        ],
        ["models/", '"models/" is a folder; name the GGUF file in it'],
        [
            "m.safetensors",
            '"m.safetensors" is not a GGUF file; convert the model with convert_hf_to_gguf.py of llama.cpp',
        ],
    ])("the reference %s", (reference, message) => {
        expect(failure(members(`members:\n  large: { model: ${reference} }`))).toEqual({
            code: "RECIPE_INVALID",
            message: `r.yaml:4:19: ${message}`,
        });
    });

    test("an adapter that would have to be downloaded", () => {
        expect(failure(members("members:\n  large: { model: l.gguf, lora: hf:a/b }")).message).toBe(
            'r.yaml:4:33: "hf:a/b" is not a file; download the adapter and write its path',
        );
    });

    test("a member that is in no combination", () => {
        expect(failure(`${HEAD}combination: large`)).toEqual({
            code: "MEMBER_UNUSED",
            message: 'r.yaml:3:38: the member "chat" is in no combination; use it there or delete it here',
        });
        const fallback = "conservative: { topP: 0.9, fallback: chat }";
        expect(() => parseRecipe(`${HEAD}combination: large\n${fallback}`)).not.toThrow();
    });
});

describe("a problem in a combination stands at its character", () => {
    const unknown = '"chta" is neither a member nor a parameter; did you mean "chat"?';
    test.each([
        ["plain", "combination: large + chta", "4:22"],
        ["quoted", "combination: 'large + chta'", "4:23"],
        ["double-quoted", 'combination:   "large + chta"', "4:25"],
        ["with an escape: at its beginning", 'combination: "large \\x2B chta"', "4:14"],
        ["folded: at its beginning", "combination: large\n  + chta", "4:14"],
        ["block: at its beginning", "combination: >\n  large +\n  chta", "4:14"],
        ["anchored", "combination: &sum large + chta", "4:27"],
        ["fallback", "combination: large + chat\nconservative: { topP: 1, fallback: chta }", "5:36"],
        ["fallback by alias", "combination: &sum large + chta\nconservative: { topP: 1, fallback: *sum }", "4:27"],
        ["drafter", "combination: large + chat\nspeculation: { drafter: large - chta }", "5:33"],
    ])("%s", (_name, text, place) => {
        const { code, message } = failure(`${HEAD}${text}\n`);
        expect(code).toBe("COMBINATION_UNKNOWN_NAME");
        expect(message.split("\n")[0]).toBe(`r.yaml:${place}: ${unknown}`);
    });
});

describe("several problems", () => {
    test("come in the order of the document, with the code of the first", () => {
        const text = `${HEAD}combination: large * chat\nprompt: { template: from nobody }\ncontrolTokens: fallback\n`;
        const { code, message } = failure(text.replace("l.gguf", "ftp://l.gguf"));
        expect(code).toBe("RECIPE_INVALID");
        expect(message.split("\n").map((line) => line.slice(0, 14))).toEqual([
            'r.yaml:3:28: "',
            'r.yaml:4:20: "',
            'r.yaml:5:21: "',
            'r.yaml:6:16: "',
        ]);
    });

    test("are shown up to five", () => {
        const keys = ["a1", "b2", "c3", "d4", "e5", "f6", "g7"].map((key) => `${key}: 1\n`).join("");
        const lines = failure(HEAD + SUM + keys).message.split("\n");
        expect(lines).toHaveLength(6);
        expect(lines[4]).toMatch(/^r\.yaml:9:1: a recipe has no key "e5"; possible: /);
        expect(lines[5]).toBe("... and 2 more");
    });
});

describe("hostile documents", () => {
    const deepAt = (line: number): string =>
        `line ${line} is nested too deeply for a recipe; if this is one, put quotes around texts with ": " or brackets`;
    const deep = deepAt(1);
    const parts = "the document has more than 20000 parts; this is not a recipe";
    const long = "the document has more than 1048576 characters; this is not a recipe";
    const LENGTH = 1 << 20;
    const cases: [name: string, text: string, message: string][] = [
        ["lists in lists", "[".repeat(LENGTH), deep],
        ["mappings in mappings", "{a: ".repeat(LENGTH / 4), deep],
        ["block lists in block lists", "- ".repeat(LENGTH / 2), deep],
        ["explicit keys", "? ".repeat(LENGTH / 2), deep],
        ["empty keys", ": ".repeat(LENGTH / 2), deep],
        ["indentation", Array.from({ length: 1000 }, (_, n) => `${" ".repeat(n)}a:\n`).join(""), deepAt(100)],
        ["a text that is no recipe", `Words.\n${"word ".repeat(50)}: and more`, deepAt(2)],
        ["keys", Array.from({ length: 100_000 }, (_, n) => `k${n}: 1\n`).join(""), parts],
        ["commas", `[${",".repeat(LENGTH - 2)}]`, parts],
        ["quotes", '"'.repeat(LENGTH), parts],
        ["documents", "---\n".repeat(LENGTH / 4), parts],
        ["characters", "a".repeat(LENGTH + 1), long],
    ];
    test.each(cases)("%s", (_name, text, message) => {
        expect(failure(text)).toEqual({ code: "RECIPE_INVALID", message: `r.yaml:1:1: ${message}` });
    });

    test("many aliases", () => {
        expect(failure(`a: [&a b${", *a".repeat(101)}]`).message).toBe(
            "r.yaml:1:1: there are more than 100 aliases (*name)",
        );
    });

    test("aliases that unfold", () => {
        const names = ["a", "b", "c", "d", "e"];
        const levels = names.map((name, n) => `${name}x: &${name} [${n === 0 ? "x" : `*${names[n - 1]}, `.repeat(9)}]`);
        const bomb = levels.join("\n");
        expect(failure(bomb).message).toMatch(/^r\.yaml:1:1: the aliases \(\*name\) unfold to too much: /);
    });

    test("an alias of itself", () => {
        expect(failure("&a { members: *a }").code).toBe("RECIPE_INVALID");
    });

    test("names that every object has", () => {
        const text = HEAD.replace("chat:", "__proto__:") + "combination: large + __proto__\n";
        expect(failure(text).message).toBe('r.yaml:3:38: "__proto__" is a reserved word; choose another name');
        expect(failure(`${HEAD}${SUM}__proto__: { a: 1 }`).message).toMatch(
            /^r\.yaml:5:1: a recipe has no key "__proto__"/,
        );
    });
});

describe("properties", () => {
    /** Either a recipe, or an error with a place. */
    function check(text: string): void {
        try {
            parseRecipe(text, { file: "r.yaml" });
        } catch (error) {
            expect(error).toBeInstanceOf(EftError);
            for (const line of (error as EftError).message.split("\n"))
                expect(line).toMatch(/^(?:r\.yaml:\d+:\d+: .|\.\.\. and \d+ more$)/);
        }
    }

    test("garbage never throws anything but an EftError", () => {
        const word = fc.constantFrom(
            ...[
                "eft: 1",
                "name: x",
                "members:",
                "combination:",
                "large",
                "model",
                ": ",
                "- ",
                "? ",
                "{",
                "}",
                "[",
                "]",
            ],
            ...[
                ",",
                "\n",
                "  ",
                "\t",
                "&a ",
                "*a",
                "!t ",
                "|",
                ">",
                '"',
                "'",
                "#",
                "---\n",
                "%YAML 1.1\n",
                "<<: ",
                "\0",
                "1",
            ],
        );
        const text = fc.oneof(
            fc.string({ unit: "binary", maxLength: 200 }),
            fc.array(word, { maxLength: 80 }).map((words) => words.join("")),
        );
        fc.assert(fc.property(text, check), { numRuns: 500 });
    });

    test("a damaged recipe never throws anything but an EftError", () => {
        const folder = new URL("../../recipes/", import.meta.url);
        const recipes = readdirSync(folder)
            .filter((name) => name.endsWith(".yaml"))
            .map((name) => readFileSync(new URL(name, folder), "utf8"));
        const damage = fc.record({
            at: fc.double({ min: 0, max: 1, noNaN: true }),
            remove: fc.nat(30),
            insert: fc.oneof(
                fc.string({ maxLength: 5 }),
                fc.constantFrom("\n", ": ", "{", "]", '"', "\t", "- ", "*", "null", "0", "1e999", "(", "large", "{%"),
            ),
        });
        fc.assert(
            fc.property(
                fc.constantFrom(...recipes),
                fc.array(damage, { minLength: 1, maxLength: 4 }),
                (recipe, damages) => {
                    check(
                        damages.reduce((text, { at, remove, insert }) => {
                            const start = Math.floor(at * text.length);
                            return text.slice(0, start) + insert + text.slice(start + remove);
                        }, recipe),
                    );
                },
            ),
            { numRuns: 500 },
        );
    });
});
