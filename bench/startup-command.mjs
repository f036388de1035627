// `npm run bench -- startup`.

import { tmpdir } from "node:os";
import { checkOut, outOption } from "./out.mjs";
import { writeReport } from "./report.mjs";
import { benchStartup, printStartup } from "./startup.mjs";
import { withFolder } from "./temporary.mjs";

export function startupCommand() {
    return {
        command: "startup",
        describe: "loading and checking one and three members with large vocabularies",
        builder: (parser) =>
            parser.options({
                vocabulary: { number: true, array: true, default: [128_256, 151_936, 262_144], describe: "tokens" },
                rounds: { number: true, default: 5, describe: "that are measured" },
                against: { string: true, requiresArg: true, describe: "folder of another built copy, to compare with" },
                out: outOption("write JSON to this file"),
            }),
        async handler({ vocabulary, rounds, against, out }) {
            if (!(rounds >= 1)) throw new Error("At least 1 round.");
            if (out !== undefined) await checkOut(out, [out]);
            const results = [];
            for (const size of vocabulary) {
                const result = await withFolder(tmpdir(), "eft-llama-bench-", (folder) =>
                    benchStartup(size, folder, { rounds, against }),
                );
                printStartup(result);
                results.push(result);
            }
            await writeReport("startup", { vocabulary, rounds, against, out }, results);
        },
    };
}
