/** `eft-llama chat` on a real terminal. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import path from "node:path";
import { afterAll, afterEach, describe, expect, it } from "@jest/globals";
import { repository } from "../helpers/demo.js";
import { temporaryFolder } from "../helpers/temporary.js";
import { program } from "./run.js";
import { hasTmux, openScreen, type Screen } from "./screen.js";

const onTerminal = hasTmux ? it : it.skip;
const COMMAND = [process.execPath, program, "chat", "-r", "demo", "--backend", "cpu"];
const MALI = "What is the capital of Mali?";
const PERU = "What is the capital of Peru?";
/** So flat a distribution gives an answer of many seconds. */
const LONG = ["--temperature", "5", "--seed", "15", "--context-size", "4096"];

const temporary = temporaryFolder();
afterAll(temporary.remove);
let screen: Screen | undefined;
afterEach(() => {
    screen?.close();
    screen = undefined;
});

/** A conversation of the demo family that waits for the first question. */
async function chat(
    flags: readonly string[] = [],
    columns = 100,
    history = path.join(temporary.folder, "history"),
): Promise<Screen> {
    screen = openScreen([...COMMAND, ...flags], { columns, env: { EFT_LLAMA_HISTORY: history } });
    await screen.wait(/^>$/m);
    return screen;
}

/** The lines of a screen after the first one that has `text`. */
function after(shown: string, text: string): string {
    return shown.slice(shown.indexOf(text) + text.length);
}

