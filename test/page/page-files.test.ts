/** The files of the server's page: what they are served with, and what is said where they have not been built. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "@jest/globals";
import type { FastifyInstance } from "fastify";
import { createApp } from "../../src/server/app.js";
import { addPage } from "../../src/server/page-files.js";

const OPTIONS = { origins: [], bodyBytes: 1024, requestMs: 1000, isLocal: true, logTexts: false, log: undefined };

describe("the files of the page", () => {
    let app: FastifyInstance;
    beforeAll(async () => {
        app = await createApp({ ...OPTIONS, apiKeys: ["secret"] });
        addPage(app);
    });
    afterAll(() => app.close());

    it.each([
        ["/", "text/html; charset=utf-8"],
        ["/page.js", "text/javascript; charset=utf-8"],
        ["/page.css", "text/css; charset=utf-8"],
        ["/favicon.svg", "image/svg+xml"],
    ])("%s is there without a key, and nothing but its own origin is allowed in it", async (url, type) => {
        const { statusCode, headers, body } = await app.inject(url);
        expect(statusCode).toBe(200);
        expect(body).not.toBe("");
        expect(headers).toMatchObject({
            "content-type": type,
            "cache-control": "no-cache",
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
        });
        const policy = String(headers["content-security-policy"]).split("; ");
        expect(policy).toEqual(expect.arrayContaining(["default-src 'none'", "frame-ancestors 'none'"]));
        for (const rule of policy) expect(rule).toMatch(/^[a-z-]+ '(none|self)'$/);
        const again = await app.inject({ url, headers: { "if-none-match": String(headers.etag) } });
        expect([again.statusCode, again.body]).toEqual([304, ""]);
    });

    it("have nothing inline", async () => {
        const { body } = await app.inject("/");
        expect(body).not.toMatch(/<script(?![^>]* src="\/)|<style| style=| on\w+=/);
        expect(body).not.toMatch(/https?:/);
    });

    it.each(["/licenses.md", "/../package.json", "/%2e%2e/package.json", "/index.ts", "/v1/models"])(
        "are not %s",
        async (url) => {
            expect([401, 404]).toContain((await app.inject(url)).statusCode);
        },
    );
});

it("says what to do where the page has not been built", async () => {
    const folder = mkdtempSync(path.join(tmpdir(), "eft-page-"));
    const app = await createApp({ ...OPTIONS, apiKeys: [] });
    addPage(app, folder);
    const { statusCode, body } = await app.inject("/");
    expect([statusCode, body]).toEqual([404, expect.stringContaining("`npm run build`")]);
    await app.close();
    rmSync(folder, { recursive: true });
});
