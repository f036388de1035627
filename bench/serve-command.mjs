// `npm run bench -- serve`.

import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { FAMILIES, findFamily } from "./families.mjs";
import { checkOut, outOption } from "./out.mjs";
import { writeReport } from "./report.mjs";
import { withFolder } from "./temporary.mjs";
import { benchServe, printServe } from "./serve.mjs";

/** With the files of its members; the demo family's recipe is the one that everybody has. */
async function toServed(name, folder) {
    const family = await findFamily(name, folder);
    const members = Object.values(family.members);
    if (name === "demo") return { name, recipe: "demo", members };
    const recipe = path.join(folder, `${name}.json`);
    const models = Object.entries(family.members).map(([member, model]) => [member, { model }]);
    const { combination } = family;
    const prompt = { template: "plain" };
    await writeFile(recipe, JSON.stringify({ eft: 1, name, members: Object.fromEntries(models), combination, prompt }));
    return { name, recipe, members };
}

export function serveCommand() {
    return {
        command: "serve",
        describe: "the server under load, and beside llama.cpp's own",
        builder: (parser) =>
            parser.options({
                family: { choices: Object.keys(FAMILIES), default: "demo", describe: "whose members" },
                clients: { number: true, array: true, default: [1, 4, 16, 64], describe: "at once" },
                seconds: { number: true, default: 120, describe: "for each number of clients; 0: only compare" },
                parallel: { number: true, default: 16, describe: "answers that are written at once" },
                threads: { number: true, default: 1, describe: "of every server" },
                hostile: { boolean: true, default: false, describe: "beside hostile clients, too" },
                answers: { number: true, default: 8, describe: "of each client, for the comparison" },
                "llama-server": { string: true, describe: "llama.cpp's server, to compare with" },
                out: outOption("write JSON to this file"),
            }),
        async handler({ family, out, ...options }) {
            if (out !== undefined) await checkOut(out, [out]);
            const { clients, seconds, parallel, threads, answers, hostile, llamaServer } = options;
            const settings = { clients, seconds, parallel, threads, answers, hostile };
            const result = await withFolder(tmpdir(), "eft-llama-bench-", async (folder) =>
                benchServe(await toServed(family, folder), { ...settings, llamaServer }),
            );
            printServe(result);
            await writeReport("serve", { family, ...settings, out }, [result]);
        },
    };
}
