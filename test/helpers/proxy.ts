/** Real proxies: they forward requests and open tunnels, to this machine whatever host is asked for. */

import { createServer, request as forward } from "node:http";
import { connect, createServer as createSocketServer, type AddressInfo, type Socket } from "node:net";

export interface Proxy {
    /** What `HTTP_PROXY` is to be. */
    readonly address: string;
    /** What was asked for so far: `GET http://host:port/path`, `CONNECT host:port`; of SOCKS `host:port`. */
    readonly requests: string[];
    /** What came with them as `Proxy-Authorization`. */
    readonly authorizations: (string | undefined)[];
    readonly close: () => Promise<void>;
}

export async function startProxy(): Promise<Proxy> {
    const requests: string[] = [];
    const authorizations: (string | undefined)[] = [];
    const server = createServer((request, response) => {
        requests.push(`${request.method} ${request.url}`);
        authorizations.push(request.headers["proxy-authorization"]);
        const { port, pathname, search } = new URL(request.url ?? "");
        const { method, headers } = request;
        const there = forward({ port, path: pathname + search, method, headers }, (answer) => {
            response.writeHead(answer.statusCode ?? 502, answer.headers);
            answer.pipe(response);
        });
        request.pipe(there);
    });
    server.on("connect", (request, socket) => {
        requests.push(`CONNECT ${request.url}`);
        authorizations.push(request.headers["proxy-authorization"]);
        const there = connect(Number(new URL(`http://${request.url}`).port), "127.0.0.1", () => {
            socket.write("HTTP/1.1 200 Connection established\r\n\r\n");
            there.pipe(socket).pipe(there);
        });
        there.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
        socket.on("error", () => there.destroy());
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
        address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        requests,
        authorizations,
        close: () =>
            new Promise((resolve) => {
                server.close(() => resolve());
                server.closeAllConnections();
            }),
    };
}

/** SOCKS 5 (RFC 1928), without authorization, for hosts that are asked for by name. */
export async function startSocksProxy(): Promise<Proxy> {
    const requests: string[] = [];
    const sockets = new Set<Socket>();
    const server = createSocketServer((socket) => {
        sockets.add(socket);
        socket.on("error", () => socket.destroy());
        socket.once("data", () => {
            socket.write(Buffer.from([5, 0]));
            socket.once("data", (request) => {
                const length = request[4] ?? 0;
                const port = request.readUInt16BE(5 + length);
                requests.push(`${request.subarray(5, 5 + length).toString()}:${port}`);
                const there = connect(port, "127.0.0.1", () => {
                    socket.write(Buffer.from([5, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
                    there.pipe(socket).pipe(there);
                });
                there.on("error", () => socket.destroy());
            });
        });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return {
        address: `socks5h://127.0.0.1:${(server.address() as AddressInfo).port}`,
        requests,
        authorizations: [],
        close: () =>
            new Promise((resolve) => {
                server.close(() => resolve());
                for (const socket of sockets) socket.destroy();
            }),
    };
}
