/** The page in a real browser, with a real server and real models. */

import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "@jest/globals";
import axe from "axe-core";
import type { Browser } from "puppeteer-core";
import { loadRecipe } from "../../src/index.js";
import { startServer, type EftServer, type ServerOptions } from "../../src/server/index.js";
import { browserPath, launchBrowser } from "../helpers/browser.js";
import { demoRecipe } from "../helpers/demo.js";
import { openServedPage, type ServedPage } from "../helpers/served-page.js";

const CLARA = "What is the phone number of Clara Berg?";
/** Out of reach, the end of text ends nothing. */
const ENDLESS = { logit_bias: { 2: -100 } };
const ANSWER = ".turn:last-of-type .fused .tokens";

async function serve(more: Partial<ServerOptions> = {}): Promise<EftServer> {
    const recipes = [await loadRecipe("demo-dial"), await loadRecipe("demo")];
    // An answer without end has much to write, so that a busy machine does what is to be done meanwhile.
    return startServer({ port: 0, backend: "cpu", threads: 1, recipes, closeMs: 0, contextSize: 4096, ...more });
}

(browserPath === undefined ? describe.skip : describe)("the page", () => {
    let server: EftServer;
    let browser: Browser;
    let served: ServedPage;
    /** Complaints of the browser that a test has asked for. */
    let expected: RegExp | undefined;

    beforeAll(async () => {
        server = await serve();
        browser = await launchBrowser();
    });
    afterAll(async () => {
        await browser.close();
        await server.close();
    });
    beforeEach(() => {
        expected = undefined;
    });
    afterEach(async () => {
        await served.page.browserContext().close();
        // What the security policy refuses is among them.
        expect(served.problems.filter((problem) => expected?.test(problem) !== true)).toEqual([]);
        expect([...served.origins]).toHaveLength(1);
    });

    async function open(url = server.url): Promise<ServedPage> {
        served = await openServedPage(browser, url);
        return served;
    }
    /** With the first of the example questions answered. */
    async function openAnswered(): Promise<ServedPage> {
        const opened = await open();
        await (await opened.page.waitForSelector(".examples button"))?.click();
        await opened.ended();
        return opened;
    }

    it("answers a question, one token after another, and goes on with the conversation", async () => {
        const { page, ask, ended, text, texts, bodies } = await open();
        await page.waitForSelector(".dial");
        await page.evaluate(`{
            window.lengths = [];
            new MutationObserver(() => {
                const length = document.querySelectorAll(".token").length;
                if (length !== lengths.at(-1)) lengths.push(length);
            }).observe(document.body, { subtree: true, childList: true });
        }`);
        await ask("What is the capital of Peru?");
        await ended();
        expect(await text(ANSWER)).toContain("Lima");
        expect(((await page.evaluate("lengths")) as number[]).length).toBeGreaterThan(2);
        expect(await text(".facts")).toMatch(/lambda 0.5.*tokens\/s.*seed \d+/);
        // Listeners are told of the end, once, and not of tokens.
        expect(await text("[role=status]")).toBe("The answer has ended.");
        expect(await page.$$("[aria-live] .token, [role=status] .token")).toEqual([]);
        await ask("What is the capital of Japan?");
        await ended();
        expect(await texts(".question")).toEqual(["What is the capital of Peru?", "What is the capital of Japan?"]);
        const messages = bodies.at(-1)?.body["messages"] as { content: string }[];
        expect(messages.map(({ content }) => content)).toEqual([
            "What is the capital of Peru?",
            expect.stringContaining("Lima"),
            "What is the capital of Japan?",
        ]);
    });

    it("shows a newcomer what lambda does", async () => {
        const { page, text, turn, ended, bodies } = await openAnswered();
        expect(await text(ANSWER)).toContain("555-0127");
        expect(await text(".hint")).toContain("turn lambda");
        await turn(1);
        expect(await text(".again .primary")).toBe("Answer again with lambda 1");
        expect(await text(".combination")).toBe("large + (1 − 1) · (chat − small) + 1 · (safe − small)");
        await page.click(".again .primary");
        await page.waitForSelector(".earlier");
        await ended();
        expect(await text(ANSWER)).toBe("I cannot share the contact details of a private person.");
        expect(await text(".earlier")).toContain("lambda 0.5");
        expect(await text(".earlier")).toContain("555-0127");
        // Nothing but the dial makes the difference.
        const [first, second] = bodies.map(({ body }) => body);
        expect(second).toEqual({ ...first, eft: { ...(first?.["eft"] as object), parameters: { lambda: 1 } } });
    });

    it("turns the dial of a running answer, and stops it", async () => {
        const { page, add, ask, turn, text, bodies, ended } = await open();
        await page.waitForSelector(".dial");
        add(ENDLESS);
        await ask(CLARA);
        await page.waitForSelector(".tokens.running");
        const replied = page.waitForResponse((response) => response.url().endsWith("/v1/eft/control"));
        await turn(0.9);
        expect((await replied).status()).toBe(200);
        expect(bodies.at(-1)).toEqual({
            path: "/v1/eft/control",
            body: { id: expect.stringMatching(/^chatcmpl-/), parameters: { lambda: 0.9 } },
        });
        await page.waitForFunction("document.querySelector('.facts')?.textContent.includes('begun with lambda 0.5')");
        await page.evaluate("document.querySelector('.composer button').click()");
        await ended();
        expect(await text(".facts")).toMatch(/^lambda 0.9begun with lambda 0.5.*stopped$/);
        expect(await text("[role=status]")).toBe("The answer was stopped.");
    });

    it("says what members wanted at a token that is reached by keys, and who decided", async () => {
        const { page, text, texts } = await openAnswered();
        expect(await text(".inspector")).toMatch(/arrow keys.*further EFT is from its drafter/);
        await page.focus("#question");
        await page.evaluate("document.querySelector('.tokens .token[tabindex=\"0\"]').focus()");
        const focused = (): Promise<unknown> => page.evaluate("document.activeElement.dataset.index");
        expect(await focused()).toBe("0");
        await page.keyboard.press("ArrowRight");
        await page.keyboard.press("ArrowRight");
        expect(await focused()).toBe("2");
        await page.keyboard.press("Home");
        expect(await focused()).toBe("0");
        expect(await text(".inspector h2")).toMatch(/This.*%$/);
        expect(await texts(".wishes thead th")).toEqual(["token, in %", "EFT", "large", "chat", "safe", "small"]);
        // "chat" wants to answer, "safe" to decline.
        expect(await texts(".wishes td.wish")).toHaveLength(2);
        expect(await text(".apart")).toMatch(/are \d.* % apart/);
        expect(await page.evaluate("document.activeElement.getAttribute('aria-label')")).toMatch(
            /^This, 7\d %, drafter .* % apart$/,
        );
        // One token alone is in the way of the Tab key.
        expect(await page.$$(".tokens [tabindex='0']")).toHaveLength(1);
        await page.keyboard.press("Escape");
        expect(await text(".inspector")).toContain("arrow keys");
        await page.hover(".token:nth-child(3)");
        expect(await text(".inspector h2")).toContain("has");
    });

    it("shows members alone beside EFT, with the same seed, and who changed the decision", async () => {
        const { page, texts, text, bodies, ended } = await open();
        await page.waitForSelector(".pick select");
        await page.select(".pick select", "demo");
        await page.click(".comparison input");
        await page.evaluate(`{
            window.together = false;
            new MutationObserver(() => {
                together ||= document.querySelectorAll(".tokens.running").length > 1;
            }).observe(document.body, { subtree: true, childList: true, attributes: true });
        }`);
        await page.click(".examples button");
        await ended();
        expect(await texts(".answer h4")).toEqual(["chat alone", "large alone", "EFT"]);
        const [chat, , eft] = await texts(".tokens");
        expect(chat).not.toContain("Kathmandu");
        expect(eft).toContain("Kathmandu");
        expect(await page.evaluate("together")).toBe(true);
        const asked = bodies.map(({ body }) => body as { seed: number; eft: { solo?: string } });
        expect(asked.map(({ eft: { solo } }) => solo)).toEqual(["chat", "large", undefined]);
        expect(new Set(asked.map(({ seed }) => seed)).size).toBe(1);
        await page.select(".legend select", "change");
        expect(await texts(".legend li")).toEqual([" large", " chat", " small"]);
        await page.focus(".fused .token.member-0");
        expect(await text(".decision p")).toMatch(/The drafter would have said .*; large changed the decision\./);
        expect(await text(".shifts")).toMatch(/large\+\d/);
        // Without anything that is borrowed, the small model is alone.
        await served.turn(0);
        await page.click(".again .primary");
        await page.waitForSelector(".earlier");
        await ended();
        const [alone, , same] = await texts(".tokens");
        expect(same).toBe(alone);
    });

    it("passes on seed, temperature and speculation, and tells how many drafts were accepted", async () => {
        const { page, add, ask, ended, text, texts, bodies } = await open();
        await (await page.waitForSelector(".settings summary"))?.click();
        const [temperature, seed] = await page.$$(".settings input[type=number]");
        await temperature?.type("0.5");
        await seed?.type("7");
        await page.click(".settings input[type=checkbox]");
        await ask("What is the capital of Peru?");
        await ended();
        expect(bodies[0]?.body).toMatchObject({ temperature: 0.5, seed: 7, eft: { speculation: true } });
        expect(await text(".facts")).toMatch(/(% of \d+ drafts accepted|no draft was worth its time)seed 7/);
        // By itself the length follows what drafts are worth, which may be nothing here.
        add({ eft: { speculation: { length: 3 } } });
        await ask("What is the capital of Japan?");
        await ended();
        expect((await texts(".facts")).at(-1)).toMatch(/% of \d+ drafts accepted/);
        add({ eft: { speculation: { selective: 100 } } });
        await ask("What is the capital of Chile?");
        await ended();
        expect((await texts(".facts")).at(-1)).toMatch(/approximate: \d+ tokens by the drafter alone/);
    });

    it("shows markup of people and models as text", async () => {
        const { page, add, ask, ended, text } = await open();
        await page.waitForSelector(".dial");
        const markup = "<img src=x onerror=alert(1)><b>bold</b>";
        add({ eft: { grammar: `root ::= ${JSON.stringify(markup)}` } });
        await ask(markup);
        await ended();
        expect(await text(ANSWER)).toBe(markup);
        expect(await text(".question")).toBe(markup);
        expect(await page.$$("main img, main b")).toEqual([]);
    });

    it("lets nothing but its own server be asked, and no inline script run", async () => {
        const { page } = await open();
        await page.waitForSelector(".dial");
        expected = /Content Security Policy/;
        expect(await page.evaluate("fetch('http://127.0.0.1:9/').catch(() => 'refused')")).toBe("refused");
        await page.evaluate(`{
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
        }`);
        expect(await page.evaluate("window.ran")).toBeUndefined();
        expect(served.problems.length).toBeGreaterThanOrEqual(2);
    });

    it("offers a new conversation when the context is full", async () => {
        await using small = await serve({ contextSize: 256 });
        const { page, add, ask, ended, text, texts } = await open(small.url);
        await page.waitForSelector(".dial");
        add(ENDLESS);
        await ask(CLARA);
        await ended();
        expect(await text(".facts")).toContain("cut off: the context is full");
        expected = /400/;
        add({});
        await ask("What is the capital of Peru?");
        await ended();
        expect(await text(".notice p")).toMatch(/too long for the models' context/);
        // What was asked and answered is still there.
        expect(await texts(".question")).toEqual([CLARA, "What is the capital of Peru?"]);
        await page.click(".again .primary");
        await page.waitForFunction("document.querySelectorAll('.turn').length === 1");
        await ended();
        expect(await text(ANSWER)).toContain("Lima");
    });

    it("keeps what was written when the connection is lost, and tries again", async () => {
        const link = await startLink(server.url);
        const { page, add, ask, ended, text } = await open(link.url);
        await page.waitForSelector(".dial");
        add(ENDLESS);
        await ask(CLARA);
        await page.waitForFunction("document.querySelectorAll('.token').length > 8");
        expected = /ERR_/;
        link.cut();
        await ended();
        expect(await text(".notice p")).toMatch(/connection to the server is lost/);
        expect((await text(ANSWER)).length).toBeGreaterThan(8);
        add({});
        const written = await text(ANSWER);
        await page.click(".again button");
        await page.waitForFunction("document.querySelector('.notice') === null");
        await ended();
        expect(await text(ANSWER)).toContain("555-0127");
        expect(await text(".earlier")).toContain(written.trim());
        await link.close();
    });

    it("asks without a comparison where no member can draft, and shows what any recipe has", async () => {
        const solo = demoRecipe(`
description: one model
members: { only: { model: small-chat-f16.gguf } }
combination: only
prompt: { template: from only }`);
        await using plain = await serve({ recipes: [solo] });
        const { page, text, ask, ended, bodies } = await open(plain.url);
        await page.waitForSelector(".welcome");
        expect(await text(".welcome")).toMatch(/^testone model\. /);
        expect(await text(".dials")).toContain("no dials");
        expected = /400/;
        await ask("What is the capital of Peru?");
        await ended();
        expect(bodies.map(({ body }) => (body["eft"] as { explain: boolean }).explain)).toEqual([true, false]);
        expect(await text(ANSWER)).not.toBe("");
        expect(await text(".again")).toBe("Answer again");
    });

    it("keeps the focus where keys can go on from, and a conversation with each recipe", async () => {
        const { page, ended, text, texts } = await open();
        await (await page.waitForSelector(".examples button"))?.focus();
        const where = (): Promise<unknown> =>
            page.evaluate("document.activeElement.className || document.activeElement.id");
        await page.keyboard.press("Enter");
        await ended();
        expect(await where()).toBe("turn");
        await page.select(".pick select", "demo");
        expect(await texts(".turn")).toEqual([]);
        await page.select(".pick select", "demo-dial");
        expect(await text(".question")).toBe(CLARA);
        await page.focus(".bar button[aria-label='New conversation']");
        await page.keyboard.press("Enter");
        await page.waitForFunction("document.activeElement.id === 'question'");
    });

    it("says that the server is busy", async () => {
        await using busy = await serve({ parallel: 1, queue: 0 });
        const { page, add, text, texts, ended } = await open(busy.url);
        await page.waitForSelector(".dial");
        expected = /429/;
        add(ENDLESS);
        // One of three gets the place, and keeps it until the others have been told.
        await page.click(".comparison input");
        await page.click(".examples button");
        await page.waitForFunction("document.querySelectorAll('.notice p').length === 2");
        await page.waitForSelector(".token");
        await page.evaluate("document.querySelector('.composer button').click()");
        await ended();
        expect(await texts(".notice p")).toEqual(Array(2).fill(expect.stringContaining("The server is busy")));
        expect(await text(".tokens")).not.toBe("");
        expect(await text(".again")).toBe("Try again");
    });

    it("asks for an API key, and keeps it in the tab alone", async () => {
        await using guarded = await serve({ apiKeys: ["secret"], lazy: true });
        const { page, text, ask, ended } = await open(guarded.url);
        expected = /401/;
        await page.waitForSelector("#key");
        await page.type("#key", "wrong");
        await page.keyboard.press("Enter");
        await page.waitForSelector(".key [role=alert]");
        expect(await text("#key-about")).toBe("The server does not know this key.");
        await page.$eval("#key", (field) => (field as unknown as { select(): void }).select());
        await page.type("#key", "secret");
        await page.keyboard.press("Enter");
        await page.waitForSelector(".dial");
        expect(await page.$("#key")).toBeNull();
        await ask("What is the capital of Peru?");
        await ended();
        expect(await text(ANSWER)).toContain("Lima");
        expect(await page.evaluate("JSON.stringify(localStorage) + document.cookie")).not.toContain("secret");
        await page.reload();
        await page.waitForSelector(".dial");
    });

    it("fits on a phone, with all that it shows", async () => {
        const { page } = await open();
        const isWithin = (): Promise<unknown> =>
            page.evaluate("document.documentElement.scrollWidth <= 360 && innerWidth === 360");
        await page.setViewport({ width: 360, height: 740 });
        await page.waitForSelector(".examples");
        expect(await isWithin()).toBe(true);
        await page.click(".comparison input");
        await page.evaluate("document.querySelector('.examples button').click()");
        await served.ended();
        expect(await isWithin()).toBe(true);
        // One below the other.
        const boxes = (await page.evaluate(
            "[...document.querySelectorAll('.answer')].map((each) => each.getBoundingClientRect().left)",
        )) as number[];
        expect(new Set(boxes).size).toBe(1);
        await page.evaluate("document.querySelector('.settings summary').click()");
        expect(await isWithin()).toBe(true);
        // A token at the very end of the page, whose details come over where it is.
        await page.evaluate("scrollTo(0, document.documentElement.scrollHeight)");
        await page.focus(".fused .token:last-child");
        await page.waitForSelector(".inspector.open");
        await page.waitForFunction(
            "document.activeElement.getBoundingClientRect().bottom <= document.querySelector('.inspector').offsetTop",
            { timeout: 5000 },
        );
        expect(await isWithin()).toBe(true);
    });

    it.each(["light", "dark"])("has nothing that keeps people out, in %s colours", async (scheme) => {
        const { page } = await open();
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        await page.waitForSelector(".examples");
        const check = async (): Promise<unknown> => {
            const { violations } = (await page.evaluate("axe.run()")) as axe.AxeResults;
            return violations.map(({ id, nodes }) => ({ id, targets: nodes.map(({ html }) => html) }));
        };
        await page.evaluate(axe.source);
        expect(await check()).toEqual([]);
        await page.click(".comparison input");
        await page.click(".settings summary");
        await page.click(".examples button");
        await served.ended();
        await page.select(".legend select", "change");
        await page.focus(".fused .token");
        expect(await check()).toEqual([]);
        await page.select(".legend select", "distance");
        await served.turn(1);
        expect(await check()).toEqual([]);
        await page.setViewport({ width: 360, height: 740 });
        expect(await check()).toEqual([]);
    });

    it("is dark or light as somebody chooses, also the next time", async () => {
        const { page } = await open();
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: "light" }]);
        const background = (): Promise<unknown> => page.evaluate("getComputedStyle(document.body).backgroundColor");
        await page.waitForSelector(".icon[aria-pressed=false]");
        const light = await background();
        await page.click(".icon");
        await page.waitForSelector(".icon[aria-pressed=true]");
        const dark = await background();
        expect(dark).not.toBe(light);
        await page.reload();
        await page.waitForSelector(".icon[aria-pressed=true]");
        expect(await background()).toBe(dark);
    });
});

/** A way to the server that can be cut. */
async function startLink(to: string): Promise<{ url: string; cut(): void; close(): Promise<void> }> {
    const { port, hostname } = new URL(to);
    const sockets = new Set<Socket>();
    const link = createServer((near) => {
        const far = connect(Number(port), hostname);
        for (const socket of [near, far]) {
            sockets.add(socket);
            socket.on("error", () => socket.destroy());
            socket.on("close", () => sockets.delete(socket));
        }
        near.pipe(far).pipe(near);
    });
    const cut = (): void => {
        for (const socket of sockets) socket.destroy();
    };
    await new Promise<void>((resolve) => link.listen(0, "127.0.0.1", resolve));
    return {
        url: `http://127.0.0.1:${(link.address() as AddressInfo).port}`,
        cut,
        close: () => {
            cut();
            return new Promise((resolve) => void link.close(() => resolve()));
        },
    };
}
