// `npm run bench -- serve`.

import path from "node:path";
import { projectRoot } from "./families.mjs";
import { checkOut, outOption } from "./out.mjs";
import { writeReport } from "./report.mjs";
import { benchServe, printServe } from "./serve.mjs";

const file = (name) => path.join(projectRoot, "models", "demo", name);
const DEMO = {
    name: "demo",
    recipe: "demo",
    members: ["large-base-f16.gguf", "small-chat-f16.gguf", "small-base-f16.gguf"].map(file),
};

export function serveCommand() {
    return {
        command: "serve",
        describe: "the server under load, and beside llama.cpp's own",
        builder: (parser) =>
            parser.options({
                clients: { number: true, array: true, default: [1, 4, 16, 64], describe: "at once" },
                seconds: { number: true, default: 120, describe: "for each number of clients" },
                parallel: { number: true, default: 16, describe: "answers that are written at once" },
                threads: { number: true, default: 1, describe: "of every server" },
                "llama-server": { string: true, describe: "llama.cpp's server, to compare with" },
                out: outOption("write JSON to this file"),
            }),
        async handler({ clients, seconds, parallel, threads, llamaServer, out }) {
            if (out !== undefined) await checkOut(out, [out]);
            const result = await benchServe(DEMO, { clients, seconds, parallel, threads, llamaServer });
            printServe(result);
            await writeReport("serve", { clients, seconds, parallel, threads, out }, [result]);
        },
    };
}
