/** What would let a machine do more. */

import { isBundle, scriptCommand } from "../native/load-binding.js";
import { installCommand } from "./packages.js";
import type { Diagnosis } from "./types.js";

type Facts = Omit<Diagnosis, "advice">;

export function advise(facts: Facts): string[] {
    const { node, addon, llamaCpp, folders } = facts;
    const problems = [addon, llamaCpp].flatMap((part) => ("message" in part ? [part.message] : []));
    const advice = [...new Set(problems)];
    if (!node.supported)
        advice.push(`Node ${node.version} is not supported: install ${node.wanted.replace(/^>=/, "")} or newer.`);
    for (const { name, wanted, installed } of facts.packages) {
        if (installed !== undefined && installed !== wanted)
            advice.push(`${name} ${installed} does not fit: \`${installCommand(`${name}@${wanted}`)}\`.`);
    }
    if (problems.length === 0) advice.push(...adviseOnGpus(facts));
    for (const { purpose, folder, writable } of folders) {
        if (folder === undefined)
            advice.push("The system knows no home folder: name a folder for models in EFT_LLAMA_MODELS.");
        else if (!writable) {
            const variable = purpose === "models" ? "EFT_LLAMA_MODELS" : "XDG_CACHE_HOME";
            advice.push(
                `Nothing can be written to ${folder}: change its rights, or name another folder in ${variable}.`,
            );
        }
    }
    return [...new Set(advice)];
}

/** For each vendor whose GPU no backend runs on, or not the fastest one. */
function adviseOnGpus({ gpus = [], backends, packages }: Facts): string[] {
    const runs = (name: string): boolean => backends.some((backend) => backend.name === name && backend.runs);
    const reasonOf = (name: string): string => backends.find((backend) => backend.name === name)?.reason ?? "";
    const missing = (suffix: string): string | undefined => {
        const found = packages.find(({ name }) => name.endsWith(suffix));
        return found !== undefined && found.installed === undefined ? `${found.name}@${found.wanted}` : undefined;
    };
    return [...new Set(gpus.map(({ vendor }) => vendor))].flatMap((vendor) => {
        if (vendor === "NVIDIA" && !runs("cuda")) {
            const name = missing("-cuda");
            const but = runs("vulkan") ? "runs with Vulkan; CUDA is faster as a rule" : "is not used";
            if (name !== undefined && !isBundle)
                return [
                    `The GPU of NVIDIA ${but}: \`${installCommand(name)}\`, beside NVIDIA's driver and CUDA's libraries.`,
                ];
            if (packages.every((each) => !each.name.endsWith("-cuda")) || isBundle)
                return [`The GPU of NVIDIA ${but}: \`${scriptCommand("build-cuda.mjs")}\` builds the backend.`];
            return [`The GPU of NVIDIA ${but}: ${reasonOf("cuda")}.`];
        }
        if (!["NVIDIA", "AMD", "Intel"].includes(vendor) || runs("vulkan") || runs("cuda")) return [];
        const name = missing("-vulkan");
        if (name !== undefined && !isBundle) return [`The GPU of ${vendor} is not used: \`${installCommand(name)}\`.`];
        const drivers =
            process.platform === "linux"
                ? "it needs a driver with Vulkan (Debian, Ubuntu: `sudo apt-get install libvulkan1 mesa-vulkan-drivers`; Fedora: `sudo dnf install vulkan-loader mesa-vulkan-drivers`)"
                : "it needs its vendor's driver, with Vulkan";
        return [`The GPU of ${vendor} is not used: ${drivers}. ${reasonOf("vulkan")}.`];
    });
}
