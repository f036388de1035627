/** Files and folders as they are found in the world: encodings, `~`, pipes, permissions, homes of others. */

import { execFile, execFileSync, spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import { demoFile, repository } from "../helpers/demo.js";
import { startHub, type Hub } from "../helpers/hub.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { program, run, type Run, type RunOptions } from "./run.js";

let hub: Hub;
beforeAll(async () => {
    hub = await startHub();
});
afterAll(() => hub.close());

let temporary: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
    temporary = temporaryFolder();
    // Others are to look into it, too.
    chmodSync(temporary.folder, 0o755);
    hub.files.clear();
});
afterEach(() => temporary.remove());
const inFolder = (name: string): string => path.join(temporary.folder, name);

const PERU = "What is the capital of Peru?";
const BASE = ["--backend", "cpu", "--threads", "1", "--temperature", "0", "--max-tokens", "6"];
const DEMO = ["-r", "demo", ...BASE];

function eft(args: readonly string[], options: RunOptions = {}): Promise<Run> {
    return run(args, { cwd: temporary.folder, ...options });
}

/** What bash gives for a command in which `$eft` is the program. */
function shell(command: string): Promise<Run> {
    return new Promise((resolve) => {
        execFile(
            "bash",
            ["-c", command.replaceAll("$eft", `"${process.execPath}" "${program}"`)],
            { cwd: temporary.folder, timeout: 60_000 },
            (error, stdout, stderr) => resolve({ stdout, stderr, code: error === null ? 0 : Number(error.code) }),
        );
    });
}

const onUnix = process.platform === "win32" ? describe.skip : describe;

describe("texts that are not UTF-8", () => {
    const GRAMMAR = 'root ::= "Käse"';
    const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");
    const utf16 = (text: string): Buffer => Buffer.from(`\ufeff${text}`, "utf16le");

    it.each<[string, string, readonly string[]]>([
        ["a prompt", "Käse", ["complete", ...DEMO, "-f"]],
        ["a grammar", GRAMMAR, ["complete", ...DEMO, PERU, "--grammar"]],
        ["a recipe", "# Käse\n", ["recipe", "show"]],
    ])("are refused by name: %s", async (_, text, args) => {
        writeFileSync(inFolder("x"), latin1(text));
        expect(await eft([...args, "x"])).toMatchObject({
            code: 1,
            stdout: "",
            stderr: expect.stringMatching(
                /^eft-llama: x cannot be read: it is not UTF-8 \(byte 0xE4 at line 1, column \d+\)/,
            ),
        });
    });

    it("are refused on standard input, in a conversation at the line that is", async () => {
        const message = /^eft-llama: Standard input cannot be read: it is not UTF-8 \(byte 0xE4 at line 2, column 2\)/;
        const input = Buffer.concat([Buffer.from(`${PERU}\n`), latin1("Käse\n")]);
        expect(await eft(["complete", ...DEMO], { input })).toMatchObject({
            code: 1,
            stdout: "",
            stderr: expect.stringMatching(message),
        });
        const { stdout, stderr, code } = await eft(["chat", "--quiet", ...DEMO], { input });
        expect({ stdout, code }).toEqual({ stdout: " Its capital is Lima.\n".trimStart(), code: 1 });
        expect(stderr).toMatch(message);
    });

    it("are refused as configuration", async () => {
        writeFileSync(inFolder("c.yaml"), latin1("# Käse\n"));
        const { stderr, code } = await eft(["inspect", "demo"], { env: { EFT_LLAMA_CONFIG: inFolder("c.yaml") } });
        expect(code).toBe(1);
        expect(stderr).toMatch(/^eft-llama: The configuration file \S+ cannot be read: it is not UTF-8/);
    });

    it("are read where they say that they are UTF-16", async () => {
        const expected = await eft(["complete", ...DEMO, PERU]);
        writeFileSync(inFolder("prompt.txt"), utf16(`${PERU}\r\n`));
        expect(await eft(["complete", ...DEMO, "-f", "prompt.txt"])).toEqual(expected);
        expect(await eft(["complete", ...DEMO], { input: utf16(PERU) })).toEqual(expected);
        writeFileSync(inFolder("x.gbnf"), utf16(GRAMMAR));
        const { stdout } = await eft(["complete", "-r", "demo", "--backend", "cpu", PERU, "--grammar", "x.gbnf"]);
        expect(stdout).toBe("Käse\n");
    });
});

