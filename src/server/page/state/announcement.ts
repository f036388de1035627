/** What screen readers are told once: that an answer has ended, not each of its tokens. */

import { signal } from "@preact/signals";

export const announcement = signal("");

export function announce(text: string): void {
    announcement.value = text;
}
