/**
 * The page of the example app in a real browser, talking to the real host. The files are the app's own; only what Electron
 * does between page and host (preload script, transfer of the port) is played by the browser's debugging connection.
 */

import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { pathToFileURL } from "node:url";
import type { MessagePort } from "node:worker_threads";
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "@jest/globals";
import type { Browser, Page } from "puppeteer-core";
import { browserPath, launchBrowser } from "../helpers/browser.js";
import { installExample, startTestHost, type TestHost } from "../helpers/electron.js";

const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".css": "text/css", ".js": "text/javascript" };

const example = installExample();
afterAll(example.remove);

const { pageFile } = (await import(pathToFileURL(path.join(example.folder, "page-files.js")).href)) as {
    readonly pageFile: (pathname: string) => string | undefined;
};

describe("the files that a page may fetch", () => {
    it("are its own and the library's modules", () => {
        expect(pageFile("/")).toBe(path.join(example.folder, "page", "index.html"));
        expect(pageFile("/style.css")).toBe(path.join(example.folder, "page", "style.css"));
        expect(existsSync(pageFile("/eft-llama/electron/renderer.js") ?? "")).toBe(true);
    });

    it.each([
        "/../main.js",
        "/..%2fmain.js",
        "/eft-llama/../package.json",
        "/eft-llama/../../package.json",
        "/eft-llama/.js",
        "/index.html/../../host.js",
        "/eft-llama//etc/passwd",
        "\\..\\main.js",
        "/page.js\n",
    ])("are not %j", (pathname) => {
        expect(pageFile(pathname)).toBeUndefined();
    });
});