describe("~ in front of a path", () => {
    const env = (): Readonly<Record<string, string>> => ({
        HOME: inFolder("home"),
        USERPROFILE: inFolder("home"),
        HF_ENDPOINT: hub.endpoint,
        HF_TOKEN: "",
        EFT_LLAMA_MODELS: "",
    });
    beforeEach(() => {
        mkdirSync(inFolder("home"));
        for (const model of ["large-base", "small-chat", "small-base"] as const)
            copyFileSync(demoFile(model), inFolder(`home/${model}.gguf`));
        writeFileSync(
            inFolder("home/r.yaml"),
            "eft: 1\nname: home\nmembers: { m: { model: ~/small-chat.gguf } }\ncombination: m\nsampling: { temperature: 0 }\n",
        );
        writeFileSync(inFolder("home/prompt.txt"), PERU);
        writeFileSync(inFolder("home/x.gbnf"), 'root ::= "Lima"');
        writeFileSync(inFolder("home/schema.json"), '{ "const": "Lima" }');
        hub.files.set("a/b/m.gguf", { content: readFileSync(demoFile("small-base")) });
    });
    // Were it a folder's name, something would have been written there.
    afterEach(() => expect(existsSync(inFolder("~"))).toBe(false));

    const MODELS = "--base=~/large-base.gguf --tuned=~/small-chat.gguf --reference=~/small-base.gguf";
    it.each([
        [
            "the recipe and the file",
            `complete --recipe=~/r.yaml --file=~/prompt.txt --json-schema=~/schema.json ${BASE.join(" ")}`,
        ],
        ["three models", `complete ${MODELS} --grammar=~/x.gbnf Hi ${BASE.join(" ")}`],
        ["arguments of other commands", "recipe show ~/r.yaml"],
    ])("is the home folder in flags: %s", async (_, command) => {
        expect(await eft(command.split(" "), { env: env() })).toMatchObject({
            code: 0,
            stderr: expect.stringMatching(/^(?:The text was cut after .*\n)?$/),
        });
    });

    it("is the home folder for what is written", async () => {
        const init = `recipe init ${MODELS} --output=~/new.yaml`;
        expect(await eft(init.split(" "), { env: env() })).toMatchObject({ code: 0, stderr: "" });
        expect(existsSync(inFolder("home/new.yaml"))).toBe(true);
        expect(await eft(["pull", "--dir=~/mm", "hf:a/b/m.gguf"], { env: env() })).toMatchObject({
            code: 0,
            stderr: "",
        });
        expect(existsSync(inFolder("home/mm/hf/a/b/main/m.gguf"))).toBe(true);
    });

    it("is the home folder in variables", async () => {
        const models = { ...env(), EFT_LLAMA_MODELS: "~/store" };
        expect(await eft(["pull", "hf:a/b/m.gguf"], { env: models })).toMatchObject({ code: 0, stderr: "" });
        expect(existsSync(inFolder("home/store/hf/a/b/main/m.gguf"))).toBe(true);
        writeFileSync(inFolder("home/c.yaml"), "context-size: 64\n");
        const { stdout } = await eft(["inspect", "demo", "--json"], {
            env: { ...env(), EFT_LLAMA_CONFIG: "~/c.yaml" },
        });
        expect(JSON.parse(stdout)).toMatchObject({ memory: { contextSize: 64 } });
    });
});

describe("file names that look like something else", () => {
    it("are written into recipes so that they can be read", async () => {
        const name = "hf: käse.gguf";
        copyFileSync(demoFile("small-base"), inFolder(name));
        const files = `--base ${demoFile("large-base")} --tuned ${demoFile("small-chat")} --reference`.split(" ");
        const init = await eft(["recipe", "init", ...files, `./${name}`]);
        expect({ ...init, stdout: "" }).toEqual({ stdout: "", stderr: "", code: 0 });
        expect((await eft(["recipe", "check", "recipe.yaml", "--backend", "cpu"])).stdout).toMatch(
            /^ok +vocabularies/m,
        );
    });

    it.each([
        ["colon: x.gguf", /begins with "colon:".*write "\.\/" before a file name with a colon/],
        [" lead.gguf", /begins with blanks; .*write "\.\/" before them/],
    ])("say how they are written: %j", async (name, message) => {
        copyFileSync(demoFile("small-base"), inFolder(name));
        const files = `--base ${demoFile("large-base")} --tuned ${demoFile("small-chat")} --reference`.split(" ");
        expect((await eft(["complete", ...files, name, "Hi"])).stderr).toMatch(message);
    });
});

