/** Failures and ends as sentences. */

import { ApiFailure } from "../api/failure.js";
import type { AnswerView } from "../state/answer.js";

/** @param isFirst - whether there is nothing before the question that could be left out */
export function tellFailure(error: unknown, isFirst = false): string {
    if (!(error instanceof ApiFailure)) return error instanceof Error ? error.message : String(error);
    switch (error.kind) {
        case "key":
            return "The server asks for an API key. Enter it above, then try again.";
        case "busy":
            return "The server is busy: others are being answered. Try again in a moment.";
        case "overflow":
            return isFirst
                ? "This question is too long for the models' context. Ask a shorter one."
                : "This conversation has become too long for the models' context. Begin a new one; your question can go along.";
        case "lost":
            return "The connection to the server is lost. What was written stays; try again when the server is back.";
        case "refused":
        case "failed":
            return error.message;
    }
}

/** How an answer ended, for those who listen. A failure tells itself. */
export function tellEnd({ status, isCut }: AnswerView): string {
    if (status === "failed") return "";
    if (status === "stopped") return "The answer was stopped.";
    return isCut ? "The answer was cut off." : "The answer has ended.";
}
