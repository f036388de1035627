/** What is found out about an installation and the machine that it is on. */

import type { BackendName } from "../native/backend.js";
import type { NativeDevice } from "../native/binding.js";

/** A part that cannot be used, and what to do about it. */
export interface Problem {
    /** One of EftError's. */
    readonly code: string;
    readonly message: string;
}

/** What {@link diagnose} has found. Paths begin with `~` where they lead through the home folder. */
export interface Diagnosis {
    /** Whether models can be run, on the processor at least. */
    readonly runs: boolean;
    /** Of eft-llama. */
    readonly version: string;
    readonly node: { readonly version: string; readonly supported: boolean; readonly wanted: string };
    /** e.g. `linux-x64`; `libc`: e.g. `glibc 2.36` or `musl`, on Linux alone. */
    readonly platform: { readonly name: string; readonly release: string; readonly libc?: string };
    readonly addon: { readonly file: string; readonly origin: string } | Problem;
    /** The libraries; `release` where the addon, which knows it, can be loaded. */
    readonly llamaCpp: { readonly folder: string; readonly origin: string; readonly release?: string } | Problem;
    readonly backends: readonly BackendDiagnosis[];
    /** Undefined: unknown. */
    readonly gpus?: readonly Gpu[];
    /** In bytes. `limit`: what the system allows this process, where that is less than all. */
    readonly memory: { readonly total: number; readonly limit?: number; readonly available: number };
    readonly processors: { readonly model: string; readonly count: number; readonly physicalCores?: number };
    readonly folders: readonly FolderDiagnosis[];
    /** Packages that an installation may lack. */
    readonly packages: readonly { readonly name: string; readonly wanted: string; readonly installed?: string }[];
    /** What would let this machine do more, as sentences with commands. */
    readonly advice: readonly string[];
}

/** A backend that this platform may have. */
export interface BackendDiagnosis {
    readonly name: Exclude<BackendName, "auto">;
    readonly runs: boolean;
    /** Why it does not. */
    readonly reason?: string;
    /** The processor's: which of ggml's libraries was chosen for it, e.g. `zen4`. */
    readonly variant?: string;
    /** Memory in bytes. */
    readonly devices: readonly Pick<NativeDevice, "description" | "memoryFree" | "memoryTotal">[];
}

/** A graphics processor, whether or not a backend runs on it. */
export interface Gpu {
    /** `NVIDIA`, `AMD`, `Intel`, `Apple`, or the number of another vendor. */
    readonly vendor: string;
    /** Its driver in the kernel, where the system tells. */
    readonly driver?: string;
}

/** A folder that eft-llama writes to. */
export interface FolderDiagnosis {
    readonly purpose: "models" | "caches";
    /** Undefined where the system knows no home folder. */
    readonly folder?: string;
    /** Of all files in it. */
    readonly bytes: number;
    /** Whether files can be written there, or the folder be made. */
    readonly writable: boolean;
}
