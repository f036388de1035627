// What installations weigh: the table of docs/install.md. Packs this clone and installs it in each of the documented ways, in a
// temporary folder, without running anybody's scripts: node scripts/install-sizes.mjs. Linux; needs the registry and 3 GB of disk.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/** The ways of installing, in the order of the table. Each is given an empty folder and the packed package. */
export const INSTALLATIONS = {
    "clone, `npm ci`, with development tools": (folder) => {
        for (const file of ["package.json", "package-lock.json"])
            cpSync(path.join(root, file), path.join(folder, file));
        npm(folder, "ci");
    },
    "as a dependency": (folder, archive) => npm(folder, "install", archive),
    "as a dependency, with CUDA": (folder, archive) => npm(folder, "install", archive, libraries("-cuda")),
    "as a dependency, CPU of this platform only": (folder, archive) =>
        npm(folder, "install", "--omit=optional", archive, libraries("")),
};

/** A package of llama.cpp's libraries, in the version that is pinned. */
function libraries(suffix) {
    const { peerDependencies } = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
    return `@node-llama-cpp/linux-${process.arch}${suffix}@${peerDependencies["node-llama-cpp"]}`;
}

/** What the columns of the table hold, in MB as `du -sm` counts them; their sum may differ from the total by roundings. */
export function measure(modules) {
    const packages = path.join(modules, "@node-llama-cpp");
    const names = existsSync(packages) ? readdirSync(packages) : [];
    const sizeOf = (isPart) => sizes(names.filter(isPart).map((name) => path.join(packages, name)));
    const total = sizes([modules]);
    const cuda = sizeOf((name) => name.includes("-cuda"));
    const vulkan = sizeOf((name) => name.endsWith("-vulkan"));
    const cpu = sizeOf((name) => !/-(?:cuda|vulkan)/.test(name));
    return { total, cuda, vulkan, cpu, rest: total - cuda - vulkan - cpu };
}

function sizes(places) {
    if (places.length === 0) return 0;
    const lines = execFileSync("du", ["-sm", "--", ...places], { encoding: "utf8" })
        .trim()
        .split("\n");
    return lines.reduce((sum, line) => sum + Number(line.split("\t")[0]), 0);
}

/** A row of the table. */
export function formatRow(name, { total, cuda, vulkan, cpu, rest }) {
    const cells = [total, cuda, vulkan, cpu, rest].map((size) => (size === 0 ? "-" : `${size} MB`));
    return `| ${[name, ...cells].join(" | ")} |`;
}

export const HEAD = "| installation | total | CUDA | Vulkan | CPU libraries | everything else |";

function npm(folder, command, ...args) {
    const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"];
    execFileSync("npm", [command, ...quiet, ...args], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
    const scratch = mkdtempSync(path.join(tmpdir(), "eft-llama-sizes-"));
    try {
        npm(root, "pack", "--pack-destination", scratch);
        const archive = path.join(scratch, readdirSync(scratch)[0]);
        console.log(`${HEAD}\n| --- | --- | --- | --- | --- | --- |`);
        for (const [index, [name, install]] of Object.entries(INSTALLATIONS).entries()) {
            const folder = path.join(scratch, String(index));
            mkdirSync(folder);
            writeFileSync(path.join(folder, "package.json"), "{}");
            install(folder, archive);
            console.log(formatRow(name, measure(path.join(folder, "node_modules"))));
            rmSync(folder, { recursive: true });
        }
    } finally {
        rmSync(scratch, { recursive: true });
    }
}
