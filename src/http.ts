/** Requests to servers, as Node's own `fetch` makes them, but through the proxy that the environment names. */

import type { Dispatcher, RequestInit, Response } from "undici";
import { EftError } from "./errors.js";

export type { Response };

/** Which proxies there are, by the variables that name them. The lower-case one counts, as with other programs. */
interface Proxies {
    readonly http: string;
    readonly https: string;
    /** Hosts that are asked directly. */
    readonly none: string;
}

/** Reached without a proxy, whatever the variables say: a proxy would look for them on its own machine. */
const LOOPBACK = "localhost,127.0.0.1,[::1]";

let used: { readonly key: string; readonly dispatcher: Dispatcher } | undefined;

/**
 * `fetch`, through the proxy in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, except for hosts in `NO_PROXY` and this machine.
 *
 * @throws EftError OPTION_INVALID when one of the variables is no address of a proxy; TypeError when a request fails
 */
export async function fetchThroughProxy(url: string | URL, init: RequestInit): Promise<Response> {
    const proxies = readProxies();
    // Imported here because it is large, and most runs ask no server.
    const { EnvHttpProxyAgent, fetch } = await import("undici");
    const key = JSON.stringify(proxies);
    if (used?.key !== key) {
        const { http: httpProxy, https: httpsProxy, none: noProxy } = proxies;
        // Proxies need not open tunnels to servers without TLS.
        const options = { httpProxy, httpsProxy, noProxy, proxyTunnel: false };
        used = { key, dispatcher: new EnvHttpProxyAgent(options) };
    }
    return fetch(url, { ...init, dispatcher: used.dispatcher });
}

/** Why a request failed, in words: the system's, and whether a proxy may have to do with it. */
export function describeFailure(error: unknown): string {
    // The first cause tells most, but where all addresses of a host fail it has a code alone.
    let first = error as NodeJS.ErrnoException;
    while (typeof first.cause === "object" && first.cause !== null) first = first.cause as NodeJS.ErrnoException;
    const why = first.message || first.code || (error as Error).message;
    const names = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"].filter((name) => readVariable(name) !== "");
    return names.length === 0 ? why : `${why}, by way of the proxy in ${names.join(" or ")}`;
}

function readProxies(): Proxies {
    const all = readAddress("ALL_PROXY");
    const none = readVariable("NO_PROXY").trim();
    const http = readAddress("HTTP_PROXY") || all;
    return { http, https: readAddress("HTTPS_PROXY") || all, none: none === "*" ? none : `${none},${LOOPBACK}` };
}

function readVariable(name: string): string {
    return process.env[name.toLowerCase()] ?? process.env[name] ?? "";
}

/** @returns "" where the variable is not set. @throws EftError OPTION_INVALID, without the value, which may hold a password */
function readAddress(name: string): string {
    const value = readVariable(name).trim();
    if (value === "") return "";
    const address = value.includes("://") ? value : `http://${value}`;
    if (URL.canParse(address) && /^(?:https?|socks5?):$/.test(new URL(address).protocol)) return address;
    throw new EftError(
        "OPTION_INVALID",
        `${name} must be the address of a proxy, such as http://host:3128; correct it or remove it.`,
    );
}
