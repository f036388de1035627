/** Requests to servers, as Node's own `fetch` makes them, but through the proxy that the environment names. */

import type { Dispatcher, RequestInit, Response } from "undici";
import { EftError } from "./errors.js";

export type { Response };

/** A proxy, and the variable that names it. */
interface Proxy {
    readonly variable: string;
    readonly address: string;
}

/** Which variables name the proxy for a protocol; the first that is set counts. */
const VARIABLES = {
    "http:": ["HTTP_PROXY", "ALL_PROXY"],
    "https:": ["HTTPS_PROXY", "ALL_PROXY", "HTTP_PROXY"],
} as const;
/** Reached without a proxy, whatever the variables say: a proxy would look for them on its own machine. */
const LOOPBACK = "localhost,127.0.0.1,[::1]";

let dispatcher: Promise<Dispatcher> | undefined;

/**
 * `fetch`, through the proxy in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`, except for hosts in `NO_PROXY` and this machine.
 *
 * @throws EftError OPTION_INVALID when the variable that applies is no address of a proxy; TypeError when a request fails
 */
export async function fetchThroughProxy(url: string | URL, init: RequestInit): Promise<Response> {
    // Imported here because it is large, and most runs ask no server.
    const { fetch } = await import("undici");
    try {
        return await fetch(url, { ...init, dispatcher: await (dispatcher ??= createDispatcher()) });
    } catch (error) {
        const { cause } = error as Error;
        throw EftError.isInstance(cause) ? cause : error;
    }
}

/** Why a request failed, in words: the system's, and whether a proxy may have to do with it. */
export function describeFailure(error: unknown, url: string | URL): string {
    // The first cause tells most, but where all addresses of a host fail it has a code alone.
    let first = error as NodeJS.ErrnoException;
    while (typeof first.cause === "object" && first.cause !== null) first = first.cause as NodeJS.ErrnoException;
    const why = first.message || first.code || (error as Error).message;
    const proxy = findProxy(new URL(url));
    return proxy === undefined ? why : `${why}, by way of the proxy in ${proxy.variable}`;
}

/** Whether a server that answers with this status may answer otherwise soon. */
export function isPassing(status: number): boolean {
    return status === 408 || status === 409 || status === 429 || status >= 500;
}

/** Milliseconds that a server asks to wait for in `Retry-After`, in seconds or as a date; 0 if it does not. */
export function readRetryAfter({ headers }: Response): number {
    const header = headers.get("retry-after") ?? "";
    const milliseconds = /^\d+(?:\.\d+)?$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
    return Number.isNaN(milliseconds) ? 0 : Math.max(0, milliseconds);
}

/** Chooses for each request anew: redirections lead to other hosts. */
async function createDispatcher(): Promise<Dispatcher> {
    const { Agent, ProxyAgent, Socks5ProxyAgent } = await import("undici");
    const proxies = new Map<string, Dispatcher>();
    const connect = (address: string): Dispatcher => {
        if (address.startsWith("socks")) return withoutSocksWarning(() => new Socks5ProxyAgent(address));
        // Proxies need not open tunnels to servers without TLS.
        return new ProxyAgent({ uri: address, proxyTunnel: false });
    };
    return new Agent().compose((dispatch) => (options, handler) => {
        const proxy = findProxy(new URL(options.origin ?? ""));
        if (proxy === undefined) return dispatch(options, handler);
        const agent = proxies.get(proxy.address) ?? connect(proxy.address);
        proxies.set(proxy.address, agent);
        return agent.dispatch(options, handler);
    });
}

/** The proxy that a request goes through, if any. @throws EftError OPTION_INVALID, without the value, which may hold a password */
function findProxy(url: URL): Proxy | undefined {
    const names = VARIABLES[url.protocol as keyof typeof VARIABLES];
    const variable = isDirect(url) ? undefined : names.map(spell).find((name) => readVariable(name) !== "");
    if (variable === undefined) return undefined;
    const value = readVariable(variable);
    // Both leave it to the proxy to look up names.
    const address = (value.includes("://") ? value : `http://${value}`).replace(/^socks5h:/i, "socks5:");
    const parsed = URL.canParse(address) ? new URL(address) : undefined;
    if (parsed !== undefined && /^(?:https?|socks5?):$/.test(parsed.protocol) && parsed.hostname !== "")
        return { variable, address: parsed.href };
    throw new EftError(
        "OPTION_INVALID",
        `${variable} must be the address of a proxy, such as http://host:3128 or socks5://host:1080; correct it or remove it.`,
    );
}

/** Entries of `NO_PROXY` are hosts, with all hosts below them, and may have a port. */
function isDirect({ protocol, hostname, port }: URL): boolean {
    const none = readVariable(spell("NO_PROXY"));
    if (none === "*") return true;
    const asked = port || { "http:": "80", "https:": "443" }[protocol];
    return `${none},${LOOPBACK}`.split(/[,\s]+/).some((entry) => {
        const [, name = "", only] = /^(?:\*?\.)?(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? [];
        return name !== "" && (only ?? asked) === asked && `.${hostname}`.endsWith(`.${name}`);
    });
}

/** The lower-case name counts, as with other programs. */
function spell(name: string): string {
    return process.env[name.toLowerCase()] === undefined ? name : name.toLowerCase();
}

function readVariable(name: string): string {
    return (process.env[name] ?? "").trim();
}

/** Users cannot do anything about what undici thinks of its own code. Other warnings are shown. */
function withoutSocksWarning<T>(create: () => T): T {
    const emitWarning = Reflect.get(process, "emitWarning") as (...values: unknown[]) => void;
    process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
        if (!`${warning}`.startsWith("SOCKS5 proxy support is experimental"))
            Reflect.apply(emitWarning, process, [warning, ...rest]);
    };
    try {
        return create();
    } finally {
        process.emitWarning = emitWarning;
    }
}
