/** What the colours of tokens mean. */

import { signal } from "@preact/signals";

export type Tint = "distance" | "change" | "none";

export const tint = signal<Tint>("distance");
