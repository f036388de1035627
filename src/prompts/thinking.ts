/** How a chat template tells what an assistant thinks from what it says. */

import type { ThinkingMarks } from "../types.js";
import type { RenderSample } from "./call-syntax.js";

const QUESTION = "What is it?";
const THOUGHT = "Let us see what it is.";
const ANSWER = "It is this.";
/** A tag, such as `<think>` or `[THINK]`. */
const TAG = /<[^<>\s/][^<>\s]*>|\[[^[\]\s/]+\]/g;
/** Under which keys templates look for thoughts. */
const KEYS = ["reasoning_content", "thinking"] as const;

/** @returns undefined where the template knows no thoughts, or tells them apart in another way than by two tags */
export function tryThinking(render: RenderSample, source: string): ThinkingMarks | undefined {
    const attempt = (key: string): string => {
        try {
            const question = { role: "user", content: QUESTION } as const;
            const text = render([question, { role: "assistant", content: ANSWER, [key]: THOUGHT }], {}, false);
            return text.slice(text.lastIndexOf(QUESTION) + QUESTION.length);
        } catch {
            return "";
        }
    };
    for (const key of KEYS) {
        const text = attempt(key);
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
