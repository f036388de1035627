/** A program: loads an addon and llama.cpp's libraries, and says what became of it. Started by addon-trial.ts. */

import { EftError } from "../errors.js";
import type { AddonTrial } from "./addon-trial.js";
import { openAddon } from "./load-binding.js";

process.stdout.write(JSON.stringify(attempt(process.argv[2] ?? "")));

function attempt(file: string): AddonTrial {
    try {
        openAddon(file);
        return { loaded: true };
    } catch (error) {
        if (!EftError.isInstance(error)) throw error;
        return { code: error.code, message: error.message };
    }
}
