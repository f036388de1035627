/** An answer as blocks that follow each other, which newer protocols are made of: thoughts, text, calls. */

import type { CompletionPart, FinishPart, TokenPart, ToolCallPart } from "../decoding/completion.js";

/** What has pieces. */
export type BlockKind = "thinking" | "text";

export type BlockEvent =
    | { readonly type: "open"; readonly index: number; readonly kind: BlockKind }
    | {
          readonly type: "delta";
          readonly index: number;
          readonly kind: BlockKind;
          readonly text: string;
          /** That it came with. */
          readonly token?: TokenPart;
      }
    | { readonly type: "close"; readonly index: number; readonly kind: BlockKind; readonly text: string }
    | { readonly type: "call"; readonly index: number; readonly call: ToolCallPart }
    | { readonly type: "finish"; readonly finish: FinishPart };

/** @param parts - of one answer */
export async function* toBlocks(parts: AsyncIterable<CompletionPart>): AsyncGenerator<BlockEvent, void, void> {
    let index = 0;
    let open: { readonly kind: BlockKind; text: string } | undefined;
    function* close(): Generator<BlockEvent, void, void> {
        if (open === undefined) return;
        yield { type: "close", index: index++, kind: open.kind, text: open.text };
        open = undefined;
    }
    function* say(kind: BlockKind, text: string, token?: TokenPart): Generator<BlockEvent, void, void> {
        if (text === "") return;
        if (open?.kind !== kind) {
            yield* close();
            open = { kind, text: "" };
            yield { type: "open", index, kind };
        }
        open.text += text;
        yield { type: "delta", index, kind, text, ...(token !== undefined && { token }) };
    }
    for await (const part of parts) {
        if (part.type === "thinking") yield* say("thinking", part.thinking);
        if (part.type === "token") yield* say("text", part.text, part);
        if (part.type === "tool-call") {
            yield* close();
            yield { type: "call", index: index++, call: part };
        }
        if (part.type === "finish") {
            yield* say("text", part.text);
            yield* close();
            yield { type: "finish", finish: part };
        }
    }
}
