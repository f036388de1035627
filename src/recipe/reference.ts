import { isAbsolute, relative, resolve } from "node:path";
import { expandHome } from "../files.js";

const REMOTE = /^(?:hf|https):/;
// hf:user/repository, then nothing, a quantization, or the path of a file with an optional branch.
const HUGGING_FACE = /^hf:[\w.-]+\/[\w.-]+(?::[\w.-]+|\/[^\s#]+\.gguf(?:#[^\s#]+)?)?$/;
// What a browser shows of a repository on the hub, or of a file in it.
const HUB_PAGE =
    /^https:\/\/huggingface\.co\/([\w.-]+\/[\w.-]+)(?:\/|\/tree\/[^/]+\/?|\/blob\/[^/]+(\/[^?#]+\.gguf))?$/;
const SCHEME = /^([A-Za-z][A-Za-z0-9+.-]+):/;
const DOTS_ALONE = /[:/#]\.\.?(?=[:/#]|$)/;
const OTHER_FORMAT = /\.(?:safetensors|bin|pth?|onnx|ggml)$/i;

/** Why a reference to a model or adapter cannot be one, or undefined. Does not look whether the file exists. */
export function findReferenceProblem(reference: string): string | undefined {
    if (reference.trimEnd() !== reference || /\p{Cc}/u.test(reference))
        return "has blanks at an end, or line breaks; delete them";
    if (reference.trimStart() !== reference)
        return 'begins with blanks; delete them, or write "./" before them if the name of the file does';
    if (reference.startsWith("hf:")) {
        if (!HUGGING_FACE.test(reference)) return 'is incomplete; write "hf:user/repository:Q4_K_M"';
        return DOTS_ALONE.test(reference) ? 'has a part "." or ".."; write the path as the hub shows it' : undefined;
    }
    if (reference.startsWith("https:")) return findAddressProblem(reference);
    const scheme = SCHEME.exec(reference)?.[1];
    if (scheme !== undefined) {
        const remedy = reference.startsWith(`${scheme}://`) ? "" : '; write "./" before a file name with a colon';
        return `begins with "${scheme}:"; only file paths, hf: and https: references are possible${remedy}`;
    }
    if (OTHER_FORMAT.test(reference))
        return "is not a GGUF file; convert the model with convert_hf_to_gguf.py of llama.cpp";
    if (/[/\\]$/.test(reference)) return "is a folder; name the GGUF file in it";
    return undefined;
}

function findAddressProblem(address: string): string | undefined {
    if (!URL.canParse(address) || new URL(address).pathname.length < 2)
        return 'is not a complete address; write "https://host/path/model.gguf"';
    const [, repository, file] = HUB_PAGE.exec(address) ?? [];
    if (repository !== undefined)
        return `is the address of a page, not of a file; write "hf:${repository}${file ?? ":Q4_K_M"}"`;
    const { username, password } = new URL(address);
    if (username !== "" || password !== "")
        return "has a name or password in it, which are not sent; download the model by other means and write its path";
    return undefined;
}

/** The reference for messages, which others may read. */
export function hidePassword(reference: string): string {
    return reference.replace(/^([a-z][a-z0-9+.-]*:\/*)[^/?#]*@/i, "$1***@");
}

/** Why a reference cannot be a LoRA adapter, or undefined: adapters are files, they are not downloaded. */
export function findAdapterProblem(reference: string): string | undefined {
    if (REMOTE.test(reference)) return "is not a file; download the adapter and write its path";
    return findReferenceProblem(reference);
}

/** The absolute path of a file, seen from `directory`; `~/` is the home folder. `hf:` and `https:` stay as they are. */
export function resolveReference(reference: string, directory: string): string {
    if (REMOTE.test(reference)) return reference;
    return resolve(directory, expandHome(reference));
}

/** How a reference is written into a recipe in `directory`: {@link resolveReference} understands it. */
export function writeReference(reference: string, directory: string): string {
    if (REMOTE.test(reference)) return reference;
    const file = relative(directory, reference);
    // A name such as "hf:x.gguf" or "~" means something else where no folder stands before it.
    return /^[~\s]|^[^/\\]*:/.test(file) && !isAbsolute(file) ? `./${file}` : file;
}
