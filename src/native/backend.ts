/** Which backend of llama.cpp an ensemble runs on, and why. */

import { EftError } from "../errors.js";
import type { NativeBinding, NativeDevice } from "./binding.js";
import { checkOneOf } from "../options.js";
import {
    explainLoadFailure,
    explainMissing,
    explainNoDevice,
    explainRelease,
    joinFailures,
    type BackendFailure,
} from "./backend-failure.js";
import { findBackendLibraries, loadBinding, type BackendLibrary } from "./load-binding.js";

/** `auto` takes the first of metal, cuda, vulkan that has a device here, else the CPU. */
export const BACKENDS = ["auto", "cpu", "vulkan", "cuda", "metal"] as const;
/** One of {@link BACKENDS}. */
export type BackendName = (typeof BACKENDS)[number];

/** The outcome of choosing a backend. */
export interface BackendChoice {
    readonly backend: Exclude<BackendName, "auto">;
    /** GPU devices that take part; empty on the CPU. */
    readonly devices: readonly NativeDevice[];
    /** The processor. */
    readonly cpu: NativeDevice | undefined;
    /** What was tried before, and why it was not taken. */
    readonly rejected: readonly { readonly backend: string; readonly reason: string }[];
}

/** ggml's name of each GPU backend. */
const REGISTRY_NAMES = { metal: "mtl", cuda: "cuda", vulkan: "vulkan" } as const;
type GpuBackend = keyof typeof REGISTRY_NAMES;

/**
 * Loads the libraries of `wanted` and finds its devices.
 *
 * @throws EftError BACKEND_UNAVAILABLE naming what was tried, unless `wanted` is `auto` or `cpu`; OPTION_INVALID
 */
export function chooseBackend(wanted: BackendName): BackendChoice {
    checkOneOf("backend", wanted, BACKENDS);
    const binding = loadBinding();
    const cpu = binding.devices().find((device) => device.type === "cpu");
    const rejected: { backend: string; reason: string }[] = [];
    const candidates: readonly GpuBackend[] =
        wanted === "auto"
            ? process.platform === "darwin"
                ? ["metal"]
                : ["cuda", "vulkan"]
            : wanted === "cpu"
              ? []
              : [wanted];
    for (const backend of candidates) {
        const devices = openBackend(binding, backend);
        if (typeof devices !== "string") return { backend, devices, cpu, rejected };
        rejected.push({ backend, reason: devices });
    }
    if (wanted === "auto" || wanted === "cpu") return { backend: "cpu", devices: [], cpu, rejected };
    throw new EftError(
        "BACKEND_UNAVAILABLE",
        `The backend ${wanted} cannot be used: ${rejected[0]?.reason ?? "unknown reason"}. Use --backend cpu or auto.`,
    );
}

/** The devices of a GPU backend, or the reason why there are none. */
function openBackend(binding: NativeBinding, backend: GpuBackend): readonly NativeDevice[] | string {
    const find = (): NativeDevice[] =>
        binding
            .devices()
            .filter(({ backend: name, type }) => name === REGISTRY_NAMES[backend] && (type === "gpu" || type === "igpu"));
    const open = (library: BackendLibrary): readonly NativeDevice[] | BackendFailure => {
        const misfit = explainRelease(backend, library, binding.llamaRelease);
        if (misfit !== undefined) return misfit;
        const { loaded, said } = binding.loadBackend(library.file);
        if (!loaded) return explainLoadFailure(library.file, said);
        const devices = find();
        return devices.length > 0 ? devices : explainNoDevice(backend, library.file, said);
    };

    const present = find();
    if (present.length > 0) return present;
    if (backend === "metal") return "this is not a Mac with a Metal device";
    const failures: BackendFailure[] = [];
    for (const library of findBackendLibraries(backend)) {
        const outcome = open(library);
        if (!("problem" in outcome)) return outcome;
        failures.push(outcome);
    }
    return joinFailures(failures.length > 0 ? failures : [explainMissing(backend)]);
}
