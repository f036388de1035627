// The kit that measures a borrowed GPU: one command, part after part, each with its own time. What has been measured is in
// the files after every measurement, so whoever loses the machine in the middle keeps what there is.

import { outOption } from "../out.mjs";
import { measureParts } from "./kit.mjs";
import { PARTS } from "./parts.mjs";

const letters = Object.keys(PARTS).filter((letter) => letter !== "device");

/** @param backends - names of them */
export function gpuCommand(backends) {
    return {
        command: "gpu",
        describe: "everything about a GPU, in minutes: correctness first, then speed and memory",
        builder: (parser) =>
            parser.options({
                backend: { choices: backends, default: "auto", describe: "of llama.cpp" },
                quick: { boolean: true, default: false, describe: "all of it at small sizes" },
                parts: {
                    string: true,
                    default: letters.join(","),
                    describe: "which: " + letters.map((letter) => `${letter} ${PARTS[letter].title}`).join(", "),
                    coerce: readLetters,
                },
                minutes: { number: true, describe: "for all parts together; default: 9, quick 5" },
                out: outOption(
                    "the beginning of the names of a JSON and a Markdown file, or a folder for gpu.json and gpu.md",
                    {
                        default: "bench-gpu",
                    },
                ),
            }),
        async handler({ backend, quick, parts, minutes = quick ? 5 : 9, out }) {
            if (!(minutes > 0)) throw new Error("--minutes takes a number above 0.");
            process.exitCode = (await measureParts({ backend, quick, parts, minutes, out })) ? 0 : 1;
        },
    };
}

function readLetters(text) {
    const parts = text.split(/[ ,]+/).filter((letter) => letter !== "");
    const unknown = parts.find((letter) => !letters.includes(letter));
    if (unknown !== undefined || parts.length === 0)
        throw new Error(
            `--parts takes letters of ${letters.join(",")}, separated by commas, not "${unknown ?? text}".`,
        );
    return letters.filter((letter) => parts.includes(letter));
}
