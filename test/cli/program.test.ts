/** What all commands of `eft-llama` have in common. */

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { describe, expect, it } from "@jest/globals";
import { availableParallelism } from "node:os";
import { readText } from "../helpers/demo.js";
import { hasTerminal, program, run, runOnTerminal } from "./run.js";

const COMMANDS = ["complete", "chat", "score", "eval", "inspect", "check", "demo"];
const QUESTION = "What is the capital of Nepal?";
const command = (...args: string[]): string => [process.execPath, program, ...args].map((arg) => `'${arg}'`).join(" ");
const onTerminal = hasTerminal ? it : it.skip;
if (!hasTerminal) console.warn("Tests on a terminal are skipped: they need `script` of util-linux.");

describe("help", () => {
    it("lists the commands", async () => {
        const { stdout, stderr, code } = await run(["--help"]);
        expect({ stderr, code }).toEqual({ stderr: "", code: 0 });
        for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}eft-llama ${name}\\b`, "m"));
    });

    it.each(COMMANDS)("of %s has flags, examples, and lines of at most 100 characters", async (name) => {
        const { stdout, code } = await run([name, "--help"]);
        expect(code).toBe(0);
        expect(stdout).toMatch(/^Loading:\n +--backend/m);
        expect(stdout).toMatch(new RegExp(`^Examples:\\n(.*\\n)*.*eft-llama ${name}`, "m"));
        expect(Math.max(...stdout.split("\n").map((line) => line.length))).toBeLessThanOrEqual(100);
    });

    it("speaks English wherever it runs", () => {
        const env = { ...process.env, LANG: "de_DE.UTF-8", LC_ALL: "de_DE.UTF-8" };
        const stdout = execFileSync(process.execPath, [program, "--help"], { encoding: "utf8", env });
        expect(stdout).toContain("Commands:");
    });

    it("completes commands and flags in a shell", async () => {
        const complete = async (...words: string[]): Promise<string[]> =>
            (await run(["--get-yargs-completions", "eft-llama", ...words])).stdout.split("\n");
        expect(await complete("")).toEqual(expect.arrayContaining([...COMMANDS, "pull", "recipe"]));
        expect(await complete("complete", "--te")).toContain("--temperature");
        expect(await complete("complete", "--backend", "")).toContain("vulkan");
        expect(await complete("chat", "-r", "demo")).toEqual(["demo", "demo-dial", ""]);
        expect(await complete("recipe", "show", "proxy")).toEqual(["proxy-tuning", ""]);
        expect(await complete("pull", "./")).toEqual([""]);
        expect(await complete("pull", "--")).toContain("--dir");
        expect((await run(["completion"])).stdout).toContain("eft-llama --get-yargs-completions");
    });

    it("is what -h and `help` lead to, wherever they stand", async () => {
        const [top, chat, show] = [
            await run(["--help"]),
            await run(["chat", "--help"]),
            await run(["recipe", "show", "-h"]),
        ];
        expect(await run(["-h"])).toEqual(top);
        expect(await run(["help"])).toEqual(top);
        expect(await run(["help", "chat"])).toEqual(chat);
        expect(await run(["chat", "-r", "demo", "-h"])).toEqual(chat);
        expect(show.stdout).toMatch(/^eft-llama recipe show <recipe>\n/);
        for (const what of ["EFT_LLAMA_CONFIG", "config.yaml", "EFT_LLAMA_MODELS", "NO_COLOR", "130"])
            expect(top.stdout).toContain(what);
    });

    it.each([
        [["evl", "paper"], 'There is no command "evl"; did you mean "eval"?'],
        [["help", "evl"], 'There is no command "evl"; did you mean "eval"?'],
        [["evl", "--help"], 'There is no command "evl"; did you mean "eval"?'],
        [["recipe", "shw", "demo"], 'There is no command "recipe shw"; did you mean "show"?'],
        [
            ["complete", "-r", "demo", "--temprature", "1", "Hi"],
            "There is no --temprature; did you mean --temperature?",
        ],
        [["complete", "-r", "demo", "--no-lookup", "Hi"], "There is no --no-lookup; write --lookup=false."],
        [
            ["complete", "-m", "x.gguf", "Hi"],
            "There is no -m: name the models with --recipe, or with --base, --tuned and --reference.",
        ],
        [
            ["complete", "-r", "demo", "--backend", "gpu", "Hi"],
            '--backend takes auto, cpu, vulkan, cuda, metal, not "gpu".',
        ],
        [["complete", "-r", "demo", "--xyzzy", "Hi"], "There is no --xyzzy."],
        [
            ["complete", "-r", "demo", "What", "is", "it?"],
            "Too many arguments: is, it?. Put a text of several words into quotes.",
        ],
        [
            ["complete", "demo", "What is it?"],
            "Too many arguments: What is it?. Name a recipe with --recipe. Put a text of several words into quotes.",
        ],
        [["models", "list", "demo"], "Too many arguments: demo."],
        [["complete", "-r", "demo", "-p", "-hello", "-raw"], "There is no -raw; did you mean --raw?"],
        ...[
            ["--maxTokenz=5", "--maxTokenz; did you mean --max-tokens?"],
            ["--fooBar", "--fooBar."],
            ["-x=5", "-x."],
            ["-xy", "-xy."],
            ["-temperature", "-temperature; did you mean --temperature?"],
            ["-ngl", "-ngl; write --gpu-layers."],
            ["--n-predict", "--n-predict; write --max-tokens."],
            ["--text=a", "--text; write the text without a flag."],
        ].map(([flag = "", message]): [string[], string] => [
            ["complete", "-r", "demo", flag, "9", "Hi"],
            `There is no ${message}`,
        ]),
        ...[
            ["-p", "a", "b"],
            ["b", "--prompt=a"],
            ["b", "-f", "a"],
            ["-pa", "-f", "a"],
            ["-pa", "--", "b"],
        ].map((words): [string[], string] => [
            ["complete", "-r", "demo", ...words],
            "Give one text: as an argument, or with --prompt or --file.",
        ]),
        [["score", "-r", "demo", "--", "-5", "b"], "Too many arguments: b. Put a text of several words into quotes."],
        [["chat", "demo", "--", "-x", "-y"], 'Put what is said into quotes: "-x -y".'],
        [
            ["complete", "-r", "demo", "--stop", "-refuse", "Hi"],
            '--stop takes a value; write one that begins with "-" as --stop=-x.',
        ],
        [["recipe", "check", "--recipe", "demo"], "An argument is missing."],
        [["--temprature", "1", "complete", "-r", "demo"], "There is no --temprature; did you mean --temperature?"],
        [["-r", "demo", "evl", "paper"], 'There is no command "evl"; did you mean "eval"?'],
        [["evl", "demo"], 'There is no command "evl"; did you mean "eval"?'],
        [["constructor"], 'There is no command "constructor"; possible: '],
        [["--quiet", "recipe", "--json", "shw"], 'There is no command "recipe shw"; did you mean "show"?'],
        [["--verbos"], "There is no --verbos; did you mean --verbose? Name a command: complete, chat, "],
        [["-temperature=1"], "There is no -temperature; did you mean --temperature? Name a command: complete, chat, "],
        ...[
            ["-r", "--temprature", "1", "Hi"],
            ["--recipe", "--tempera=1", "Hi"],
            ["-qr", "--xyzzy", "Hi"],
            ["-r", "--temperature", "1", "Hi"],
        ].map((words): [string[], string] => [["complete", ...words], " takes a value; write one that begins with "]),
        ...[
            ["complete", "-recipe", "demo", "hi"],
            ["complete", "-recpie=demo", "hi"],
            ["complete", "-r", "demo", "-prompt", "hi"],
            ["complete", "-r", "demo", "-promt", "hi"],
            ["complete", "-r", "demo", "-file", "x"],
            ["-recipe", "demo", "complete", "hi"],
            ["eval", "paper", "-out", "x"],
            ["recipe", "init", "-output", "x"],
            ["complete", "-r", "demo", "-raw", "hi"],
        ].map((words): [string[], string] => {
            const flag = words.find((word) => /^-\w\w/.test(word))?.split("=")[0] ?? "";
            const meant = flag.replace("recpie", "recipe").replace("promt", "prompt");
            return [words, `There is no ${flag}; did you mean -${meant}?`];
        }),
        [
            ["--", "complete"],
            "Name a command: complete, chat, score, serve, eval, inspect, check, doctor, recipe, pull, models, demo.",
        ],
    ])("has what was meant: %j", async (words, message) => {
        const { stdout, stderr, code } = await run(words);
        expect({ stdout, code }).toEqual({ stdout: "", code: 2 });
        expect(stderr).toMatch(/^eft-llama: [^\n]+\nSee `eft-llama[^\n]* --help`\.\n$/);
        // Lists of commands and the name of the flag are not written out above.
        if (/[.?]$/.test(message)) expect(stderr).toContain(`eft-llama: ${message}\n`);
        else expect(stderr).toContain(message);
    });

    const limits = [
        ...readText("docs/cli.md").matchAll(/^\| (`--[^|]+`) +\| (above 0|-?\d+) +\| ([^|]+?) +\|$/gm),
    ].flatMap(([, flags = "", smallest = "", largest = ""]) =>
        [...flags.matchAll(/--[\w-]+/g)].map(([flag]) => [flag, smallest, largest] as const),
    );
    it.each(limits)("documents the range of %s: from %s to %s", async (flag, smallest, largest) => {
        const ofScore = ["--sequences", "--stride"].includes(flag);
        const command = ofScore ? ["score", "-r", "demo", "Hi"] : ["complete", "-r", "demo", "--json", "Hi"];
        const below = smallest === "above 0" ? "0" : `${Number(smallest) - 1}`;
        const { stderr, code } = await run([...command, `${flag}=${below}`]);
        expect(code).toBe(1);
        const most = Math.min(512, 4 * availableParallelism());
        const range = smallest === "above 0" ? `above 0 and at most ${largest}` : `from ${smallest} to ${largest}`;
        expect(stderr).toMatch(/^eft-llama: --/);
        expect(stderr).toContain(`${flag} must be a`);
        expect(stderr).toContain(range.replace(/four times.*/, `${most}`).replace("the context", "256"));
    });

    it("documents all ranges", () => {
        expect(limits).toHaveLength(16);
    });

    it("knows short flags", async () => {
        const question = "What is the capital of Nepal?";
        const expected = await run(["complete", "--recipe", "demo", "--max-tokens", "20", question]);
        for (const words of [
            ["complete", "-rdemo", "-n20", question],
            ["complete", "-r", "demo", "-n", "20", "-p", question],
            ["complete", "-r=demo", "--speculation", "adaptive", "--", question],
        ])
            expect(await run(words)).toEqual(expected);
    });

    const answer = run(["complete", "-r", "demo"], { input: "-x" }).then(({ stdout }) => stdout.trim());
    it.each([
        ["-q", "complete", "-r", "demo", "--", "-x"],
        ["--quiet", "complete", "-r", "demo", "-p", "-x"],
        ["complete", "-qr", "demo", "--prompt=-x"],
        ["chat", "-q", "demo", "--", "-x"],
    ])("reads %s %s %s %s %s %s as one question", async (...words) => {
        // A conversation begins its answers at the beginning of a line.
        const { stdout, stderr, code } = await run(words);
        expect({ stdout: stdout.trim(), stderr, code }).toEqual({ stdout: await answer, stderr: "", code: 0 });
    });

    it.each([
        ["-r", "demo", "complete"],
        ["--recipe", "demo", "complete"],
        ["--max-tokens", "20", "complete", "-rdemo"],
        ["--maxTokens", "20", "-qr", "demo", "complete"],
        ["-n20", "-rdemo", "complete"],
        ["--quiet", "true", "--stop", "inspect", "--recipe=demo", "complete"],
    ])("reads %s %s %s %s %s %s as a command behind flags", async (...words) => {
        const { stdout, stderr, code } = await run([...words, QUESTION]);
        expect({ stdout, stderr, code }).toEqual({ stdout: "Its capital is Kathmandu.\n", stderr: "", code: 0 });
    });

    it("reads flags before a command and what belongs to it", async () => {
        const { stdout } = await run(["recipe", "show", "demo", "--set", "beta=1.5"]);
        for (const words of [
            ["--set", "beta=1.5", "recipe", "show", "demo"],
            ["recipe", "--set", "beta=1.5", "show", "demo"],
        ])
            expect(await run(words)).toEqual({ stdout, stderr: "", code: 0 });
    });

    it("reads values, wherever they begin", async () => {
        const { stdout } = await run(["complete", "-r", "demo", QUESTION]);
        expect(stdout).toBe("Its capital is Kathmandu.\n");
        const stops = ["--stop", "-noise", "--stop=-refuse", "--stop=-n", "--stop", "-5"];
        expect(await run(["complete", "-r", "demo", ...stops, QUESTION])).toMatchObject({ stdout, code: 0 });
        expect((await run(["complete", "-r", "demo", "--raw", "-p", "-5", "--json", "-n0"])).code).toBe(0);
    });

    it("knows the version", async () => {
        const { version } = JSON.parse(readText("package.json")) as { version: string };
        for (const flag of ["--version", "-v"])
            expect(await run([flag])).toEqual({ stdout: `${version}\n`, stderr: "", code: 0 });
    });

    it.each([[[]], [["conplete"]], [["--verbose"]]])("is where %j leads", async (args: string[]) => {
        const { stdout, stderr, code } = await run(args);
        expect({ stdout, code }).toEqual({ stdout: "", code: 2 });
        expect(stderr).toMatch(/\nSee `eft-llama --help`\.\n$/);
    });
});

describe("a reader that stops reading", () => {
    it.each([
        ["complete -r demo --json --temperature 100 --seed 7 --context-size 20000 --quiet Hello"],
        ["inspect"],
        ["demo"],
    ])("ends %s without a word", (args) => {
        const pipe = `${command(...args.split(" "))} | head -n 1; echo "\${PIPESTATUS[0]}"`;
        const stdout = execFileSync("bash", ["-c", `(${pipe}) 2>&1`], { encoding: "utf8" });
        expect(stdout).toMatch(/^[^\n]*\n0\n$/);
    });
});

describe("output that cannot be written", () => {
    const onFullDevice = existsSync("/dev/full") ? it : it.skip;
    onFullDevice("is said in a sentence", () => {
        const printed = execFileSync("bash", ["-c", `${command("inspect")} 2>&1 >/dev/full; echo "code $?"`]);
        expect(printed.toString()).toMatch(/^eft-llama: The output cannot be written: ENOSPC.*\ncode 1\n$/);
    });
});

describe("a terminal", () => {
    const bar = /Loading [█░]+ 100%/;
    // eslint-disable-next-line no-control-regex
    const color = /\x1b\[\d+m/;

    onTerminal("shows a progress bar, removes it, and ends the text with a line end", () => {
        const received = runOnTerminal(command("complete", "-r", "demo", QUESTION));
        expect(received).toMatch(bar);
        // What follows the last "erase this line" is what stays.
        expect(received.split("\x1b[2K").at(-1)).toBe("Its capital is Kathmandu.\r\n");
    });

    onTerminal("shows the bar also when the text goes elsewhere, and does not when the bar would", () => {
        expect(runOnTerminal(`${command("complete", "-r", "demo", QUESTION)} >/dev/null`)).toMatch(bar);
        expect(runOnTerminal(`${command("complete", "-r", "demo", QUESTION)} 2>/dev/null`)).not.toMatch(bar);
    });

    onTerminal("shows no bar where it could not be removed, nor with --quiet", () => {
        const plain = "Its capital is Kathmandu.\r\n";
        expect(runOnTerminal(command("complete", "-r", "demo", QUESTION), { TERM: "dumb" })).toBe(plain);
        expect(runOnTerminal(command("complete", "-r", "demo", "--quiet", QUESTION))).toBe(plain);
    });

    onTerminal("has colours, unless NO_COLOR is set", () => {
        expect(runOnTerminal(command("demo"))).toMatch(color);
        expect(runOnTerminal(command("demo"), { NO_COLOR: "1" })).not.toMatch(color);
    });

    onTerminal("is asked for a text only when there is none", () => {
        const received = runOnTerminal(`${command("complete", "-r", "demo")}; echo "code $?"`);
        expect(received).toMatch(/Give the text as an argument/);
        expect(received).toMatch(/code 2/);
    });
});
