/** What is installed, what of it runs on this machine, and what is missing. */

import { realpathSync } from "node:fs";
import { release } from "node:os";
import path from "node:path";
import { EftError } from "../errors.js";
import { homeFolder } from "../files.js";
import { chooseBackend } from "../native/backend.js";
import { findLibraryFolder, loadAddon, type LoadedAddon } from "../native/load-binding.js";
import { manifest } from "../package.js";
import { advise } from "./advice.js";
import { describeFolders, describeLibc, describeMemory, describeProcessors, findGpus } from "./machine.js";
import { findPackages } from "./packages.js";
import type { BackendDiagnosis, Diagnosis, Problem } from "./types.js";

interface NodeReport {
    readonly header: { readonly glibcVersionRuntime?: string };
    readonly sharedObjects: readonly string[];
}

/**
 * Finds out what is installed, what of it runs on this machine, and what is missing. It opens the libraries of each backend.
 * What is broken becomes a part of the answer: it throws nothing.
 */
export function diagnose(): Diagnosis {
    const addon = attempt(loadAddon);
    const libraries = attempt(findLibraryFolder);
    const works = isProblem(addon) ? undefined : addon;
    const backends = findBackends(works, addon);
    const report = readReport();
    const libc = describeLibc(report.header.glibcVersionRuntime);
    const gpus = findGpus();
    const facts = {
        runs: works !== undefined,
        version: manifest.version,
        node: { version: process.version, supported: isSupported(), wanted: manifest.engines.node },
        platform: {
            name: `${process.platform}-${process.arch}`,
            release: release(),
            ...(libc !== undefined && { libc }),
        },
        addon: works === undefined ? (addon as Problem) : { file: works.file, origin: works.origin },
        llamaCpp: isProblem(libraries)
            ? libraries
            : {
                  folder: libraries.directory,
                  origin: libraries.origin,
                  ...(works !== undefined && { release: works.binding.llamaRelease }),
              },
        backends: backends.map((backend) =>
            backend.name === "cpu" ? { ...backend, ...variantOf(report.sharedObjects) } : backend,
        ),
        ...(gpus !== undefined && { gpus }),
        memory: describeMemory(),
        processors: describeProcessors(works?.binding.physicalCores()),
        folders: describeFolders(),
        packages: findPackages(),
    };
    return withoutHome({ ...facts, advice: advise(facts) });
}

function readReport(): NodeReport {
    const report = process.report as typeof process.report & { excludeNetwork: boolean };
    const { excludeNetwork } = report;
    // It would ask name servers about everybody that this process is connected to.
    report.excludeNetwork = true;
    try {
        return report.getReport() as unknown as NodeReport;
    } finally {
        report.excludeNetwork = excludeNetwork;
    }
}

function attempt<T>(find: () => T): T | Problem {
    try {
        return find();
    } catch (error) {
        if (EftError.isInstance(error)) return { code: error.code, message: error.message };
        return { code: "ADDON_LOAD_FAILED", message: error instanceof Error ? error.message : String(error) };
    }
}

function isProblem(part: object): part is Problem {
    return "message" in part;
}

function findBackends(addon: LoadedAddon | undefined, problem: LoadedAddon | Problem): BackendDiagnosis[] {
    const names = process.platform === "darwin" ? (["cpu", "metal"] as const) : (["cpu", "cuda", "vulkan"] as const);
    return names.map((name) => {
        if (addon === undefined) return { name, runs: false, reason: (problem as Problem).code, devices: [] };
        const choice = attempt(() => chooseBackend(name));
        if (isProblem(choice)) {
            // The sentence's ends are for those who have asked for this backend.
            const reason = choice.message.replace(
                /^The backend \w+ cannot be used: |\. Use --backend cpu or auto\.$/g,
                "",
            );
            return { name, runs: false, reason, devices: [] };
        }
        const found = name === "cpu" ? [choice.cpu].filter((device) => device !== undefined) : choice.devices;
        const devices = found.map(({ description, memoryFree, memoryTotal }) => ({
            ...{ description, memoryFree, memoryTotal },
        }));
        return { name, runs: true, devices };
    });
}

/** Which of ggml's libraries for the processor is open in this process. */
function variantOf(libraries: readonly string[]): { variant?: string } {
    for (const file of libraries) {
        const [, variant] = /^(?:lib)?ggml-cpu-?([\w-]*)\./.exec(path.basename(file)) ?? [];
        if (variant !== undefined) return variant === "" ? {} : { variant };
    }
    return {};
}

function isSupported(): boolean {
    const least = manifest.engines.node.replace(/^>=/, "");
    return process.versions.node.localeCompare(least, "en", { numeric: true }) >= 0;
}

/** Names of users are in paths alone, and in messages with paths. */
function withoutHome<T>(data: T): T {
    const home = homeFolder();
    if (home === undefined || path.dirname(home) === home) return data;
    const homes = [home, withoutLinks(home)];
    const patterns = [
        // In commands paths begin at the current folder.
        ...homes.map((each) => path.relative(".", each)).filter((relative) => /[^./\\]/.test(relative)),
        ...homes,
    ].map(patternOf);
    const shorten = (text: string): string => patterns.reduce((rest, pattern) => rest.replace(pattern, "~"), text);
    return JSON.parse(
        JSON.stringify(data, (_, value: unknown) => (typeof value === "string" ? shorten(value) : value)),
    ) as T;
}

/** Finds a path, and what is below it, in a sentence. */
function patternOf(place: string): RegExp {
    const quoted = place.replace(/[$()*+.?[\\\]^{|}]/g, "\\$&");
    // One that begins elsewhere may be a word of the sentence.
    const pattern = path.isAbsolute(place)
        ? `${quoted}(?=[\\\\/\\s"'\`:;,)]|$)`
        : `(?<![\\w.\\\\/-])${quoted}(?=[\\\\/])`;
    return new RegExp(pattern, process.platform === "win32" ? "gi" : "g");
}

function withoutLinks(folder: string): string {
    try {
        return realpathSync(folder);
    } catch {
        return folder;
    }
}
