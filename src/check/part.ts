/** Findings and measurements of one model, or of all together, as they come. */

import { abortError } from "../errors.js";
import { createCheck, type Finding, type RunCheck } from "../ensemble/check.js";
import type { BackendChoice } from "../native/backend.js";
import type { MemberSpec } from "../types.js";
import { withoutFolders } from "./machine.js";
import type { CheckedPart, CheckOptions, Measurements } from "./types.js";

/** A file, perhaps with an adapter. */
export interface Subject {
    readonly name: string;
    readonly spec: Pick<MemberSpec, "model" | "lora">;
}

/** What all parts of a check share. */
export interface CheckSetup {
    readonly options: CheckOptions;
    readonly backend: BackendChoice;
    readonly threads: number;
    /** Paths that messages may name. */
    readonly files: readonly string[];
    /** Says what is done now. */
    readonly begin: (doing: string) => void;
}

export interface Part {
    /** Runs a check unless the caller has ended it all. @throws EftError ABORTED */
    readonly run: RunCheck;
    readonly measured: Measurements;
    readonly finish: () => CheckedPart;
}

export function createPart(name: string, { options, files, begin }: CheckSetup): Part {
    const { signal, onFinding } = options;
    const findings: Finding[] = [];
    const measured: Measurements = {};
    const checkWanted = (): void => {
        if (signal?.aborted) throw abortError("The check was aborted.", signal);
    };
    const check = createCheck((finding) => {
        if (signal?.aborted) return;
        const clean = { ...finding, text: withoutFolders(finding.text, files) };
        findings.push(clean);
        onFinding?.(clean, name);
    });
    return {
        async run(title, body) {
            checkWanted();
            begin(`${name}: ${title}`);
            const result = await check(title, body);
            checkWanted();
            return result;
        },
        measured,
        finish: () => ({ name, findings, measured }),
    };
}
