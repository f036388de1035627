// Copied beside a `dist` folder: prints which libraries of a backend that package finds, and what comes of them.

import { chooseBackend } from "./dist/native/backend.js";
import { findBackendLibraries } from "./dist/native/load-binding.js";

const [, , what, wanted = "cuda"] = process.argv;
const found = findBackendLibraries(wanted).map(({ file }) => file);
if (what === "find") {
    console.log(JSON.stringify({ found }));
} else {
    let error;
    try {
        chooseBackend(wanted);
    } catch ({ code, message }) {
        error = { code, message };
    }
    const { backend, rejected } = chooseBackend("auto");
    console.log(
        JSON.stringify({ found, error, backend, reason: rejected.find(({ backend }) => backend === wanted)?.reason }),
    );
}
