/** Answers on their way to whoever asked. Works in pages too. */

import { EftError } from "../errors.js";
import type { ErrorReply } from "./protocol.js";

/** What has come for one request, in order. */
interface Inbox<Reply> {
    readonly put: (reply: Reply | ErrorReply) => void;
    /** The next answer; one call at a time. @throws EftError what the other end says */
    readonly take: () => Promise<Reply>;
}

/** Open requests by id. */
export interface Requests<Reply extends { readonly id: number }> {
    /** @throws EftError CONNECTION_LOST */
    readonly open: (id: number) => Inbox<Reply>;
    readonly close: (id: number) => void;
    /** Hands an answer to the request that it belongs to; one that nobody waits for any more is dropped. */
    readonly deliver: (reply: Reply | ErrorReply) => void;
    /** Fails all requests, and all later ones. */
    readonly fail: (message: string) => void;
    /** Sends a request that has one answer, and waits for it. @throws EftError what the other end says */
    readonly ask: (send: (id: number) => void) => Promise<Reply>;
    readonly nextId: () => number;
}

export function createRequests<Reply extends { readonly id: number }>(): Requests<Reply> {
    const inboxes = new Map<number, Inbox<Reply>>();
    let lastId = 0;
    let lost: string | undefined;
    const nextId = (): number => ++lastId;
    const open = (id: number): Inbox<Reply> => {
        if (lost !== undefined) throw new EftError("CONNECTION_LOST", lost);
        const inbox = createInbox<Reply>();
        inboxes.set(id, inbox);
        return inbox;
    };
    const close = (id: number): void => {
        inboxes.delete(id);
    };
    return {
        nextId,
        open,
        close,
        deliver: (reply) => inboxes.get(reply.id)?.put(reply),
        fail: (message) => {
            lost ??= message;
            for (const [id, inbox] of inboxes) inbox.put({ type: "error", id, code: "CONNECTION_LOST", message });
        },
        ask: async (send) => {
            const id = nextId();
            const inbox = open(id);
            send(id);
            try {
                return await inbox.take();
            } finally {
                close(id);
            }
        },
    };
}

function createInbox<Reply>(): Inbox<Reply> {
    const replies: (Reply | ErrorReply)[] = [];
    let wake = (): void => undefined;
    return {
        put: (reply) => {
            replies.push(reply);
            wake();
        },
        take: async () => {
            while (replies.length === 0) await new Promise<void>((resolve) => (wake = resolve));
            const reply = replies.shift() as Reply | ErrorReply;
            if (isError(reply)) throw new EftError(reply.code, reply.message);
            return reply;
        },
    };
}

function isError(reply: unknown): reply is ErrorReply {
    return (reply as Partial<ErrorReply>).type === "error";
}
