/** A registry of npm with a few packages. */

import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { execFileSync } from "node:child_process";

/** What a package holds, by names of files; all of them can be executed. */
export type PackageFiles = Readonly<Record<string, string | Uint8Array>>;

export interface NpmRegistry {
    readonly address: string;
    /** Offers a package, e.g. `@scope/name`, with a hash that need not be its own. */
    readonly offer: (name: string, version: string, files: PackageFiles, hash?: string) => void;
    readonly close: () => void;
}

/** @param folder - for files of its own */
export async function startNpmRegistry(folder: string): Promise<NpmRegistry> {
    const packages = new Map<string, { version: string; tarball: Buffer; hash: string }>();
    const server = createServer((request, response) => {
        const name = decodeURIComponent(request.url?.slice(1).replace(/\.tgz$/, "") ?? "");
        const found = packages.get(name);
        if (found === undefined) return response.writeHead(404).end("{}");
        if (request.url?.endsWith(".tgz")) return response.end(found.tarball);
        const { version, hash } = found;
        const dist = { tarball: `${address}${encodeURIComponent(name)}.tgz`, integrity: `sha512-${hash}` };
        const versions = { [version]: { name, version, dist } };
        return response.end(JSON.stringify({ name, versions, "dist-tags": { latest: version } }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    return {
        address,
        offer: (name, version, files, hash) => {
            const place = path.join(folder, String(packages.size), encodeURIComponent(name));
            const all = { "package.json": JSON.stringify({ name, version }), ...files };
            for (const [file, content] of Object.entries(all)) {
                const target = path.join(place, "package", file);
                mkdirSync(path.dirname(target), { recursive: true });
                writeFileSync(target, content, { mode: 0o755 });
            }
            execFileSync("tar", ["-czf", path.join(place, "tarball"), "-C", place, "package"]);
            const tarball = readFileSync(path.join(place, "tarball"));
            const own = createHash("sha512").update(tarball).digest("base64");
            packages.set(name, { version, tarball, hash: hash ?? own });
        },
        close: () => server.close(),
    };
}
