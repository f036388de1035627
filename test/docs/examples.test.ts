/** The programs in examples/ run as they are, with the built package. */

import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "@jest/globals";
import { repository } from "../helpers/demo.js";

const run = promisify(execFile);

/** What each of them prints, among other things. */
const OUTPUTS: Readonly<Record<string, readonly RegExp[]>> = {
    "ai-sdk.ts": [
        /^Its capital is Kathmandu\.\nbeta 0: (?!.*Kathmandu)/,
        /^an object with city and isLarge\nweather: It is sunny in (Kathmandu|Lima)\.\n2 steps$/m,
    ],
    "batch.ts": [/^Peru: Its capital is Lima\.$/m, /^Canada: .+$/m],
    "chat.ts": [
        /^What is the capital of Peru\?/m,
        /^lambda 1: *I cannot share/m,
        / \| .*Tokyo/,
        /^2 turns were read back$/m,
    ],
    "complete.ts": [/Its capital is Lima\./, /\(stop after \d+ tokens, seed \d+\)/],
    "dial.ts": [
        /^lambda 0: .*555/m,
        /^lambda 1: I cannot share/m,
        /^beta 0: (?!.*Kathmandu)/m,
        /^turned after 3 tokens: .*Kathmandu/m,
    ],
    "label.ts": [/^16 at once: 12 labels in \d+\.\d s \{/m],
    "langchain.ts": [
        /^Its capital is Kathmandu\.\nbeta 0: (?!.*Kathmandu)/,
        /^an object with city and isLarge\nweather: It is sunny in (Kathmandu|Lima)\.$/m,
    ],
    "lora.ts": [/Its capital is Lima\./],
    "rescore.ts": [/^-0\.0\d Its capital is Lima\.$/m, /^30 candidates in \d+\.\d s$/m],
    "score.ts": [/^Its capital is Lima\. +target -0\.\d\d \(large -/m, /^Its capital is Paris\. +target -\d/m],
    "tools.ts": [
        /^population_of: \{"people":(34|30)000000\}\nHow many people live in Peru\? ./m,
        /^weather_in: "It is sunny in (Lima|Kathmandu)\."\nIs it sunny in Kathmandu\? ./m,
        /^What is the capital of Japan\? Its capital is Tokyo\.\n3 turns, 2 with calls$/m,
    ],
};

/** Less than by default, where that takes its time. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = { "label.ts": ["12"], "rescore.ts": ["30"] };

describe("examples", () => {
    const files = readdirSync(path.join(repository, "examples")).filter((file) => file.endsWith(".ts"));

    it("are all tested", () => {
        expect(files.sort()).toEqual(Object.keys(OUTPUTS).sort());
    });

    it.each(files)("%s", async (file) => {
        const args = ["--import", "tsx", path.join("examples", file), ...(ARGUMENTS[file] ?? [])];
        const { stdout, stderr } = await run(process.execPath, args, { cwd: repository });
        expect(stderr).toBe("");
        for (const pattern of OUTPUTS[file] ?? []) expect(stdout).toMatch(pattern);
    });
});
