/** The server's page in a browser. */

import type { Browser, HTTPRequest, Page } from "puppeteer-core";

/** Fields that are put into the questions that the page asks, which are real ones otherwise. */
export type Addition = Readonly<Record<string, unknown>> & { readonly eft?: object };

export interface ServedPage {
    readonly page: Page;
    /** What the browser complained about. */
    readonly problems: string[];
    /** Bodies of what was asked of the server. */
    readonly bodies: { readonly path: string; readonly body: Record<string, unknown> }[];
    /** Origins of all requests. */
    readonly origins: Set<string>;
    /** From now on, questions have these fields, too. */
    readonly add: (fields: Addition) => void;
    readonly text: (selector: string) => Promise<string>;
    readonly texts: (selector: string) => Promise<string[]>;
    /** Types a question and sends it. */
    readonly ask: (question: string) => Promise<void>;
    /** Waits until all answers of the last question have ended. */
    readonly ended: () => Promise<void>;
    /** Moves the first dial. */
    readonly turn: (value: number) => Promise<void>;
}

export async function openServedPage(browser: Browser, url: string): Promise<ServedPage> {
    // A context of its own: nothing is remembered of other tests.
    const page = await (await browser.createBrowserContext()).newPage();
    const problems: string[] = [];
    const bodies: ServedPage["bodies"] = [];
    const origins = new Set<string>();
    let added: Addition = {};
    page.on("pageerror", (error) => problems.push(String(error)));
    page.on("console", (message) => {
        if (["error", "warn"].includes(message.type())) problems.push(message.text());
    });
    await page.setRequestInterception(true);
    page.on("request", (request) => {
        origins.add(new URL(request.url()).origin);
        void request.continue(change(request)).catch(() => undefined);
    });
    function change(request: HTTPRequest): { postData?: string } {
        const sent = request.postData();
        if (sent === undefined) return {};
        const { pathname: path } = new URL(request.url());
        const body = JSON.parse(sent) as Record<string, unknown>;
        bodies.push({ path, body });
        if (path !== "/v1/chat/completions") return {};
        return { postData: JSON.stringify({ ...body, ...added, eft: { ...(body["eft"] as object), ...added.eft } }) };
    }
    const texts = (selector: string): Promise<string[]> =>
        page.evaluate(
            `[...document.querySelectorAll(${JSON.stringify(selector)})].map((each) => each.textContent)`,
        ) as Promise<string[]>;
    await page.goto(url);
    return {
        ...{ page, problems, bodies, origins, texts },
        add: (fields) => void (added = fields),
        text: async (selector) => (await texts(selector))[0] ?? "",
        async ask(question) {
            const count = (await page.$$(".turn")).length;
            await page.type("#question", question);
            await page.keyboard.press("Enter");
            await page.waitForFunction(`document.querySelectorAll(".turn").length > ${count}`);
        },
        async ended() {
            await page.waitForSelector(".again");
        },
        async turn(value) {
            await page.evaluate(`{
                const dial = document.querySelector(".dial input[type=range]");
                dial.value = ${value};
                dial.dispatchEvent(new Event("input", { bubbles: true }));
            }`);
        },
    };
}