onUnix("pipes", () => {
    it("bring prompts and recipes", async () => {
        const expected = await eft(["complete", ...DEMO, PERU]);
        const flags = DEMO.join(" ");
        expect(await shell(`$eft complete ${flags} -f <(echo '${PERU}')`)).toEqual(expected);
        expect(await shell(`echo '${PERU}' | $eft complete ${flags} -f -`)).toEqual(expected);
        expect(await shell(`$eft complete ${flags} -f /dev/stdin <<< '${PERU}'`)).toEqual(expected);
        const demo = path.join(repository, "recipes", "demo.yaml");
        const recipe = `<(sed 's#\\.\\./models#${repository}/models#' '${demo}')`;
        expect(await shell(`$eft complete -r ${recipe} ${BASE.join(" ")} '${PERU}'`)).toEqual(expected);
        const inspected = await shell(`$eft inspect ${recipe} --backend cpu`);
        expect(inspected).toMatchObject({ code: 0, stderr: "" });
        expect(inspected.stdout).toContain("Memory, estimated");
    });

    it.each([
        ["inspect model.gguf", /model\.gguf is not a regular file/],
        [
            "complete --base model.gguf --tuned model.gguf --reference model.gguf Hi",
            /model\.gguf is not a regular file/,
        ],
        ["complete -r lora.yaml Hi", /model\.gguf is not a regular file/],
    ])("and are no models: %s", async (command, message) => {
        execFileSync("mkfifo", [inFolder("model.gguf")]);
        copyFileSync(demoFile("small-base"), inFolder("b.gguf"));
        writeFileSync(
            inFolder("lora.yaml"),
            "eft: 1\nname: x\nmembers: { m: { model: b.gguf, lora: model.gguf } }\ncombination: m\n",
        );
        const { stderr, code } = await shell(`$eft ${command}`);
        expect(stderr).toMatch(message);
        expect(code).toBe(1);
    });

    it("and folders are refused by name", async () => {
        mkdirSync(inFolder("folder.gguf"));
        expect((await eft(["inspect", "folder.gguf"])).stderr).toMatch(/folder\.gguf is a folder; name a \.gguf file/);
        expect((await eft(["complete", ...DEMO, "-f", "folder.gguf"])).stderr).toBe(
            "eft-llama: folder.gguf cannot be read: it is a folder.\n",
        );
    });
});

/** Root may do everything, so it becomes somebody else; another user stays who he is. */
const isRoot = process.getuid?.() === 0;
const canBeOther =
    process.platform !== "win32" && (!isRoot || spawnSync("setpriv", ["--reuid=65534", "true"]).status === 0);
const other = (id = 65534): string => (isRoot ? `setpriv --reuid=${id} --regid=${id} --clear-groups ` : "");

(canBeOther ? describe : describe.skip)("permissions", () => {
    const complete = `$eft complete ${DEMO.join(" ")} '${PERU}'`;

    it("of others' homes do not matter", async () => {
        mkdirSync(inFolder("home/.config/eft-llama"), { recursive: true });
        chmodSync(inFolder("home"), 0);
        const expected = await eft(["complete", ...DEMO, PERU]);
        const shut = `env -u XDG_CONFIG_HOME HOME=${inFolder("home")}`;
        expect(await shell(`${other()}${shut} ${complete}`)).toEqual(expected);
        chmodSync(inFolder("home"), 0o755);
        expect(await shell(`${other()}env -u XDG_CONFIG_HOME HOME=/nonexistent ${complete}`)).toEqual(expected);
    });

    (isRoot ? it : it.skip)(
        "of a user without any home do not matter, until something is to be kept there",
        async () => {
            const expected = await eft(["complete", ...DEMO, PERU]);
            const unknown = `${other(54321)}env -u HOME -u XDG_CONFIG_HOME -u EFT_LLAMA_MODELS -u XDG_CACHE_HOME`;
            expect(await shell(`${unknown} ${complete}`)).toEqual(expected);
            expect((await shell(`${unknown} $eft pull hf:a/b/m.gguf`)).stderr).toBe(
                "eft-llama: There is no home folder to keep models in; name a folder in EFT_LLAMA_MODELS.\n",
            );
            expect((await shell(`${unknown} $eft complete -r '~/r.yaml' Hi`)).stderr).toBe(
                "eft-llama: ~/r.yaml begins with the home folder, and this system knows none; write the whole path, or set HOME.\n",
            );
        },
    );

    it.each([
        ["a model", "inspect m.gguf"],
        ["an adapter", "complete -r lora.yaml Hi"],
        ["a prompt", "complete -r demo -f m.gguf"],
        ["what is in a folder of a recipe", "complete -r folder.yaml Hi"],
        ["what is in a folder, checked", "recipe check folder.yaml"],
    ])("are named where they forbid %s", async (_, command) => {
        const recipe = (name: string, member: string): void =>
            writeFileSync(inFolder(`${name}.yaml`), `eft: 1\nname: x\nmembers: { m: ${member} }\ncombination: m\n`);
        recipe("lora", `{ model: ${demoFile("small-base")}, lora: m.gguf }`);
        recipe("folder", "{ model: folder/m.gguf }");
        mkdirSync(inFolder("folder"));
        for (const name of ["m.gguf", "folder/m.gguf"]) copyFileSync(demoFile("small-base"), inFolder(name));
        chmodSync(inFolder("m.gguf"), 0);
        chmodSync(inFolder("folder"), 0);
        const { stdout, stderr, code } = await shell(`${other()}$eft ${command}`);
        chmodSync(inFolder("folder"), 0o755);
        expect(stdout + stderr).toMatch(/m\.gguf cannot be read: .*permission denied/i);
        expect(stdout + stderr).not.toMatch(/again|, open/);
        expect(code).toBe(1);
    });
});
