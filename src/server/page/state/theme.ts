/** Dark or light: as the system has it, until somebody chooses. */

import { computed, effect, signal } from "@preact/signals";

type Theme = "light" | "dark";

const NAME = "eft-llama-theme";
const system = matchMedia("(prefers-color-scheme: dark)");
const isSystemDark = signal(system.matches);
const chosen = signal<Theme | undefined>(read());

export const isDark = computed(() => (chosen.value === undefined ? isSystemDark.value : chosen.value === "dark"));

export function switchTheme(): void {
    chosen.value = isDark.value ? "light" : "dark";
    try {
        localStorage.setItem(NAME, chosen.value);
    } catch {
        // Where a browser lets nothing be stored, it lasts as long as the page.
    }
}

/** Keeps the page as chosen. */
export function showTheme(): void {
    system.addEventListener("change", ({ matches }) => (isSystemDark.value = matches));
    effect(() => {
        document.documentElement.dataset["theme"] = isDark.value ? "dark" : "light";
    });
}

function read(): Theme | undefined {
    try {
        const kept = localStorage.getItem(NAME);
        return kept === "light" || kept === "dark" ? kept : undefined;
    } catch {
        return undefined;
    }
}
