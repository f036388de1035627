// Copies llama.cpp's public headers out of the git bundle that node-llama-cpp ships, so that the addon is compiled
// against exactly the release whose libraries it opens. For maintainers, after a change of node-llama-cpp's version:
//
//     node scripts/vendor-headers.mjs           write native/vendor/llama.cpp
//     node scripts/vendor-headers.mjs --check   fail if the folder is not what the bundle holds

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { llamaRelease, projectRoot, withLlamaSource } from "./llama-source.mjs";

const folder = path.join(projectRoot, "native", "vendor", "llama.cpp");
const headers = [
    "include/llama.h",
    ...["ggml", "ggml-alloc", "ggml-backend", "ggml-cpu", "ggml-opt", "gguf"].map((name) => `ggml/include/${name}.h`),
];

/** What `llama_version()` of a library built out of this source reports, by the rules of its CMakeLists.txt. */
function libraryVersion(cmakeLists) {
    const [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map((part) => {
        const match = cmakeLists.match(new RegExp(`set\\(LLAMA_VERSION_${part} +(\\d+)\\)`));
        if (!match) throw new Error(`llama.cpp's CMakeLists.txt does not set LLAMA_VERSION_${part} any more`);
        return match[1];
    });
    const isDevelopment = /option\(LLAMA_BUILD_IS_DEV .* ON\)/.test(cmakeLists);
    return `${major}.${minor}.${patch}${isDevelopment ? "-dev" : ""}`;
}

function versionHeader(release, version) {
    return [
        "// Written by scripts/vendor-headers.mjs.",
        "#pragma once",
        "",
        "// Tag of the llama.cpp release that these headers belong to.",
        `#define EFT_LLAMA_RELEASE "${release}"`,
        "// What llama_version() of that release reports.",
        `#define EFT_LLAMA_VERSION "${version}"`,
        "",
    ].join("\n");
}

const files = await withLlamaSource([...headers, "LICENSE", "CMakeLists.txt"], async (source) => {
    const read = (name) => readFile(path.join(source, name), "utf8");
    const found = new Map([["LICENSE", await read("LICENSE")]]);
    for (const header of headers) found.set(path.basename(header), await read(header));
    found.set("version.h", versionHeader(await llamaRelease(), libraryVersion(await read("CMakeLists.txt"))));
    return found;
});

if (process.argv.includes("--check")) {
    const different = [];
    for (const [name, text] of files) {
        const vendored = await readFile(path.join(folder, name), "utf8").catch(() => undefined);
        if (vendored !== text) different.push(name);
    }
    if (different.length > 0) {
        console.error(`native/vendor/llama.cpp is not what node-llama-cpp ships: ${different.join(", ")}.`);
        console.error("Run `node scripts/vendor-headers.mjs` and commit the result.");
        process.exit(1);
    }
    console.log(`native/vendor/llama.cpp equals llama.cpp ${await llamaRelease()}.`);
} else {
    await rm(folder, { recursive: true, force: true });
    await mkdir(folder, { recursive: true });
    for (const [name, text] of files) await writeFile(path.join(folder, name), text);
    console.log(`Wrote ${files.size} files of llama.cpp ${await llamaRelease()} to native/vendor/llama.cpp.`);
}
