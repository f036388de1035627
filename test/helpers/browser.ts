/** A real browser, for tests of pages. */

import { existsSync } from "node:fs";
import puppeteer, { type Browser } from "puppeteer-core";

const PLACES = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Undefined: there is none, and tests that need one are left out. `EFT_TEST_BROWSER` names a Chromium that is elsewhere. */
export const browserPath = process.env["EFT_TEST_BROWSER"] ?? PLACES.find((file) => existsSync(file));
if (browserPath === undefined && process.env["CI"]) throw new Error("Install chromium; .ci/run does it.");

export function launchBrowser(...args: string[]): Promise<Browser> {
    return puppeteer.launch({
        executablePath: browserPath ?? "",
        args: ["--no-sandbox", "--disable-gpu", ...args],
        defaultViewport: { width: 1280, height: 800 },
    });
}
