// Which files the page may fetch. The page and the library's modules for pages are served from one origin, so that the page
// needs no bundler and its content security policy can refuse everything else.
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const pageFolder = fileURLToPath(new URL("page", import.meta.url));
const renderer = createRequire(import.meta.url).resolve("eft-llama/electron/renderer");
const libraryFolder = path.resolve(path.dirname(renderer), "..");

/**
 * File behind the path of a URL; undefined for all that the page has no business with. No part of a path may have a dot but
 * the last one, so that none leads out of the two folders.
 */
export function pageFile(pathname) {
    if (pathname === "/") return path.join(pageFolder, "index.html");
    const [, file] = /^\/([\w-]+\.(?:js|css))$/.exec(pathname) ?? [];
    if (file !== undefined) return path.join(pageFolder, file);
    const [, module] = /^\/eft-llama\/((?:[\w-]+\/)*[\w-]+\.js)$/.exec(pathname) ?? [];
    if (module !== undefined) return path.join(libraryFolder, module);
    return undefined;
}