(browserPath === undefined ? describe.skip : describe)("the page", () => {
    let host: TestHost;
    let server: Server;
    let browser: Browser;
    let page: Page;
    let problems: string[];

    beforeAll(async () => {
        host = startTestHost(example.folder);
        // Room for an answer that lasts longer than it takes to click.
        await host.control.load("demo", { backend: "cpu", threads: 1, sequences: 2, contextSize: 4096 });
        server = createServer((request, response) => {
            void (async () => {
                const file = pageFile(new URL(request.url ?? "/", "http://localhost").pathname);
                if (file === undefined) response.writeHead(404).end();
                else response.writeHead(200, { "Content-Type": TYPES[path.extname(file)] }).end(await readFile(file));
            })();
        });
        await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
        // Electron's ports tell pages that the other end is gone; Chromium's do so with this feature.
        browser = await launchBrowser("--enable-blink-features=MessagePortCloseEvent");
    });
    afterAll(async () => {
        await browser.close();
        server.close();
        expect(host.utility.stderr()).toBe("");
        await host.utility.kill();
    });
    beforeEach(async () => {
        problems = [];
        page = await openPage();
    });
    afterEach(async () => {
        await page.close();
        expect(problems).toEqual([]);
    });

    /** A window: a page with the preload script's bridge. Its ports are closed when it is reloaded or closed, as Electron's are. */
    async function openPage(): Promise<Page> {
        const opened = await browser.newPage();
        let ports: MessagePort[] = [];
        const closePorts = (): void => {
            for (const port of ports) port.close();
            ports = [];
        };
        opened.on("close", closePorts);
        opened.on("pageerror", (error) => problems.push(String(error)));
        opened.on("console", (message) => {
            if (message.type() === "error") problems.push(message.text());
        });
        await opened.exposeFunction("bridgeOpen", () => {
            // A page opens its port when it has been loaded, or loaded again. Not when it navigates: this may be told later.
            closePorts();
            const port = host.openPort();
            ports.push(port);
            port.on(
                "message",
                (data) => void opened.evaluate(`bridge.postMessage(${JSON.stringify(data)})`).catch(() => 0),
            );
            port.on("close", () => {
                // The bridge of a page that was loaded again is another one.
                if (ports.includes(port)) void opened.evaluate("bridge.close()").catch(() => 0);
            });
        });
        await opened.exposeFunction("bridgeSend", (data: unknown) => ports.at(-1)?.postMessage(data));
        await opened.evaluateOnNewDocument(`
            window.host = {
                async connect() {
                    const { port1, port2 } = new MessageChannel();
                    window.bridge = port1;
                    port1.onmessage = ({ data }) => bridgeSend(data);
                    await bridgeOpen();
                    window.postMessage("host:port", location.origin, [port2]);
                },
            };
        `);
        await opened.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
        await opened.waitForSelector("#dials input");
        return opened;
    }

    const textOf = (selector: string, where = page): Promise<unknown> =>
        where.evaluate(`document.querySelector(${JSON.stringify(selector)}).textContent`);

    async function ask(question: string, where = page): Promise<void> {
        await where.type("#question", question);
        await where.keyboard.press("Enter");
    }
    /** Waits until the last answer's end is told, and returns both. */
    async function answer(where = page): Promise<{ readonly text: unknown; readonly end: unknown }> {
        await where.waitForFunction("document.querySelector('article:last-child .end')?.textContent");
        return {
            text: await textOf("article:last-child .text", where),
            end: await textOf("article:last-child .end", where),
        };
    }
    const turnDial = (value: number): Promise<unknown> =>
        page.evaluate(`{
            const dial = document.querySelector("#dials input");
            dial.value = ${value};
            dial.dispatchEvent(new Event("input"));
        }`);
    /** The bridge is not part of the page: this is the page's own question, without an end. */
    const startEndless = (): Promise<unknown> =>
        page.evaluate(`{
            const post = bridge.onmessage;
            bridge.onmessage = ({ data }) => {
                if (data.type === "complete") data.options.logitBias = { 2: -1000 };
                post({ data });
            };
        }`);

    it("shows what is loaded", async () => {
        expect(await textOf("#recipe")).toBe("demo: chat + beta * (large - small)");
        expect(await textOf("#status")).toBe("Ready.");
        const dial = await page.evaluate(`{
            const { name, min, max, value } = document.querySelector("#dials input");
            [name, min, max, value];
        }`);
        expect(dial).toEqual(["beta", "0", "2", "1"]);
    });

    it("answers a question, one part after another", async () => {
        await page.evaluate(`{
            window.lengths = [];
            new MutationObserver(() => {
                const text = document.querySelector(".text")?.textContent ?? "";
                if (text.length !== lengths.at(-1)) lengths.push(text.length);
            }).observe(document.body, { subtree: true, childList: true, characterData: true });
        }`);
        await ask("What is the capital of Peru?");
        const { text, end } = await answer();
        expect(text).toContain("Lima");
        expect(end).toMatch(/^stop, \d+ tokens/);
        expect(((await page.evaluate("lengths")) as number[]).length).toBeGreaterThan(3);
    });

    it("passes the dial on", async () => {
        const sent = page.evaluate(`new Promise((resolve) => {
            const post = bridge.onmessage;
            bridge.onmessage = ({ data }) => {
                if (data.type === "complete") resolve(data.options.parameters);
                post({ data });
            };
        })`);
        await turnDial(0.5);
        await ask("What is the capital of Peru?");
        expect(await sent).toEqual({ beta: 0.5 });
        await answer();
    });

    it("turns the dial in the middle of an answer", async () => {
        await startEndless();
        await ask("What is the capital of Peru?");
        await page.waitForFunction("document.querySelector('.text')?.textContent.length > 20");
        const replied = page.evaluate(`new Promise((resolve) => {
            bridge.addEventListener("message", ({ data }) => data.type === "setParameters" && resolve(data.values));
        })`);
        await turnDial(2);
        expect(await replied).toEqual({ beta: 2 });
        // By script: while the text grows, the button moves away from under a mouse.
        await page.evaluate("document.querySelector('article button').click()");
        expect((await answer()).end).toMatch(/^abort/);
        expect(await textOf("#status")).toBe("Ready.");
    });

    it("asks several questions at once", async () => {
        await ask("What is the capital of Peru?");
        await ask("What is the capital of Japan?");
        await ask("What is the capital of Peru?");
        await page.waitForFunction(
            "[...document.querySelectorAll('.end')].filter((end) => end.textContent).length === 3",
        );
        const texts = (await page.evaluate(
            "[...document.querySelectorAll('.text')].map((node) => node.textContent)",
        )) as string[];
        expect(texts[0]).toContain("Lima");
        expect(texts[2]).toBe(texts[0]);
    });

    it("may be reloaded or closed in the middle of an answer, as often as there are sequences and more", async () => {
        for (let index = 0; index < 3; index++) {
            await startEndless();
            await ask("What is the capital of Peru?");
            await page.waitForFunction("document.querySelector('.text')?.textContent.length > 20");
            await page.reload();
            await page.waitForSelector("#dials input");
        }
        const other = await openPage();
        await page.close();
        page = other;
        await ask("What is the capital of Peru?");
        expect((await answer()).text).toContain("Lima");
    });

    it("shows errors, and connects again when the host is gone", async () => {
        await page.evaluate("bridge.close()");
        await page.waitForFunction("document.querySelector('#status').textContent.includes('lost')");
        await ask("What is the capital of Peru?");
        expect((await answer()).text).toContain("Lima");
        await page.$eval(
            "#question",
            (input) => ((input as unknown as { value: string }).value = "capital ".repeat(9000)),
        );
        await page.keyboard.press("Enter");
        expect((await answer()).end).toMatch(/^CONTEXT_OVERFLOW: /);
    });

    it("shows markup as text, and loads nothing from elsewhere", async () => {
        await ask("<img src=x onerror=alert(1)><b>Peru</b>");
        await answer();
        expect(await textOf("h2")).toContain("<img");
        expect(await page.$$("main img, main b")).toEqual([]);
        await expect(page.evaluate("fetch('http://127.0.0.1:9/')")).rejects.toThrow();
        // The browser's own report of what the content security policy refused.
        expect(problems.splice(0).join("\n")).toContain("Content Security Policy");
    });
});
