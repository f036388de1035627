/** The token whose details are shown. */

import { computed, signal } from "@preact/signals";
import type { Answer } from "./answer.js";

interface Inspected {
    readonly answer: Answer;
    readonly index: number;
}

export const inspected = signal<Inspected | undefined>(undefined);

export const inspectedToken = computed(() => {
    if (inspected.value === undefined) return undefined;
    const { answer, index } = inspected.value;
    return answer.view.value.pieces[index]?.token;
});

export function inspect(token: Inspected | undefined): void {
    const { answer, index } = inspected.value ?? {};
    if (token?.answer !== answer || token?.index !== index) inspected.value = token;
}
