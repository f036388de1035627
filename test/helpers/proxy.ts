/** A real HTTP proxy: it forwards requests and opens tunnels, to this machine whatever host is asked for. */

import { createServer, request as forward } from "node:http";
import { connect, type AddressInfo } from "node:net";

export interface Proxy {
    /** What `HTTP_PROXY` is to be. */
    readonly address: string;
    /** What was asked for so far: `GET http://host:port/path`, `CONNECT host:port`. */
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