/** Lines that are longer than the terminal is wide, and text that comes into the middle of them. */
describe("a line that is typed", () => {
    const WIDE = "one two three four five six seven eight nine ten".repeat(3);
    /** What is on the screen in the rows of the line, without their ends. */
    const typed = (shown: string): string => after(shown, "\n> ").replaceAll("\n", "");

    onTerminal.each([
        ["typed", (talk: Screen, text: string) => talk.type(text)],
        ["pasted with marks", (talk: Screen, text: string) => talk.paste(text, true)],
        ["pasted without marks", (talk: Screen, text: string) => talk.paste(text, false)],
    ])("shows where what is %s goes, and sends what it shows", async (_how, put) => {
        const talk = await chat([], 60);
        put(talk, WIDE);
        await talk.wait(/nine ten$/);
        talk.type("C-a");
        put(talk, "/system abc ");
        await talk.wait(/^> \/system abc one two/m);
        talk.type("C-e");
        put(talk, " end");
        const shown = await talk.wait(/ten end$/);
        expect(typed(shown)).toBe(`/system abc ${WIDE} end`);
        talk.type("C-a", "Right", "Right");
        // Takes away everything but "/s", from all rows.
        talk.type("C-k");
        await talk.wait(/^> \/s$/m);
        put(talk, "ystem short");
        await talk.wait(/^> \/system short$/m);
        talk.type("Enter");
        await talk.wait(/small\.\n>$/);
        talk.type("/system", "Enter");
        await talk.wait(/^short$/m);
        expect(talk.read()).not.toContain("seven");
    });

    onTerminal("takes several pasted lines at its cursor", async () => {
        const talk = await chat();
        talk.type("hello world", ...Array<string>(5).fill("Left"));
        talk.paste("one\ttwo\nthree", true);
        await talk.wait(/^> hello one +two\n… threeworld$/m);
        talk.type("!", "Enter");
        await talk.wait(/three!world\n[^]+\n>$/);
        talk.type("/prompt", "Enter");
        await talk.wait(/\[INST\] hello one\\ttwo\nthree!world \[/);
    });

    onTerminal("leaves nothing behind when it is deleted below an answer", async () => {
        const talk = await chat(LONG, 60);
        talk.type(PERU, "Enter");
        await talk.wait(/Peru\?\n.{40}/);
        talk.paste(WIDE, true);
        await talk.wait(/nine ten$/);
        talk.type("C-u");
        await talk.wait(/^(?![^]*seven)/);
        talk.type("C-c");
        expect(await talk.wait(/\(stopped\)\n>$/)).not.toContain("seven");
    });

    onTerminal("is not lost to a paste that has no end", async () => {
        const talk = await chat();
        talk.type("Escape", "[200~");
        talk.type("C-c");
        await talk.wait(/Ctrl-C once more, or Ctrl-D, leaves\.\n>$/);
        talk.type("/system", "Enter");
        await talk.wait(/There is no system prompt\.\n>$/);
    });
});

onTerminal("help and messages break between words", async () => {
    const talk = await chat([], 50);
    talk.type("/help", "Enter");
    const help = after(await talk.wait(/an answer\.\n>$/), "/help\n");
    talk.type("/load nowhere-at-all.json", "Enter");
    const message = after(await talk.wait(/nowhere-at-all[^]*\n>$/), "/load nowhere-at-all.json\n");
    const words = new Set(readFileSync(path.join(repository, "src/cli/chat/commands.ts"), "utf8").match(/[a-z]{4,}/gi));
    for (const word of help.match(/[a-z]{4,}/gi) ?? []) expect(words).toContain(word);
    expect(message).toMatch(/^nowhere-at-all\.json cannot be read: ENOENT: no\n/);
});

describe("a conversation on a terminal", () => {
    onTerminal("shows answers below questions, and ends with the second Ctrl-C at the prompt", async () => {
        const talk = await chat();
        talk.type(PERU, "Enter");
        expect(await talk.wait(/Lima\.\n>$/)).toMatch(
            /^demo {2}\/help .*\n> What is the capital of Peru\?\nI.*Lima\.\n>$/m,
        );
        talk.type("never said", "C-c");
        await talk.wait(/Lima\.\n>$/);
        talk.type("C-c");
        await talk.wait(/Ctrl-C once more, or Ctrl-D, leaves\.\n>$/);
        talk.type("C-c");
        await talk.wait(/exit 0$/);
    });

    onTerminal("stops an answer at Ctrl-C, and goes on", async () => {
        const talk = await chat(LONG);
        talk.type(PERU, "Enter");
        await talk.wait(/Peru\?\n.{40}/);
        talk.type("C-c");
        const stopped = await talk.wait(/\n\(stopped\)\n>$/);
        talk.type("/prompt", "Enter");
        await talk.wait(/large, chat, small\n<s>\[INST\] What/);
        talk.type("/stats", "Enter");
        const tokens = Number(/abort after (\d+) tokens/.exec(await talk.wait(/1 turn\n>$/))?.[1]);
        expect(tokens).toBeGreaterThan(0);
        expect(tokens).toBeLessThan(4000);
        expect(stopped).not.toContain("exit");
        talk.type("C-d");
        await talk.wait(/exit 0$/);
    });

    onTerminal("waits while a dial is turned in the middle of an answer, and goes on with it", async () => {
        const talk = await chat(LONG);
        talk.type(PERU, "Enter");
        await talk.wait(/Peru\?\n.{40}/);
        talk.type("/set be");
        const before = await talk.wait(/^> \/set be$/m);
        const begun = after(before, PERU);
        talk.type("ta 0.5", "Enter");
        const continued = await talk.wait(/^> \/set beta 0\.5\nbeta = 0\.5\n[^]*.{40}/m);
        // What had been written stands where it stood.
        expect(after(continued, PERU).startsWith(begun.slice(0, begun.indexOf("\n> /set be")))).toBe(true);
        talk.type("x");
        await talk.wait(/^> x$/m);
        talk.type("BSpace");
        talk.type("C-c");
        await talk.wait(/\(stopped\)\n>$/);
        talk.type("/set", "Enter");
        await talk.wait(/> \/set\nbeta = 0\.5\ntemperature = 5\n(.+\n)+>$/);
    });

    onTerminal("answers pasted lines one after another, if nothing says that they were pasted", async () => {
        const talk = await chat();
        talk.paste(`${PERU}\n${MALI}\n${PERU}\n`, false);
        const shown = await talk.wait(/(?:> What.+\n[^>].+\n){3}>$/);
        expect(shown.match(/Lima/g)).toHaveLength(2);
        talk.type("/stats", "Enter");
        await talk.wait(/3 turns\n>$/);
    });

    onTerminal("takes pasted lines as one input, and leaves the terminal without marks", async () => {
        const talk = await chat();
        talk.paste(`${PERU}\n\n    indented\\\n`, true);
        await talk.wait(/^> What is the capital of Peru\?\n…\n… {5}indented\\\n…$/m);
        talk.type(MALI, "Enter");
        await talk.wait(/Mali\?\n.+\n>$/);
        talk.type("/prompt", "Enter");
        await talk.wait(/\[INST\] What is the capital of Peru\?\n\n {4}indented\\\nWhat is the capital of Mali\? \[/);
        talk.type("/new", "Enter");
        await talk.wait(/conversation\.\n>$/);
        talk.paste(`${MALI}\n`, true);
        await talk.wait(/^> What is the capital of Mali\?\n…$/m);
        talk.type("Enter");
        await talk.wait(/Mali\?\n…\n.+\n>$/);
        talk.type("/prompt", "Enter");
        await talk.wait(/<s>\[INST\] What is the capital of Mali\? \[\/INST\]\n>$/);
        talk.type("C-d");
        await talk.wait(/exit 0$/);
        talk.paste("after", true);
        expect(await talk.wait(/after/)).toMatch(/exit 0\nafter$/);
    });

    onTerminal("leaves the terminal without marks when it is terminated", async () => {
        const talk = await chat();
        talk.terminate();
        await talk.wait(/exit 143$/);
        talk.paste("after", true);
        expect(await talk.wait(/after/)).toMatch(/exit 143\nafter$/);
    });

    onTerminal("lets half a line that was typed ahead be edited", async () => {
        const talk = await chat();
        talk.paste("/system -\nabc", false);
        await talk.wait(/> \/system -\n> abc$/);
        talk.type("C-u", "x");
        await talk.wait(/> \/system -\n> x$/);
    });

    onTerminal("goes on after Ctrl-Z", async () => {
        screen = openScreen(["bash", "--noprofile", "--norc", "-i"], { env: { EFT_LLAMA_HISTORY: "" } });
        await screen.wait(/[$#]$/);
        screen.type(COMMAND.map((word) => `'${word}'`).join(" "), "Enter");
        await screen.wait(/^>$/m);
        screen.type("/sys", "C-z");
        await screen.wait(/Stopped/);
        screen.type("fg", "Enter");
        await screen.wait(/^> \/sys$/m);
        screen.type("tem", "Enter");
        await screen.wait(/There is no system prompt\.\n>$/);
        screen.paste("one\ntwo", true);
        await screen.wait(/^> one\n… two$/m);
    });

    onTerminal("says that a block without its end was not said", async () => {
        const talk = await chat();
        talk.type('"""', "Enter");
        await talk.wait(/^…$/m);
        talk.type("never said", "Enter");
        await talk.wait(/^… never said\n…$/m);
        talk.type("C-d");
        await talk.wait(/^What was begun has not been said, since its end is missing\.\nexit 0$/m);
    });

    onTerminal("says below the line that it cannot be remembered, once", async () => {
        const talk = await chat([], 100, "/proc/no-such-folder/history");
        talk.type("/system", "Enter");
        await talk.wait(/> \/system\nWhat is typed is not remembered: .+\nThere is no system prompt\.\n>$/);
        talk.type("/system", "Enter");
        await talk.wait(/> \/system\nThere is no system prompt\.\n>$/);
    });

    onTerminal("keeps what is typed ahead for after the answer", async () => {
        const talk = await chat(LONG);
        talk.type(PERU, "Enter");
        await talk.wait(/Peru\?\n.{40}/);
        talk.type("/system", "Enter");
        await talk.wait(/^> \/system\n.{20}/m);
        talk.type("C-c");
        await talk.wait(/\n\(stopped\)\n> \/system\nThere is no system prompt\.\n>$/);
    });

    onTerminal("shows the difference that EFT makes, side by side or below each other", async () => {
        const wide = await chat();
        wide.type(`/compare ${PERU}`, "Enter");
        const table = await wide.wait(/┘\n>$/);
        expect(table).toMatch(/^target …\nlarge alone …\nchat alone …\n┌/m);
        expect(table).toMatch(/│ large alone +│ chat alone +│ target, beta = 1 +│/);
        expect(table).toMatch(/^│ \[INST\] [^│]+│ I[^│]+│ I[^│]*Lima\. +│$/m);
        wide.close();
        const narrow = await chat([], 60);
        narrow.type(`/compare ${PERU}`, "Enter");
        const list = await narrow.wait(/Lima\.\n>$/);
        expect(list).toMatch(/^large alone\n\[INST\][^]*\n\nchat alone\nI[^]*\n\ntarget, beta = 1\nI.*Lima\.\n>$/m);
    });

    onTerminal("offers the last question for editing, joins lines, and completes words", async () => {
        const talk = await chat();
        talk.type(PERU, "Enter");
        await talk.wait(/Lima\.\n>$/);
        talk.type("/edit", "Enter");
        await talk.wait(/^> \/edit What is the capital of Peru\?$/m);
        talk.type(..."Peru?".replaceAll(/./g, "BSpace ").trim().split(" "), "Japan?", "Enter");
        await talk.wait(/Japan\?\nI.*\.\n>$/);
        talk.type("/edit \\", "Enter");
        await talk.wait(/^…$/m);
        talk.type("What?", "Enter");
        await talk.wait(/What\?\n.+\n>$/);
        // Together with other keys a tab is text that was pasted.
        talk.type("/he");
        await talk.wait(/^> \/he$/m);
        talk.type("Tab");
        await talk.wait(/^> \/help$/m);
        talk.type("Enter");
        await talk.wait(/Ctrl-C stops an answer\.\n>$/);
        talk.type("/set b");
        await talk.wait(/^> \/set b$/m);
        talk.type("Tab");
        await talk.wait(/^> \/set beta$/m);
        talk.type("2", "Enter");
        await talk.wait(/^beta = 2\n>$/m);
        talk.type("/explain", "Enter");
        await talk.wait(/> \/explain\nthe last answer once more …\n[^]*│ token +│ target +│ large [^]*┘\n>$/);
    });

    onTerminal("remembers what was typed in earlier conversations", async () => {
        const talk = await chat();
        talk.type("/set beta 1.25", "Enter");
        await talk.wait(/beta = 1\.25\n>$/);
        talk.type("/quit", "Enter");
        await talk.wait(/exit 0$/);
        expect(readFileSync(path.join(temporary.folder, "history"), "utf8")).toContain("/set beta 1.25\n/quit\n");
        talk.close();
        const later = await chat();
        later.type("Up", "Up", "Enter");
        await later.wait(/> \/set beta 1\.25\nbeta = 1\.25\n>$/);
    });

    onTerminal("keeps each conversation, and goes on with the last one", async () => {
        const state = path.join(temporary.folder, "state");
        const chats = path.join(state, "eft-llama", "chats");
        const begin = async (...flags: readonly string[]): Promise<Screen> => {
            screen = openScreen([...COMMAND, ...flags], { env: { XDG_STATE_HOME: state } });
            await screen.wait(/^>$/m);
            return screen;
        };
        const talk = await begin();
        talk.type(PERU, "Enter");
        await talk.wait(/Lima\.\n>$/);
        talk.type("/new", "Enter");
        await talk.wait(/Nothing has been said in this conversation\.\n>$/);
        talk.type(MALI, "Enter");
        await talk.wait(/Mali\?\nI.*\.\n>$/);
        talk.type("C-d");
        await talk.wait(/exit 0$/);
        talk.close();
        expect(readdirSync(chats).filter((name) => name.endsWith(".json"))).toHaveLength(2);
        const later = await begin("--continue");
        expect(later.read()).toContain(`> ${MALI}\n`);
        expect(later.read()).not.toContain(PERU);
        later.type("/fork", "Enter");
        await later.wait(/From here on[^]*As it is here, it stays in[^]*\n>$/);
        expect(readdirSync(chats).filter((name) => name.endsWith(".json"))).toHaveLength(3);
        if (process.platform !== "win32") expect(statSync(chats).mode & 0o777).toBe(0o700);
    });
});
