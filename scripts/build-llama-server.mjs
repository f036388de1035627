// Builds llama.cpp's own server out of the source that node-llama-cpp ships, for `npm run bench -- serve --llama-server <program>`.
//
//     node scripts/build-llama-server.mjs          (some ten minutes; prints where it is)

import path from "node:path";
import { buildWithCmake } from "./cmake.mjs";
import { extractLlamaSource, projectRoot } from "./llama-source.mjs";

const source = path.join(projectRoot, "build", "llama-source");
const folder = path.join(projectRoot, "build", "llama-server");
const options = {
    CMAKE_BUILD_TYPE: "Release",
    BUILD_SHARED_LIBS: "OFF",
    // As in the libraries that it is compared with.
    GGML_OPENMP: "OFF",
    GGML_NATIVE: "ON",
    LLAMA_ALL_WARNINGS: "OFF",
    LLAMA_BUILD_TESTS: "OFF",
    LLAMA_BUILD_EXAMPLES: "OFF",
    LLAMA_BUILD_TOOLS: "ON",
    LLAMA_BUILD_SERVER: "ON",
    LLAMA_OPENSSL: "OFF",
};
await extractLlamaSource(source);
buildWithCmake({ what: "llama.cpp's server", source, folder, options, target: "llama-server" });
console.log(path.join(folder, "bin", "llama-server"));
