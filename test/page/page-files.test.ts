/** The files of the server's page: what they are served with, and what is said where they have not been built. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { FastifyInstance } from "fastify";
import { createApp } from "../../src/server/app.js";
import { addPage } from "../../src/server/page-files.js";

const OPTIONS = {
    origins: [],
    bodyBytes: 1024,
    requestMs: 1000,
    stallMs: 1000,
    host: "127.0.0.1",
    logTexts: false,
    log: undefined,
    onReply: () => undefined,
};

async function serve(apiKeys: string[], folder?: string): Promise<{ app: FastifyInstance; url: string }> {
    const app = await createApp({ ...OPTIONS, apiKeys });
    addPage(app, folder);
    return { app, url: await app.listen({ host: "127.0.0.1", port: 0 }) };
}

describe("the files of the page", () => {
    let app: FastifyInstance;
    let url: string;
    beforeAll(async () => {
        ({ app, url } = await serve(["secret"]));
    });
    afterAll(() => app.close());

    it.each([
        ["/", "text/html; charset=utf-8"],
        ["/page.js", "text/javascript; charset=utf-8"],
        ["/page.css", "text/css; charset=utf-8"],
        ["/favicon.svg", "image/svg+xml"],
    ])("%s is there without a key, and nothing but its own origin is allowed in it", async (name, type) => {
        const response = await fetch(`${url}${name}`);
        const { status, headers } = response;
        expect(status).toBe(200);
        expect(await response.text()).not.toBe("");
        expect(Object.fromEntries(headers)).toMatchObject({
            "content-type": type,
            "cache-control": "no-cache",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        });
        const policy = headers.get("content-security-policy")?.split("; ") ?? [];
        expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "frame-ancestors 'none'"]));
        for (const rule of policy) expect(rule).toMatch(/^[a-z-]+ '(none|self)'$/);
        const known = { "if-none-match": headers.get("etag") ?? "" };
        const again = await fetch(`${url}${name}`, { headers: known });
        expect([again.status, await again.text()]).toEqual([304, ""]);
    });

    it("have nothing inline, and nothing from elsewhere", async () => {
        const body = await (await fetch(url)).text();
        expect(body).not.toMatch(/<script(?![^>]* src="\/)|<style| style=| on\w+=/);
        expect(body).not.toMatch(/https?:/);
    });

    it.each(["/licenses.md", "/..%2fpackage.json", "/%2e%2e%2fpackage.json", "/index.html", "/v1/models"])(
        "are not %s",
        async (name) => {
            expect([401, 404]).toContain((await fetch(`${url}${name}`)).status);
        },
    );
});

it("says what to do where the page has not been built", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "eft-page-"));
    const { app, url } = await serve([], folder);
    const response = await fetch(url);
    expect([response.status, await response.text()]).toEqual([404, expect.stringContaining("`npm run build`")]);
    await app.close();
    rmSync(folder, { recursive: true });
});
