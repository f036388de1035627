// Loads an addon and asks it for what needs no libraries of llama.cpp: node windows.cjs <addon>

const assert = require("node:assert/strict");
const { tmpdir } = require("node:os");
const path = require("node:path");

const addon = require(path.resolve(process.argv[2]));

class Failure extends Error {
    constructor(code, message) {
        super(message);
        this.code = code;
    }
}
addon.setErrorClass(Failure);
assert(addon.physicalCores() > 0);
const nowhere = path.join(tmpdir(), "not-there");
assert.throws(() => addon.readHeader(`${nowhere}.gguf`), { constructor: Failure, code: "MODEL_NOT_FOUND" });
assert.throws(() => addon.openLibraries({ base: nowhere, ggml: nowhere, llama: nowhere, backends: nowhere }), {
    constructor: Failure,
    code: "ADDON_LOAD_FAILED",
});
console.log(`${path.basename(process.execPath)}: Node ${process.version} on ${process.platform}-${process.arch}`);
