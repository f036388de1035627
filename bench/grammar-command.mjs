// `npm run bench -- grammar`.

import { tmpdir } from "node:os";
import { benchGrammar, printGrammar } from "./grammar.mjs";
import { checkOut, outOption } from "./out.mjs";
import { importLibrary } from "./families.mjs";
import { writeReport } from "./report.mjs";
import { withFolder } from "./temporary.mjs";

export function grammarCommand() {
    return {
        command: "grammar",
        describe: "what grammars cost at large vocabularies",
        builder: (parser) =>
            parser.options({
                family: {
                    ...{ array: true, choices: ["llama2", "llama3", "qwen3", "gemma3"], default: ["qwen3", "gemma3"] },
                    describe: "whose vocabulary",
                },
                rounds: { number: true, default: 5, describe: "how often each text is written" },
                out: outOption("write JSON to this file"),
            }),
        async handler({ family, rounds, out }) {
            if (!(rounds >= 1)) throw new Error("At least 1 round.");
            await importLibrary();
            if (out !== undefined) await checkOut(out, [out]);
            // Only where the repository is: its tests read the vocabularies.
            const { findVocabulary } = await import("./vocabularies.mjs");
            await withFolder(tmpdir(), "eft-llama-bench-", async (folder) => {
                const results = [];
                for (const each of family) {
                    const result = await benchGrammar(await findVocabulary(each, folder), { rounds });
                    printGrammar(result);
                    results.push(result);
                }
                await writeReport("grammar", { family, rounds, out }, results);
            });
        },
    };
}
