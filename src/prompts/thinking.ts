/** How a chat template tells what an assistant thinks from what it says. */

import type { ThinkingMarks } from "../types.js";
import type { RenderSample } from "./call-syntax.js";
import type { ChatMessage } from "./messages.js";

const QUESTION = "What is it?";
const THOUGHT = "Let us see what it is.";
const ANSWER = "It is this.";
/** A tag, such as `<think>` or `[THINK]`. */
const TAG = /<[^<>\s/][^<>\s]*>|\[[^[\]\s/]+\]/g;
/** Under which keys templates tell thoughts from answers by two tags. */
const KEYS = ["reasoning_content", "thinking"] as const;
/** Under which keys templates look for thoughts; messages have them under the first. */
const READ_KEYS = [...KEYS, "reasoning"] as const;

/** @returns undefined where the template knows no thoughts, or tells them apart in another way than by two tags */
export function tryThinking(render: RenderSample, source: string): ThinkingMarks | undefined {
    for (const key of KEYS) {
        const text = answerWith(render, key);
        const at = text.indexOf(THOUGHT);
        const behind = text.indexOf(ANSWER, at + THOUGHT.length);
        if (at < 0 || behind < 0) continue;
        const begin = [...text.slice(0, at).trimEnd().matchAll(TAG)].at(-1);
        const end = text.slice(at + THOUGHT.length, behind).trim();
        const isTag = begin !== undefined && begin.index + begin[0].length === text.slice(0, at).trimEnd().length;
        if (isTag && end !== "" && !/\s/.test(end) && !end.includes(begin[0])) return { begin: begin[0], end };
    }
    // Many leave thoughts out of what was said before, and look for the tags to do so.
    return source.includes("</think>") ? { begin: "<think>", end: "</think>" } : undefined;
}

/** The key under which a template looks for thoughts of earlier answers. */
export function tryThoughtKey(render: RenderSample): string {
    return READ_KEYS.find((key) => answerWith(render, key).includes(THOUGHT)) ?? READ_KEYS[0];
}

/** Thoughts under the key that a template knows. @param findKey - asked where there are some */
export function withThoughtKey(messages: readonly ChatMessage[], findKey: () => string): readonly ChatMessage[] {
    return messages.map(({ reasoning_content: thought, ...message }): ChatMessage =>
        thought === undefined ? message : { ...message, [findKey()]: thought as unknown },
    );
}

/** How an answer is written that has a thought under that key. */
function answerWith(render: RenderSample, key: string): string {
    try {
        const question = { role: "user", content: QUESTION } as const;
        const text = render([question, { role: "assistant", content: ANSWER, [key]: THOUGHT }], {}, false);
        return text.slice(text.lastIndexOf(QUESTION) + QUESTION.length);
    } catch {
        return "";
    }
}
