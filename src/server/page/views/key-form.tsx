import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { keepKey } from "../api/key.js";
import { needsKey } from "../state/key.js";
import { loadRecipes } from "../state/recipes.js";
import { catchFocus } from "./focus.js";

/** Asks for the API key that the server wants. */
export function KeyForm() {
    const key = useSignal("");
    const isWrong = useSignal(false);
    const field = useRef<HTMLInputElement>(null);
    useEffect(() => catchFocus(field.current, true), []);
    async function send(): Promise<void> {
        keepKey(key.value.trim());
        await loadRecipes();
        isWrong.value = needsKey.value;
    }
    return (
        <form
            class="notice key"
            onSubmit={(event) => {
                event.preventDefault();
                void send();
            }}
        >
            <label for="key">This server asks for an API key.</label>
            <input
                ref={field}
                id="key"
                type="password"
                required
                autocomplete="off"
                aria-describedby="key-about"
                value={key.value}
                onInput={(event) => (key.value = event.currentTarget.value)}
            />
            <button class="primary">Use it</button>
            <p id="key-about" class="muted" role={isWrong.value ? "alert" : undefined}>
                {isWrong.value
                    ? "The server does not know this key."
                    : "It is kept in this tab until the tab is closed."}
            </p>
        </form>
    );
}
