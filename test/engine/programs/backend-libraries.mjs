// Copied beside a `dist` folder: prints which libraries of CUDA that package finds, and what comes of them.

import { chooseBackend } from "./dist/native/backend.js";
import { findBackendLibraries } from "./dist/native/load-binding.js";

const found = findBackendLibraries("cuda").map(({ file }) => file);
const [, , what] = process.argv;
if (what === "find") {
    console.log(JSON.stringify({ found }));
} else {
    let error;
    try {
        chooseBackend("cuda");
    } catch ({ code, message }) {
        error = { code, message };
    }
    const { backend, rejected } = chooseBackend("auto");
    console.log(
        JSON.stringify({ found, error, backend, reason: rejected.find(({ backend }) => backend === "cuda")?.reason }),
    );
}
