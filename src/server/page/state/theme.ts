/** Dark or light: as the system has it, until somebody chooses. */

import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";

const NAME = "eft-llama-theme";
export const theme = signal<Theme>(read());

/** Keeps the page as chosen. */
export function showTheme(): void {
    effect(() => {
        document.documentElement.dataset["theme"] = theme.value;
        try {
            localStorage.setItem(NAME, theme.value);
        } catch {
            // Where a browser lets nothing be stored, it lasts as long as the page.
        }
    });
}

function read(): Theme {
    try {
        const kept = localStorage.getItem(NAME);
        return kept === "light" || kept === "dark" ? kept : "system";
    } catch {
        return "system";
    }
}
