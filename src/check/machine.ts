/** What a check was made with, and texts without the paths of a machine. */

import { cpus, homedir, totalmem } from "node:os";
import path from "node:path";
import type { BackendChoice } from "../native/backend.js";
import { loadBinding } from "../native/load-binding.js";
import { manifest, nodeLlamaCppVersion } from "../package.js";
import type { CheckedWith } from "./types.js";

/** Without a name of a user or a machine. */
export function describeMachine({ backend, devices, cpu, rejected }: BackendChoice, threads: number): CheckedWith {
    const processors = cpus();
    return {
        version: manifest.version,
        llamaCpp: loadBinding().llamaRelease,
        nodeLlamaCpp: nodeLlamaCppVersion,
        node: process.version,
        platform: `${process.platform}-${process.arch}`,
        cpu: cpu?.description || (processors[0]?.model.trim() ?? ""),
        processors: processors.length,
        memory: totalmem(),
        backend,
        devices: devices.map(({ description }) => description),
        rejected: rejected.map(({ backend: other, reason }) => ({
            backend: other,
            reason: withoutFolders(reason, []),
        })),
        threads,
    };
}

/**
 * A message in which files are named without their folders.
 *
 * @param files - paths that may occur in it, which may have spaces
 */
export function withoutFolders(text: string, files: readonly string[]): string {
    const known = files.flatMap((file) => [file, path.resolve(file)]).filter((file) => path.basename(file) !== file);
    const short = known.reduce((rest, file) => rest.replaceAll(file, path.basename(file)), text);
    return short
        .replaceAll(homedir(), "~")
        .replaceAll(/(?<![\w.:/\\~])(?:~|[A-Za-z]:)?(?:[\\/][\w.@+~-]+)+[\\/]([\w.@+~-]+)/g, "$1");
}
