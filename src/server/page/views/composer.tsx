import { useRef } from "preact/hooks";
import { ask, draft, isAnswering, stop } from "../state/conversation.js";
import { Comparison } from "./comparison.js";

export function Composer() {
    const field = useRef<HTMLTextAreaElement>(null);
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
