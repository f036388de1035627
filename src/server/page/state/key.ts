/** Whether the server has asked for an API key, and got none that it knows. */

import { signal } from "@preact/signals";

export const needsKey = signal(false);
