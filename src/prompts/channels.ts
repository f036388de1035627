/** Answers in parts, each of which names the channel that it is on: thoughts, calls, what is said. gpt-oss writes them so. */

import type { CallSyntax, RenderSample } from "./call-syntax.js";
import type { ChatMessage } from "./messages.js";

const ANSWER = "It is that one.";

/** In front of what is said. */
export const FINAL = "<|channel|>final<|message|>";

/** Each part is a header with a channel, this, and its text up to an end, which may be that of the answer. */
export const CHANNEL_MARKS = {
    start: "<|start|>",
    channel: "<|channel|>",
    constrain: "<|constrain|>",
    message: "<|message|>",
    end: "<|end|>",
} as const;

export type ChannelMarks = Readonly<Record<keyof typeof CHANNEL_MARKS, string>>;

/** As models write a call. Their templates name the tool in front of the channel, and such calls are read as well. */
export const CHANNEL_SYNTAX: CallSyntax = {
    open: "<|channel|>commentary to=functions.",
    call: ["name", { text: " <|constrain|>json<|message|>" }, "arguments"],
    between: undefined,
    close: "",
};

/** Whether a template writes answers in this way. */
export function tryChannels(render: RenderSample): boolean {
    try {
        const messages = [
            { role: "user", content: "Which is it?" },
            { role: "assistant", content: ANSWER },
        ] as const;
        return render(messages, {}, false).includes(`${FINAL}${ANSWER}`);
    } catch {
        return false;
    }
}

/** Thoughts under the key that such templates know. They take either these or words beside calls. */
export function withThoughts(messages: readonly ChatMessage[]): readonly ChatMessage[] {
    return messages.map(({ reasoning_content: thinking, ...message }): ChatMessage => {
        if (typeof thinking !== "string" || thinking === "") return message;
        const content = message.tool_calls === undefined ? message.content : "";
        return { ...message, content, thinking };
    });
}
