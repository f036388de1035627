/** The API key, which is forgotten with the tab. */

const NAME = "eft-llama-key";

export function readKey(): string {
    try {
        return sessionStorage.getItem(NAME) ?? "";
    } catch {
        return kept;
    }
}

export function keepKey(key: string): void {
    kept = key;
    try {
        sessionStorage.setItem(NAME, key);
    } catch {
        // Where a browser lets nothing be stored, it lasts as long as the page.
    }
}

let kept = "";
