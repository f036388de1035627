/** `eft-llama chat` in a plain pipe: each line a turn, answers on standard output. */

import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "@jest/globals";
import { handle } from "../../src/cli/chat/commands.js";
import { createLineJoiner } from "../../src/cli/chat/lines.js";
import { historyFile, HISTORY_SIZE, openHistory } from "../../src/cli/chat/history.js";
import { createKeeper, lastChat } from "../../src/cli/chat/keep.js";
import type { Surface } from "../../src/cli/chat/surface.js";
import { createChat, loadChat, loadRecipe, saveChat, type ChatDocument, type ChatSession } from "../../src/index.js";
import { demoFile, loadOnCpu } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { run, type Run } from "./run.js";

const PERU = "What is the capital of Peru?";
const MALI = "What is the capital of Mali?";
const JAPAN = "What money do people in Japan use?";
const temporary = temporaryFolder();
afterAll(temporary.remove);

/** What is said in a conversation of the demo family, line by line, and what comes out. */
function say(lines: readonly string[], ...flags: readonly string[]): Promise<Run> {
    return run(["chat", "--recipe", "demo", "--backend", "cpu", ...flags], { input: lines.join("\n") });
}

describe("a pipe", () => {
    it("has an answer for each line, and nothing else", async () => {
        const { stdout, stderr, code } = await say([PERU, "", JAPAN]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        const [first, second, ...rest] = stdout.split("\n");
        expect(first).toMatch(/^I.*Lima.*\.$/);
        expect(second).toMatch(/^I.*\.$/);
        expect(rest).toEqual([""]);
        expect(await say([`${PERU}\r`])).toMatchObject({ stdout: `${first}\n`, code: 0 });
        expect(await say([])).toEqual({ stdout: "", stderr: "", code: 0 });
    });

    it("gives the same text for the same seed, whatever speculates", async () => {
        const flags = ["--temperature", "1", "--seed", "5"];
        const plain = await say([PERU, JAPAN], ...flags);
        expect(await say([PERU, JAPAN], ...flags)).toEqual(plain);
        expect(await say([PERU, JAPAN], ...flags, "--speculation", "3")).toEqual(plain);
        const other = await say([PERU, JAPAN], "--temperature", "4", "--seed", "5", "--max-tokens", "9");
        expect(other.stdout).not.toBe(plain.stdout);
    });

    it("joins lines that belong together", async () => {
        const { stdout } = await say([
            '"""What is the',
            'capital of Peru?"""',
            "/prompt",
            "What is \\",
            "it?",
            "/prompt",
        ]);
        expect(stdout).toContain("[INST] What is the\ncapital of Peru? [/INST]\n");
        expect(stdout).toContain("[INST] What is \nit? [/INST]\n");
    });

    it("obeys commands", async () => {
        const { stdout, stderr, code } = await say([
            PERU,
            "/set beta 0",
            "/set beta=0.5",
            "/recipe",
            "/stats",
            "/help",
        ]);
        expect(code).toBe(0);
        expect(stderr).toMatch(/^beta = 0\nbeta = 0\.5\nfinish +stop after \d+ tokens/);
        expect(stderr).toMatch(/^context +\d+ of 256 tokens, 1 turn$/m);
        expect(stdout).toContain("target = chat + beta * (large - small)\n  beta = 0.5, from 0 to 2");
        expect(stdout).toMatch(/^│ small +│ +-0\.5 │/m);
        expect(stdout).toMatch(/^\/compare \[question\] +what members say/m);
        expect((await say(["/quit", PERU])).stdout).toBe("");
        expect((await say(["/exit", PERU])).stdout).toBe("");
    });

    it("sets how the next answers are drawn", async () => {
        const limit = ["--max-tokens", "20"];
        const flags = ["--temperature", "4", "--top-k", "500", "--seed", "5", "--set", "beta=0.5"];
        const expected = (await say([PERU, JAPAN], ...limit, ...flags)).stdout;
        const { stdout, stderr, code } = await say(
            ["/set temperature 4 top-k=500 seed 5", "/set beta 0.5", PERU, JAPAN, "/set"],
            ...limit,
        );
        expect({ stdout, code }).toEqual({ stdout: expected, code: 0 });
        const sampling = "temperature = 4\ntop-k = 500\n";
        const cut = "(cut after 20 tokens)\n".repeat(2);
        expect(stderr).toBe(`${sampling}seed = 5\nbeta = 0.5\n${cut}beta = 0.5\n${sampling}top-p = 1\nmin-p = 0\n`);
        const wrong = await say(["/set beta 0.5 temperature -1", "/set temperature 2 beta 7", "/set seed 0.5", "/set"]);
        expect(wrong.stderr).toMatch(
            /temperature must be .*\n.* 0 to 2.*\n.*seed must be .*\nbeta = 1\ntemperature = /,
        );
        expect(wrong.stderr).not.toContain("temperature = 2");
    });

    it("begins a new conversation, at the same settings", async () => {
        const { stdout, stderr } = await say([
            PERU,
            "/system Be kind.",
            "/set beta 0.5",
            "/new",
            "/stats",
            "/set",
            JAPAN,
            "/prompt",
            "/system",
        ]);
        expect(stderr).toMatch(
            /Nothing has been said in this conversation\.\n.*Nothing has been answered yet.*\nbeta = 0\.5\n/,
        );
        expect(stdout).toContain(`\nlarge, chat, small\n<s>[INST] ${JAPAN} [/INST]\nBe kind.\n`);
    });

    it("turns dials between answers", async () => {
        const phone = "What is the phone number of Clara Berg?";
        const lines = ["/set lambda 0", phone, "/set lambda 1", "/regen"];
        const { stdout } = await run(["chat", "-r", "demo-dial"], { input: lines.join("\n") });
        const [open, closed] = stdout.split("\n");
        expect(open).not.toBe(closed);
    });

    it("compares what members say alone with what they say together", async () => {
        const { stdout, stderr } = await say([`/compare ${PERU}`, "/compare", PERU, "/compare"]);
        expect(stderr).toBe("eft-llama: Nothing has been asked yet; write /compare and a question.\n");
        expect(stdout.match(/^│ large alone +│ chat alone +│ target, beta = 1 +│$/gm)).toHaveLength(2);
        // The large model goes on with questions of its own.
        expect(stdout).toMatch(/^│ \[INST\] [^│]+│ I/m);
        expect(stdout).toMatch(/│ I[^│\n]*Lima\. +│$/m);
    });

    it("explains the last answer, and regenerates and edits it", async () => {
        const { stdout, stderr, code } = await say([PERU, "/explain", "/regen", `/edit ${JAPAN}`, "/prompt", "/edit"]);
        const [answer = ""] = stdout.split("\n");
        expect(stdout).toMatch(/^│ token +│ target +│ drafter instead +│ distance +│ changed by +│$/m);
        expect(stdout).toMatch(/^│ token +│ target +│ large +│ chat +│ small +│$/m);
        expect(stdout.split("\n").filter((line) => line === answer)).toHaveLength(3);
        expect(stdout).toContain(`large, chat, small\n<s>[INST] ${JAPAN} [/INST]\n`);
        expect({ stderr, code }).toEqual({ stderr: "eft-llama: Write /edit and the new text.\n", code: 1 });
    });

    it("explains without a drafter where there is none, and has no dials where there are none", async () => {
        const file = path.join(temporary.folder, "solo.yaml");
        const member = `{ model: ${JSON.stringify(demoFile("small-chat"))} }`;
        writeFileSync(
            file,
            `eft: 1\nname: solo\nmembers: { chat: ${member} }\ncombination: chat\nprompt: { template: from chat }\n`,
        );
        const input = `${PERU}\n/explain\n/set\n`;
        const { stdout, stderr, code } = await run(["chat", "-r", file, "--temperature", "0"], { input });
        expect({ stderr, code }).toEqual({
            stderr: "temperature = 0\ntop-k = 0\ntop-p = 1\nmin-p = 0\n",
            code: 0,
        });
        expect(stdout).toMatch(/^I.*\.\nI.*\.\n┌[^]*│ token +│ target +│ chat +│/);
        expect(stdout).not.toContain("drafter");
    });

    it("saves and loads, also what was held with other dials", async () => {
        const file = path.join(temporary.folder, "talk.json");
        const saved = await say([PERU, "/set beta 0.5", `/save ${file}`]);
        expect(saved).toMatchObject({ stderr: `beta = 0.5\n1 turn written to ${file}\n`, code: 0 });
        expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({ eftChat: 1, turns: [{ user: PERU }] });
        const loaded = await say([`/load ${file}`, "/set", "/prompt"]);
        expect(loaded.stdout).toContain(`[INST] ${PERU} [/INST]\n`);
        expect(loaded.stderr).toMatch(/^1 turn of .*\n> What.*\n.*Lima.*\nbeta = 0\.5\ntemperature = /);
        const input = `/load ${file}\n/set\n`;
        expect((await run(["chat", "-r", "demo-dial"], { input })).stderr).toMatch(/^1 turn of [^]*lambda = 0\.5\n/);
    });

    it("takes the names of files with quotes around them, as a shell would", async () => {
        const file = path.join(temporary.folder, "my talk.json");
        expect((await say([PERU, `/save "${file}"`])).stderr).toBe(`1 turn written to ${file}\n`);
        expect((await say([`/load '${file}'`])).stderr).toMatch(`1 turn of ${file}\n`);
    });

    it("goes on after whatever goes wrong, says it, and fails in the end", async () => {
        const other = path.join(temporary.folder, "other.json");
        writeFileSync(other, "{}");
        const wrong: readonly [string, RegExp][] = [
            ["/xyzzy", /There is no command \/xyzzy \(possible: \/set, .*\)\. To say it: \/\/xyzzy/],
            ["/sett", /did you mean "\/set"\?/],
            ["/constructor", /There is no command/],
            ["/set beta", /\/set takes a name and a number, such as \/set beta 1\./],
            ["/set beta 7", /must be a number from 0 to 2/],
            ["/set gamma 1", /no "gamma" to set \(possible: beta, temperature, top-k, .*, seed\)\./],
            ["/set temprature 1", /did you mean "temperature"\?/],
            ["/regen", /Nothing has been said yet/],
            ["/explain", /has not answered anything yet/],
            ["/prompt", /Nothing has been asked yet/],
            ["/stats", /Nothing has been answered yet/],
            ["/save", /name of a file/],
            [`/save ${other}`, /is not a saved conversation/],
            ["/load /nowhere/talk.json", /cannot be read/],
            [`/load ${other}`, /lacks the key "eftChat"/],
            ["word ".repeat(400), /The prompt has .* tokens for member large/],
        ];
        const { stdout, stderr, code } = await say([...wrong.map(([line]) => line), PERU, "//set"]);
        const lines = stderr.trimEnd().split("\n");
        expect(lines).toHaveLength(wrong.length);
        wrong.forEach(([, reason], index) => expect(lines[index]).toMatch(reason));
        expect(stdout).toMatch(/^I.*Lima.*\.\n/);
        expect(code).toBe(1);
    });

    it("takes only words behind a slash for commands", async () => {
        const said = ["/etc/hosts is a file.", "/* what is that? */", "//help"];
        const { stdout, stderr, code } = await say([...said, "/prompt"]);
        expect([stderr, code]).toEqual(["", 0]);
        expect(stdout).toContain("[INST] /etc/hosts is a file. [/INST]");
        expect(stdout).toContain("[INST] /* what is that? */ [/INST]");
        expect(stdout).toContain("[INST] /help [/INST]");
    });

    it("says when old turns are no longer shown, and whom a system prompt does not reach", async () => {
        const { stdout, stderr, code } = await say(
            [...Array<string>(16).fill(PERU), "/system", "/system -", "/system"],
            "--system",
            "Be kind.",
        );
        expect(code).toBe(0);
        expect(stdout.match(/Lima/g)?.length).toBeGreaterThan(10);
        expect(stdout).toMatch(/^Be kind\.\nThere is no system prompt\.\n$/m);
        expect(stderr).toMatch(
            /^The prompt template has no place .*: large, chat, small\.\n(The context is full: \d+ old turns will no longer be shown to the models\.\n)+$/,
        );
    });

    it("ends with an answer that Ctrl-C stops", async () => {
        const args = ["chat", "-r", "demo", "--temperature", "5", "--seed", "1"];
        const { stdout, code } = await run(args, { input: `${PERU}\n${JAPAN}\n`, interruptAfter: 40 });
        expect(code).toBe(130);
        expect(stdout.length).toBeLessThan(700);
    });

    it.each([[["demo", PERU]], [["--recipe", "demo", PERU]], [["-rdemo", "--max-tokens", "50", PERU]]])(
        "begins with what the command line says: %j",
        async (words) => {
            const expected = await say([PERU]);
            expect(await run(["chat", "--backend", "cpu", ...words])).toEqual(expected);
            const { stdout } = await run(["chat", "--backend", "cpu", ...words], { input: JAPAN });
            expect(stdout.startsWith(expected.stdout)).toBe(true);
            expect(stdout.trimEnd().split("\n")).toHaveLength(2);
        },
    );

    it("wants one text on the command line", async () => {
        expect(await run(["chat", "demo", "What", "is"])).toMatchObject({
            ...{ stdout: "", code: 2 },
            stderr: expect.stringContaining('Put what is said into quotes: "What is".'),
        });
        expect((await run(["chat", "no-such-recipe"])).stderr).toMatch(/no-such-recipe/);
    });

    it("takes back turns, and knows other names of commands", async () => {
        const file = path.join(temporary.folder, "undone.json");
        const { stderr, code } = await say([PERU, JAPAN, "/undo", `/save ${file}`, "/bye", PERU]);
        expect(code).toBe(0);
        expect(stderr).toContain(`Taken back: ${JAPAN}\n1 turn written to `);
        expect(await say(["/undo"])).toMatchObject({
            code: 1,
            stderr: expect.stringContaining("nothing to take back"),
        });
        const help = await say(["/help"]);
        expect(await say(["/?"])).toEqual(help);
        expect((await run(["chat", "--help"])).stdout).toContain("/undo");
        expect((await say([PERU, "/clear", "/stats", "/prompt"])).stderr).toContain("Nothing has been asked yet");

        const loaded = await say(["/undo", "/undo"], "--load", file);
        expect(loaded.stderr).toContain(`1 turn of ${file}\n> ${PERU}\n`);
        expect(loaded.stderr).toContain(`Taken back: ${PERU}\neft-llama: Nothing has been asked yet`);
        expect(await say([], "--load", `${file}.bak`)).toMatchObject({ code: 1, stdout: "" });
    });

    it("goes on in a copy, so that one can come back, and later with the last conversation", async () => {
        const env = { XDG_STATE_HOME: path.join(temporary.folder, "state") };
        const converse = (lines: readonly string[], ...flags: readonly string[]): Promise<Run> =>
            run(["chat", "-r", "demo", "--backend", "cpu", ...flags], { input: lines.join("\n"), env });
        const users = (file: string): string[] => {
            if (process.platform !== "win32") expect(statSync(file).mode & 0o777).toBe(0o600);
            return (JSON.parse(readFileSync(file, "utf8")) as ChatDocument).turns.map(({ user }) => user);
        };
        const nothing = await converse([], "--continue");
        expect(nothing).toMatchObject({ stdout: "", code: 1, stderr: expect.stringContaining("no last conversation") });

        const [first, second] = ["first", "second"].map((name) => path.join(temporary.folder, `${name}.json`)) as [
            string,
            string,
        ];
        const forked = await converse([PERU, `/fork ${first}`, JAPAN, `/fork ${second}`, "/undo", "Hello"]);
        expect(forked).toMatchObject({ code: 0, stderr: expect.stringContaining(`is kept in ${second}\n`) });
        expect(forked.stderr).toContain(`As it is here, it stays in ${first}\n`);
        expect([users(first), users(second)]).toEqual([
            [PERU, JAPAN],
            [PERU, "Hello"],
        ]);
        const back = await converse([`/load ${first}`, "/undo", "/fork /nowhere/x.json", `/fork ${second}`]);
        expect(back).toMatchObject({
            code: 1,
            stderr: expect.stringMatching(/\/nowhere\/x\.json.*\n.*is there already/),
        });
        expect([users(first), users(second)]).toEqual([
            [PERU, JAPAN],
            [PERU, "Hello"],
        ]);

        const before = readFileSync(second, "utf8");
        expect((await converse(["/set"], "--continue")).stderr).toContain(`2 turns of ${second}\n> Hello\n`);
        expect(readFileSync(second, "utf8")).toBe(before);
        expect((await converse([MALI], "--continue")).code).toBe(0);
        expect(users(second)).toEqual([PERU, "Hello", MALI]);
        const branched = await converse(["/fork", "/regen"], "--continue");
        const [, branch = ""] = /is kept in (.*)$/m.exec(branched.stderr) ?? [];
        expect(path.dirname(branch)).toBe(path.join(env.XDG_STATE_HOME, "eft-llama", "chats"));
        expect(users(branch)).toEqual(users(second));
        expect((await converse([], "--continue")).stderr).toContain(`3 turns of ${branch}\n`);
        expect(await converse(["/fork"])).toMatchObject({ code: 1, stderr: expect.stringContaining("ask something") });
        expect((await converse([], "--continue", "--load", first)).code).toBe(2);
    });

    it("does not write over what somebody else has said in the same file", async () => {
        const [file, folder] = ["shared.json", "kept"].map((name) => path.join(temporary.folder, name)) as [
            string,
            string,
        ];
        await using ensemble = await loadOnCpu(await loadRecipe("demo"));
        const turns = [{ user: PERU, answer: "Lima." }];
        const [mine, theirs] = [createChat(ensemble, { turns }), createChat(ensemble, { turns })];
        const [own, other] = [createKeeper(false, folder), createKeeper(false, folder)];
        await own.branch(mine, file);
        other.switchTo(theirs, { file, text: readFileSync(file, "utf8") });
        theirs.setSystem("theirs");
        expect(await other.keep(theirs)).toBe(false);
        mine.setSystem("mine");
        expect(await own.keep(mine)).toBe(true);
        expect((await loadChat(file)).system).toBe("theirs");
        expect((await loadChat(own.file ?? "")).system).toBe("mine");
        expect(await lastChat(folder)).toBe(own.file);
        expect(await own.keep(mine)).toBe(false);
    });

    it("takes for known what it has read or written itself, whatever is in the file by then", async () => {
        const [file, folder] = ["overtaken.json", "overtaken"].map((name) => path.join(temporary.folder, name)) as [
            string,
            string,
        ];
        await using ensemble = await loadOnCpu(await loadRecipe("demo"));
        const [mine, theirs] = ["mine", "theirs"].map((system) =>
            createChat(ensemble, { system, turns: [{ user: PERU, answer: "Lima." }] }),
        ) as [ChatSession, ChatSession];
        await saveChat(file, mine);
        const text = readFileSync(file, "utf8");
        await saveChat(file, theirs);
        const keeper = createKeeper(false, folder);
        keeper.switchTo(mine, { file, text });
        mine.setSystem("mine, changed");
        expect(await keeper.keep(mine)).toBe(true);
        expect((await loadChat(file)).system).toBe("theirs");

        const own = keeper.file ?? "";
        mine.setSystem("overtaken");
        const written = keeper.keep(mine);
        // As soon as it is there.
        while (!readFileSync(own, "utf8").includes("overtaken")) await new Promise(setImmediate);
        writeFileSync(own, readFileSync(file));
        expect(await written).toBe(false);
        mine.setSystem("mine, again");
        expect(await keeper.keep(mine)).toBe(true);
        expect((await loadChat(own)).system).toBe("theirs");
    });

    it("says in whose file a fork could not leave what was said, and forks", async () => {
        const [file, folder] = ["forked.json", "forked"].map((name) => path.join(temporary.folder, name)) as [
            string,
            string,
        ];
        await using ensemble = await loadOnCpu(await loadRecipe("demo"));
        const [text, noText] = [Buffer.from("theirs"), Buffer.from("K\xe4se", "latin1")];
        for (const [theirs, said] of [
            [text, `Somebody else goes on with ${file}, too; this conversation is now kept in `],
            [noText, `Somebody else goes on with ${file}, too; this conversation is now kept in `],
        ] as const) {
            const chat = createChat(ensemble, { turns: [{ user: PERU, answer: "Lima." }] });
            const keeper = createKeeper(false, folder);
            const notes: string[] = [];
            const say = (text: string): Promise<void> => Promise.resolve(void notes.push(text));
            const surface: Surface = {
                ...{ width: 100, write: say, print: say, note: say, fail: say, close: () => {} },
                read: () => Promise.resolve(undefined),
                work: (body) => body(new AbortController().signal),
                endAnswer: () => Promise.resolve(),
            };
            await saveChat(file, chat);
            keeper.switchTo(chat, { file, text: readFileSync(file, "utf8") });
            writeFileSync(file, theirs);
            chat.setSystem("mine");
            const copy = path.join(temporary.folder, `fork-${theirs.length}.json`);
            await handle(
                { ensemble, options: {}, surface, verbose: false, keeper, chat, over: false },
                `/fork ${copy}`,
            );
            expect(notes[0]).toContain(said);
            expect(notes[1]).toBe(`From here on, the conversation is kept in ${copy}`);
            expect(notes.slice(2)).toHaveLength(1);
            expect((await loadChat(copy)).system).toBe("mine");
            expect(readFileSync(file)).toEqual(theirs);
            rmSync(file);
        }
    });

    const onUnix = process.platform === "win32" ? it.skip : it;
    onUnix("takes nothing for absent that is there, and reads no pipes", async () => {
        const folder = path.join(temporary.folder, "odd");
        mkdirSync(folder);
        const place = path.join(folder, "last");
        const none = expect.objectContaining({ code: "CHAT_EMPTY", message: expect.stringContaining("no last conv") });
        const unreadable = (file: string, reason: string): unknown =>
            expect.objectContaining({
                code: "FILE_UNREADABLE",
                message: expect.stringContaining(`${file} cannot be read: ${reason}`),
            });
        await expect(lastChat(folder)).rejects.toEqual(none);
        for (const text of ["", "\n"]) {
            writeFileSync(place, text);
            await expect(lastChat(folder)).rejects.toEqual(none);
        }
        writeFileSync(place, "x".repeat(1 << 17));
        await expect(lastChat(folder)).rejects.toEqual(unreadable(place, "it has more than"));
        rmSync(place);
        execFileSync("mkfifo", [place]);
        await expect(lastChat(folder)).rejects.toEqual(unreadable(place, "it is not a file"));

        await using ensemble = await loadOnCpu(await loadRecipe("demo"));
        const chat = createChat(ensemble, { turns: [{ user: PERU, answer: "Lima." }] });
        const file = path.join(folder, "x.json");
        for (const [make, reason] of [
            [() => execFileSync("mkfifo", [file]), "it is not a file"],
            [() => mkdirSync(file), "it is a folder"],
            [() => writeFileSync(file, Buffer.from("K\xe4se", "latin1")), "it is not UTF-8"],
        ] as const) {
            const keeper = createKeeper(false, path.join(temporary.folder, "odd-kept"));
            keeper.switchTo(chat, { file, text: "" });
            chat.setSystem(reason);
            make();
            const before = statSync(file);
            expect(await keeper.keep(chat)).toBe(true);
            expect((await loadChat(keeper.file ?? "")).system).toBe(reason);
            expect(statSync(file).ino).toBe(before.ino);
            rmSync(file, { recursive: true });
        }
    });

    it("refuses flags that do not fit", async () => {
        const none = await run(["chat"]);
        expect(none).toMatchObject({ stdout: "", code: 2, stderr: expect.stringContaining("Name the models") });
        expect((await say([PERU], "--set", "gamma=1")).stderr).toContain('no parameter "gamma"');
        expect((await say([PERU], "--temperature", "-1")).stderr).toContain("temperature must be");
        expect((await say([PERU], "--drafter", "nobody")).stderr).toContain("--drafter:1:1");
    });
});

describe("lines", () => {
    const join = (...lines: readonly string[]): (string | undefined)[] => {
        const joiner = createLineJoiner();
        return [...lines.map((line) => joiner.push(line)), joiner.flush()].filter((text) => text !== undefined);
    };

    it("belong together after a backslash and between triple quotes", () => {
        expect(join("a", "b")).toEqual(["a", "b"]);
        expect(join("a\\", "b\\", "c", "d")).toEqual(["a\nb\nc", "d"]);
        expect(join('"""', "a\\", "", "b", '"""', "c")).toEqual(["a\\\n\nb", "c"]);
        expect(join('"""a"""', '  """ a', 'b"""')).toEqual(["a", " a\nb"]);
        expect(join('say """a"""')).toEqual(['say """a"""']);
    });

    it("belong together where they were pasted, however they end", () => {
        const joiner = createLineJoiner();
        expect(joiner.push("a\\", true)).toBeUndefined();
        expect(joiner.open).toBe(true);
        expect(joiner.push("", true)).toBeUndefined();
        expect(joiner.push("b")).toBe("a\\\n\nb");
        joiner.push("a", true);
        expect(joiner.push("")).toBe("a");
        expect(joiner.push("")).toBe("");
    });

    it("are not lost where the end is missing", () => {
        expect(join("a\\")).toEqual(["a"]);
        expect(join('"""a', "b")).toEqual(["a\nb"]);
    });
});

describe("the history", () => {
    it("is where the environment says", () => {
        expect(historyFile({ EFT_LLAMA_HISTORY: "/a/b" })).toBe("/a/b");
        expect(historyFile({ EFT_LLAMA_HISTORY: "" })).toBeUndefined();
        expect(historyFile({ XDG_STATE_HOME: "/state" })).toBe(path.join("/state", "eft-llama", "chat-history"));
        // The specification wants relative paths to be ignored.
        expect(historyFile({ XDG_STATE_HOME: "state" })).toMatch(/\.local.state.eft-llama.chat-history$/);
    });

    it("has the newest lines first, and not too many", () => {
        const file = path.join(temporary.folder, "new", "folder", "history");
        const history = openHistory(file);
        for (let line = 1; line <= 2 * HISTORY_SIZE + 1; line++) history.add(`line ${line}`);
        const { lines } = openHistory(file);
        expect(lines).toHaveLength(HISTORY_SIZE);
        expect(lines[0]).toBe(`line ${2 * HISTORY_SIZE + 1}`);
        expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(HISTORY_SIZE);
    });
});
