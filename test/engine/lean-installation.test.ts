/** Large packages are loaded by those alone who use them, and what draws plots may be left out of an installation. */

import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import { demoFile, readText, repository } from "../helpers/demo.js";
import { writeQuestions } from "../helpers/evaluation.js";
import { temporaryFolder } from "../helpers/temporary.js";

let temporary: ReturnType<typeof temporaryFolder>;
/** Without and with a plot. */
let experiment: string;
let drawn: string;
beforeAll(() => {
    temporary = temporaryFolder();
    experiment = writeQuestions(temporary.folder, demoFile("small-chat"), 1);
    drawn = inFolder("drawn.yaml");
    writeFileSync(drawn, `${readFileSync(experiment, "utf8")}plots: [{ title: Right, kind: bars, y: [many/right] }]\n`);
});
afterAll(() => temporary.remove());

const inFolder = (name: string): string => path.join(temporary.folder, name);
const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    promisify(execFile)(process.execPath, args, { cwd: temporary.folder, env: { ...process.env, ...env } });
const CPU = ["--backend", "cpu", "--threads", "1"];

/** The names of all packages of which a program has loaded a file, and what estimates memory: Node's coverage lists the files. */
async function packagesOf(name: string, args: readonly string[]): Promise<ReadonlySet<string>> {
    const coverage = inFolder(`${name}-coverage`);
    await run(args, { NODE_V8_COVERAGE: coverage });
    const texts = readdirSync(coverage).map((file) => readFileSync(path.join(coverage, file), "utf8"));
    const urls = texts.flatMap((text) => (JSON.parse(text) as { result: { url: string }[] }).result);
    const pattern = /^.*\/(?:node_modules\/(?=[^]*\/)|dist\/models\/(?=estimates\.js$))((?:@[^/]+\/)?[^/.]+)/;
    return new Set(urls.flatMap(({ url }) => pattern.exec(url)?.slice(1) ?? []));
}

describe("what is loaded", () => {
    const library = JSON.stringify(path.join(repository, "dist", "index.js"));
    const program = path.join(repository, "dist", "cli", "main.js");
    const asProgram = (text: string): string[] => ["--input-type=module", "--eval", text];

    it.each<[string, () => string[], { plots: boolean; estimates: boolean }]>([
        ["library", () => asProgram(`await import(${library});`), { plots: false, estimates: false }],
        [
            "header",
            () => asProgram(`await (await import(${library})).readGguf(${JSON.stringify(demoFile("large-base"))});`),
            { plots: false, estimates: false },
        ],
        ["help", () => [program, "--help"], { plots: false, estimates: false }],
        [
            "init",
            () => [
                ...[program, "recipe", "init", "--output", inFolder("new.yaml")],
                ...["large-base", "small-chat", "small-base"].map((name) => demoFile(name as "small-chat")),
            ],
            { plots: false, estimates: false },
        ],
        [
            "complete",
            () => [program, "complete", "--recipe", "demo", "-n", "1", "Norway", ...CPU],
            { plots: false, estimates: false },
        ],
        ["inspect", () => [program, "inspect", "demo", "--backend", "cpu"], { plots: false, estimates: true }],
        [
            "eval",
            () => [program, "eval", experiment, "--out", inFolder("tables"), ...CPU],
            { plots: false, estimates: false },
        ],
        [
            "eval with plots",
            () => [program, "eval", drawn, "--out", inFolder("drawn"), ...CPU],
            { plots: true, estimates: false },
        ],
    ])("by %s", async (name, args, { plots, estimates }) => {
        const packages = await packagesOf(name, args());
        expect({
            plots: packages.has("vega") || packages.has("vega-lite"),
            estimates: packages.has("estimates"),
        }).toEqual({ plots, estimates });
        expect(packages).not.toContain("node-llama-cpp");
    });
});

describe("without what draws plots, and what only a development needs", () => {
    const left = ["vega", "vega-lite"];
    const absent = [...left, "node-llama-cpp", "cmake-js", "node-addon-api", "node-api-headers"];
    let program: string;
    beforeAll(() => {
        // As an installation lies there. Links lead back to the packages here, which find each other as ever.
        const root = inFolder("lean");
        const target = path.join(root, "node_modules");
        mkdirSync(target, { recursive: true });
        for (const name of ["package.json", "dist"])
            cpSync(path.join(repository, name), path.join(root, name), { recursive: true });
        for (const name of ["build", "prebuilds", "recipes", "experiments", "models"])
            symlinkSync(path.join(repository, name), path.join(root, name));
        for (const name of readdirSync(path.join(repository, "node_modules")).filter((name) => !absent.includes(name)))
            symlinkSync(path.join(repository, "node_modules", name), path.join(target, name));
        program = path.join(root, "dist", "cli", "main.js");
    });

    it("an evaluation says what is left out, and how to have it, and reports all the rest", async () => {
        const out = inFolder("lean-results");
        const { stdout, stderr } = await run([program, "eval", drawn, "--out", out, ...CPU]);
        const { optionalDependencies } = JSON.parse(readFileSync(path.join(repository, "package.json"), "utf8")) as {
            optionalDependencies: Readonly<Record<string, string>>;
        };
        expect(Object.keys(optionalDependencies).filter((name) => !name.startsWith("@node-llama-cpp/"))).toEqual(left);
        const named = left.map((name) => `${name}@${optionalDependencies[name]}`).join(" ");
        expect(readText("docs/install.md").split(named)).toHaveLength(3);
        const missing = left.map((name) => `${name}@${optionalDependencies[name]}`).join(", ");
        expect(stderr).toBe(
            `Left out: the plots, which need packages that are not installed (${missing}); with them, the same command ` +
                "draws what was measured\n",
        );
        expect(stdout).toContain(path.join(out, "report.html"));
        const read = (name: string): string => readFileSync(path.join(out, name), "utf8");
        const reports = [read("report.html"), read("report.md")];
        for (const report of reports) {
            expect(report).toContain("Left out: the plots");
            expect(report).not.toMatch(/<svg|images\//);
        }
        expect(readdirSync(path.join(out, "images"))).toEqual([]);

        // The whole installation draws them afterwards, and asks nothing again.
        const answers = read("mine/answers.jsonl");
        await run([path.join(repository, "dist", "cli", "main.js"), "eval", drawn, "--out", out, ...CPU]);
        expect(read("mine/answers.jsonl")).toBe(answers);
        expect(read("report.html")).toContain("<svg");
        expect(existsSync(path.join(out, "images", "mine-1.svg"))).toBe(true);
    });

    it("memory is planned, and models are checked as far as that goes without another evaluation", async () => {
        const { stdout } = await run([program, "inspect", "demo", "--backend", "cpu", "--json"]);
        const whole = await run([
            path.join(repository, "dist", "cli", "main.js"),
            "inspect",
            "demo",
            "--backend",
            "cpu",
            "--json",
        ]);
        expect((JSON.parse(stdout) as { memory: object }).memory).toEqual(
            (JSON.parse(whole.stdout) as { memory: object }).memory,
        );
        const check = await run([program, "check", demoFile("small-base"), ...CPU]);
        expect(check.stdout).toMatch(/^warning +node-llama-cpp +not asked: it is not installed: `npm install /m);
    });

    it("an evaluation without plots misses nothing", async () => {
        const { stderr } = await run([program, "eval", experiment, "--out", inFolder("lean-tables"), ...CPU]);
        expect(stderr).toBe("");
    });
});
