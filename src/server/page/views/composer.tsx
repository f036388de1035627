import { useEffect, useRef } from "preact/hooks";
import { ask, draft, isAnswering, stop, turns } from "../state/conversation.js";
import { Comparison } from "./comparison.js";
import { catchFocus } from "./focus.js";

export function Composer() {
    const field = useRef<HTMLTextAreaElement>(null);
    const isFresh = turns.value.length === 0;
    const hasBegun = useRef(false);
    useEffect(() => {
        // The buttons that stop, and that begin a new conversation, are gone when they have done it.
        if (hasBegun.current) catchFocus(field.current, true);
        hasBegun.current = true;
    }, [isAnswering.value, isFresh]);
    function send(): void {
        if (isAnswering.value || draft.value.trim() === "") return;
        ask(draft.value.trim());
        draft.value = "";
        field.current?.focus();
    }
    return (
        <form
            class="composer"
            onSubmit={(event) => {
                event.preventDefault();
                send();
            }}
        >
            <label class="unseen" for="question">
                Question
            </label>
            <textarea
                ref={field}
                id="question"
                rows={1}
                placeholder="Ask something"
                autocomplete="off"
                value={draft.value}
                onInput={(event) => (draft.value = event.currentTarget.value)}
                onKeyDown={(event) => {
                    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
                    event.preventDefault();
                    send();
                }}
            />
            {isAnswering.value ? (
                <button key="stop" type="button" onClick={stop}>
                    Stop
                </button>
            ) : (
                <button key="ask" class="primary" disabled={draft.value.trim() === ""}>
                    Ask
                </button>
            )}
            <Comparison />
        </form>
    );
}
